"""After jump_host_state: absent the machine is a plain one."""

from __future__ import annotations

import os

import testinfra

testinfra_hosts = ["jump-gate-12", "jump-gate-13"]
INVENTORY = os.path.dirname(os.environ["MOLECULE_INVENTORY_FILE"])


def test_members_are_gone(host):
    for member in ("alice", "bob", "carol", "dave"):
        assert not host.user(member).exists
    assert not host.group("haven-jump").exists


def test_sshd_is_its_own_again(host, gate):
    said = host.check_output("sudo sshd -T -C user=debian,host=gate,addr=10.0.0.1")
    assert "permittty yes" in said
    assert "maxsessions 10" in said
    assert "allowusers" not in said
    assert gate.ssh("stranger", "id -un").stdout == "stranger\n"


def test_the_machine_behind_has_the_sshd_of_its_image(addresses):
    red = testinfra.get_host(f"ansible://jump-red?ansible_inventory={INVENTORY}")
    said = red.check_output("sudo sshd -T")
    assert "passwordauthentication yes" in said
    assert "x11forwarding yes" in said
    assert red.check_output("sudo find /etc /usr/local -xdev -iname '*haven*sshd*'") == ""
    assert not red.file("/etc/haven/sshd").exists


def test_no_rules_are_left(host):
    assert "haven_jump_host" not in host.check_output("sudo nft list tables")


def test_no_file_is_left(host):
    found = "sudo find /etc /usr/local /run -xdev ( -iname '*haven*jump*' -o -name jump_host )"
    assert host.check_output(found.replace("(", r"\(").replace(")", r"\)")) == ""
