"""The table of rules lives beside others and outlives what others do."""

from __future__ import annotations

import pytest

testinfra_hosts = ["egress-open", "egress-enforced"]


def tables(host):
    return set(host.check_output("sudo nft list tables").splitlines())


def test_somebody_elses_table_is_still_there(host):
    assert tables(host) == {"table inet elsewhere", "table inet haven_egress"}


@pytest.mark.parametrize("what", ["reload", "restart", "stop nftables && sudo systemctl start"])
def test_rules_come_back_when_nftables_flushes_everything(host, what):
    host.check_output(f"sudo systemctl {what} nftables")
    # systemctl waits for nftables only; ours follows.
    host.run("sudo timeout 5 sh -c 'until nft list table inet haven_egress; do sleep 0.1; done'")
    assert tables(host) == {"table inet elsewhere", "table inet haven_egress"}


def test_rules_come_back_with_the_machine(host):
    unit = host.service("haven-egress.service")
    assert unit.is_enabled
    assert unit.is_running
    assert "network-pre.target" in host.check_output("systemctl show -P Before haven-egress.service")


def test_the_unit_is_hardened(host):
    verdict = host.check_output("sudo systemd-analyze security --no-pager haven-egress.service").splitlines()[-1]
    assert float(verdict.split(":")[-1].split()[0]) <= 1.1


def test_the_environment_of_others_is_kept(host):
    assert host.check_output("sudo su -l $(id -un) -c 'echo $SOMEBODYS'") == "own"
