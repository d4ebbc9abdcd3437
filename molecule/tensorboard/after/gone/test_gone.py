"""What is left after tensorboard_state: absent."""

from __future__ import annotations

import pytest
from testinfra.host import Host

TRACES = [
    "/etc/tmpfiles.d/haven-tensorboard.conf",
    "/opt/haven/tensorboard",
    "/opt/haven/venvs/root",
    "/run/haven/alice/tensorboard.sock",
]


@pytest.mark.parametrize("path", TRACES)
def test_configuration_software_and_socket_are_gone(host: Host, path: str) -> None:
    with host.sudo():
        assert not host.file(path).exists


def test_no_unit_of_the_role_is_left(host: Host) -> None:
    assert host.run("systemctl list-unit-files --no-legend 'haven-tensorboard*'").stdout == ""
    assert host.check_output("systemctl list-units --no-legend --all 'haven-tensorboard*'") == ""


def test_the_users_keep_their_runs(host: Host) -> None:
    with host.sudo():
        assert host.file("/home/alice/runs").is_directory
