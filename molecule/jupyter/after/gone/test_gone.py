"""What is left after jupyter_state: absent."""

from __future__ import annotations

import pytest
from testinfra.host import Host

TRACES = [
    "/etc/haven/jupyter",
    "/etc/tmpfiles.d/haven-jupyter.conf",
    "/opt/haven/jupyter",
    "/opt/haven/venvs/root",
    "/var/lib/haven/jupyter",
]


@pytest.mark.parametrize("path", TRACES)
def test_configuration_and_software_are_gone(host: Host, path: str) -> None:
    with host.sudo():
        assert not host.file(path).exists


def test_no_unit_of_the_role_is_left(host: Host) -> None:
    for pattern in ("haven-jupyter*", "haven-gpu-nodes*"):
        assert host.run(f"systemctl list-unit-files --no-legend '{pattern}'").stdout == ""
        assert host.check_output(f"systemctl list-units --no-legend --all '{pattern}'") == ""


def test_nothing_listens_and_no_server_runs(host: Host) -> None:
    assert all(":22 " in line for line in host.check_output("ss -Hltn").splitlines())
    assert host.run("pgrep -f jupyter-lab").rc == 1


def test_the_users_keep_their_accounts_and_files(host: Host) -> None:
    with host.sudo():
        host.check_output("su alice -c true")
        assert host.file("/home/alice/.ssh/authorized_keys").size > 0
        # Who left stays out.
        assert host.run("su carol -c true").rc != 0
        on_volume = host.ansible.get_variables()["inventory_hostname"] == "jupyter13"
        assert (
            host.file("/srv/notebooks/alice/kept.txt" if on_volume else "/home/alice/kept.txt").content_string == "kept"
        )
        assert host.mount_point("/srv/notebooks").exists == on_volume
