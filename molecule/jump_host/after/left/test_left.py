"""Who is taken off the list loses account, keys and what is open; who stays has what the list now says."""

from __future__ import annotations

testinfra_hosts = ["jump-gate-12", "jump-gate-13"]


def test_the_account_is_gone(host):
    assert not host.user("dave").exists
    assert not host.file("/etc/ssh/haven-jump-host/dave").exists
    assert host.run("sudo nft list table inet haven_jump_host | grep dave").rc == 1


def test_what_was_open_has_ended(host, folder):
    assert (folder / f"{host.backend.get_hostname()}.ended").read_text().startswith("SSH-2.0-")
    left = host.check_output("ps axo user,args")
    assert "dave" not in left


def test_the_key_opens_nothing(gate, addresses):
    assert "Permission denied (publickey)" in gate.asked("dave", f"{addresses['jump-red']}:22").stderr


def test_another_environment_leads_elsewhere(gate, addresses):
    assert gate.asked("bob", f"{addresses['jump-red']}:22").stdout.startswith("SSH-2.0-")
    assert "open failed" in gate.asked("bob", f"{addresses['jump-blue']}:22").stderr


def test_the_others_notice_nothing(gate):
    assert gate.ssh("alice", "cat /run/haven/name", machine="jump-red").stdout == "jump-red\n"
