"""What holds after the way back from a TLS port to the socket."""

from __future__ import annotations

from typing import Any

from testinfra.host import Host


def test_only_sshd_listens_and_nothing_would_open_the_port_again(host: Host) -> None:
    lines = host.check_output("ss -Hltn").splitlines()
    assert lines
    assert all(":22 " in line for line in lines)
    assert host.check_output("systemctl list-units --no-legend --all 'haven-jupyter-https@*'") == ""
    with host.sudo():
        assert host.check_output("find /etc/systemd /run/systemd -name 'haven-jupyter-https*'") == ""
    assert "haven-jupyter-https" not in host.check_output("systemctl show -p Wants haven-jupyter@alice.service")


def test_the_server_answers_without_tls(visit: Any) -> None:
    assert visit("alice", "the second password").run_cell("print(1)").strip() == "1"


def test_who_returns_is_in_again_with_their_files(host: Host, visit: Any) -> None:
    assert visit("carol", "a password of carol").run_cell("print(1)").strip() == "1"
    with host.sudo():
        assert host.check_output("getent shadow carol").split(":")[7] == ""
        assert host.file("/home/carol/.ssh/authorized_keys.haven-left").exists
        assert not host.file("/var/lib/haven/accounts/carol.json").exists
