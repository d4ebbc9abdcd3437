"""The metadata address answers root and nobody else, on every machine where the role is."""

from __future__ import annotations

import re

import pytest

testinfra_hosts = ["egress-open", "egress-enforced"]

ASK = "curl -sS -m 5 -o /dev/null -w %{http_code} http://169.254.169.254/latest/meta-data/"
COULD_NOT_CONNECT = 7


def test_root_is_answered(host):
    assert host.check_output(f"sudo {ASK}") == "401"  # a token first, says IMDSv2


@pytest.mark.parametrize(
    "asker", ["sudo -u $(id -un)", "sudo -u nobody", "sudo -u $(id -un) unshare --user --map-root-user"]
)
def test_nobody_else_is(host, asker):
    assert host.run(f"{asker} {ASK}").rc == COULD_NOT_CONNECT


def test_not_even_in_the_network_of_a_container(host):
    with host.sudo():
        # The sandbox's /proc/sys is read-only; a fresh one is not.
        host.check_output("unshare --mount sh -c 'mount -t proc proc /proc && sysctl -qw net.ipv4.ip_forward=1'")
        host.check_output("ip netns add box && ip link add box0 type veth peer name eth0 netns box")
        try:
            host.check_output("ip addr add 198.51.100.201/30 dev box0 && ip link set box0 up")
            host.check_output("ip -n box addr add 198.51.100.202/30 dev eth0 && ip -n box link set eth0 up")
            host.check_output("ip -n box route add default via 198.51.100.201")
            assert host.run(f"ip netns exec box {ASK}").rc == COULD_NOT_CONNECT
            rules = host.check_output("nft list chain inet haven_egress forward")
            assert int(re.search(r"169.254.169.254 counter packets (\d+)", rules)[1]) > 0
        finally:
            host.check_output("ip netns del box")


def test_the_other_addresses_are_refused_too(host):
    rules = host.check_output("sudo nft list table inet haven_egress")
    for address in ("fd00:ec2::254", "fe80::a9fe:a9fe"):
        assert rules.count(address) >= 2
