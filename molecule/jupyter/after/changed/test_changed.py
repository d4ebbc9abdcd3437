"""What holds after a new password, a user less, no terminals, and on jupyter13 an open TLS port."""

from __future__ import annotations

import os
import pathlib
import subprocess
from typing import Any

import pytest
from testinfra.host import Host

from ansible_collections.haven.gpu.plugins.module_utils import _notebook


def login(host: Host, user: str) -> subprocess.CompletedProcess[bytes]:
    """What a new login over ssh leads to."""
    facts = host.ansible.get_variables()
    command = ["ssh", "-F", facts["haven_ssh_config"], "-oBatchMode=yes", "-l", user, facts["ansible_host"], "true"]
    return subprocess.run(command, check=False, capture_output=True, timeout=60)


def master(host: Host, user: str) -> str:
    """The socket of the connection that connected.yml left open."""
    return f"{os.environ['MOLECULE_EPHEMERAL_DIRECTORY']}/{host.ansible.get_variables()['haven_name']}-{user}"


def connection(host: Host, user: str, order: str) -> int:
    """The answer of that connection."""
    facts = host.ansible.get_variables()
    command = ["ssh", "-F", facts["haven_ssh_config"], "-S", master(host, user), "-O", order, facts["ansible_host"]]
    return subprocess.run(command, check=False, capture_output=True, timeout=60).returncode


def only_on(host: Host, name: str) -> None:
    if host.ansible.get_variables()["inventory_hostname"] != name:
        pytest.skip(f"concerns {name}")


def test_the_old_password_is_refused_and_the_new_one_lets_in(host: Host, visit: Any) -> None:
    only_on(host, "jupyter12")
    with pytest.raises(_notebook.NotebookError, match="refused the password"):
        visit("alice", "the first password")
    assert visit("alice", "the second password").run_cell("print(1)").strip() == "1"


def test_terminals_are_off(host: Host, visit: Any) -> None:
    only_on(host, "jupyter12")
    assert visit("alice", "the second password").request("GET", "/api/terminals")[0] == 404
    assert "terminals_enabled = False" in host.check_output("sudo cat /etc/haven/jupyter/alice.py")


def test_a_new_password_ends_sessions_that_began_with_the_old_one(host: Host, visit: Any) -> None:
    only_on(host, "jupyter12")
    session = visit("alice", "the second password")
    assert session.request("GET", "/api/kernels")[0] == 200
    with host.sudo():
        host.check_output("systemctl restart haven-jupyter@alice.service")
        session.await_answer()
        assert session.request("GET", "/api/kernels")[0] == 200
        # Exactly what another password changes, and nothing else.
        host.check_output("sed -i.before 's/p=8[$]/p=8$AAAA/' /etc/haven/jupyter/alice.py")
        host.check_output("systemctl restart haven-jupyter@alice.service")
        session.await_answer()
        assert session.request("GET", "/api/kernels")[0] == 403
        host.check_output("mv /etc/haven/jupyter/alice.py.before /etc/haven/jupyter/alice.py")
        host.check_output("systemctl restart haven-jupyter@alice.service")


def test_who_left_has_no_server_but_all_files(host: Host) -> None:
    with host.sudo():
        for user in ("carol", "dana"):
            assert host.run(f"systemctl is-active haven-jupyter@{user}.service").stdout.strip() == "inactive"
            assert not host.file(f"/etc/systemd/system/haven-jupyter@{user}.service").exists
            assert not host.file(f"/etc/haven/jupyter/{user}.py").exists
            assert host.file(f"/home/{user}/.profile").exists


def test_who_left_is_out_in_every_way(host: Host) -> None:
    assert login(host, "carol").returncode != 0
    assert connection(host, "carol", "check") != 0, "the tunnel is still open"
    with host.sudo():
        assert host.run("pgrep -U carol").stdout == ""
        assert not host.file("/var/lib/systemd/linger/carol").exists
        assert not host.file("/home/carol/.ssh/authorized_keys").exists
        assert host.check_output("getent shadow carol").split(":")[7] == "1"
        # What cron, systemd and su ask: whether the account may be used.
        assert "expired" in host.run("su carol -c true").stderr


def test_somebody_whose_account_was_there_before_keeps_it_without_our_key(host: Host) -> None:
    assert login(host, "dana").returncode != 0
    left = pathlib.Path(f"{master(host, 'dana')}.left")
    if not left.exists():
        assert connection(host, "dana", "check") == 0
        assert connection(host, "dana", "exit") == 0
        left.touch()
    with host.sudo():
        (line,) = host.file("/home/dana/.ssh/authorized_keys").content_string.splitlines()
        assert line.endswith("her own")
        assert host.user("dana").shell == "/bin/sh"
        assert host.check_output("getent shadow dana").split(":")[7] == ""
        host.check_output("su dana -c true")


def test_the_port_speaks_tls_with_the_given_certificate(host: Host) -> None:
    only_on(host, "jupyter13")
    ask = "curl -s --noproxy '*' -o /dev/null -w %{http_code} --cacert /etc/ssl/notebook.pem --resolve"
    name = "notebook.example:8888:127.0.0.1"
    assert host.check_output(f"{ask} {name} https://notebook.example:8888/login") == "200"
    assert host.check_output(f"{ask} {name} https://notebook.example:8888/api/kernels") == "403"
    assert host.check_output(f"{ask} {name} -H 'Host: attacker.example' https://notebook.example:8888/login") == "403"
    assert host.run("curl -s --noproxy '*' -m 5 http://127.0.0.1:8888/login").rc != 0


def test_the_tunnel_leads_to_the_same_server_over_tls(host: Host, visit: Any) -> None:
    only_on(host, "jupyter13")
    assert visit("alice", "the second password", tls=True).run_cell("print(6 * 7)").strip() == "42"


def test_a_link_in_a_home_gives_nobody_the_keys_of_root(host: Host) -> None:
    with host.sudo():
        keys = host.file(host.user("root").home + "/.ssh/authorized_keys")
        assert (keys.user, keys.size) == ("root", 0)
