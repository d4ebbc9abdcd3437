"""What holds on every machine that site.yml has finished."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("unit", ["haven-jupyter@alice.service", "haven-tensorboard@alice.socket"])
def test_services_run_and_come_back_after_a_boot(host, unit):
    assert host.service(unit).is_running
    assert host.service(unit).is_enabled


def test_only_sshd_listens_on_tcp(host):
    with host.sudo():
        lines = host.check_output("ss -Hltnp").splitlines()
    assert lines
    assert all("sshd" in line or ('"systemd"' in line and ":22 " in line) for line in lines)


@pytest.mark.parametrize("name", ["jupyter", "tensorboard"])
def test_sockets_are_their_users_alone(host, name):
    with host.sudo():
        socket = host.file(f"/run/haven/alice/{name}.sock")
        assert socket.is_socket
        assert (socket.user, socket.mode) == ("alice", 0o600)
        assert host.file("/run/haven/alice").mode == 0o1770  # root's, sticky, with an entry for alice alone


def test_another_user_reaches_nothing(host):
    with host.sudo():
        host.run("id mallory || useradd -m mallory")
    for name in ("jupyter", "tensorboard"):
        with host.sudo("mallory"):
            assert host.run(f"curl -s -m 5 --unix-socket /run/haven/alice/{name}.sock http://localhost/").rc == 7
