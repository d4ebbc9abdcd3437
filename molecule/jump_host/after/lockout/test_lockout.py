"""Whatever was asked for and refused, the gate is what it was before, and nothing waits to change that."""

from __future__ import annotations

testinfra_hosts = ["jump-gate-12", "jump-gate-13"]


def test_the_operator_gets_in_anew(gate):
    assert gate.ssh("", "id -un").stdout == "debian\n"


def test_members_get_where_they_got(gate, addresses):
    assert gate.ssh("alice", "cat /run/haven/name", machine="jump-red").stdout == "jump-red\n"
    assert "open failed" in gate.asked("alice", f"{addresses['jump-blue']}:22").stderr


def test_nothing_hostile_is_left(host):
    assert "192.0.2." not in host.check_output("sudo nft list table inet haven_jump_host")
    said = host.check_output("sudo sshd -T -C user=debian,host=gate,addr=10.0.0.1")
    assert "denyusers" not in said
    assert "maxstartups 36:30:60" in said


def test_nothing_waits_for_a_confirmation(host):
    assert not host.file("/etc/haven/jump_host/previous").exists
    assert not host.service("haven-jump-host-rollback.timer").is_running


def test_it_says_that_it_is_not_what_was_asked_for(host):
    assert host.run("sudo haven-jump-host status").rc == 1


def test_the_rules_came_back_with_the_machine(host):
    assert host.service("haven-jump-host.service").is_enabled
    assert host.service("haven-jump-host.service").is_running
