"""Where it is enforced, the proxy is the only way out."""

from __future__ import annotations

import os
import re

import pytest
import testinfra
from testinfra.utils.ansible_runner import AnsibleRunner

testinfra_hosts = ["egress-enforced"]

INVENTORY = os.path.dirname(os.environ["MOLECULE_INVENTORY_FILE"])
CONNECT = "{} python3 -c 'import socket; socket.create_connection((\"{}\", 22), 5)'"
SEND = '{} python3 -c \'import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b"?", ("{}", 53))\''


def refused(host):
    """How many packets the last rule has refused."""
    rules = host.check_output("sudo nft list chain inet haven_egress output").rstrip("}\n\t ")
    return int(re.findall(r"counter packets (\d+) bytes \d+ reject", rules)[-1])


@pytest.fixture
def neighbour():
    """A machine beside this one, whose SSH port its neighbours may use."""
    return testinfra.get_host(f"ansible://egress-open?ansible_inventory={INVENTORY}")


def address(host):
    return AnsibleRunner(INVENTORY).get_variables(host)["haven_private_address"]


@pytest.mark.parametrize("somebody", ["sudo", "sudo -u nobody"])
def test_a_neighbour_cannot_be_reached_although_the_network_would_let_it(host, neighbour, somebody):
    neighbour.check_output(CONNECT.format(somebody, address("egress-enforced")))
    before = refused(host)
    assert host.run(CONNECT.format(somebody, address("egress-open"))).rc == 1
    assert refused(host) > before


@pytest.mark.parametrize("somebody", ["sudo", "sudo -u nobody"])
def test_nothing_can_be_carried_out_in_names(host, somebody):
    before = refused(host)
    host.run(SEND.format(somebody, address("egress-open")))
    assert refused(host) > before


def test_the_proxys_name_is_pinned(host):
    block = host.file("/etc/hosts").content_string.partition("# BEGIN haven.gpu egress")[2]
    assert " proxy.sandbox.test\n# END haven.gpu egress" in block
    assert "manage_etc_hosts: false" in host.file("/etc/cloud/cloud.cfg.d/90-haven-egress.cfg").content_string


def test_what_is_allowed_besides_is_in_the_rules(host):
    assert "ip daddr 192.0.2.1 udp dport 123 accept" in host.check_output("sudo nft list table inet haven_egress")


def test_what_runs_on_the_machine_itself_is_free(host):
    host.check_output(CONNECT.format("sudo -u nobody", "127.0.0.1"))
