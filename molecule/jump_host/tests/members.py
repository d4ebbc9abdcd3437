"""What each member can do at a gate, and that nothing else works."""

from __future__ import annotations

import socket

import pytest

OWN = [("alice", "jump-red"), ("bob", "jump-blue"), ("bob", "jump-red"), ("dave", "jump-red"), ("dave", "jump-blue")]


def received(port, sent=b""):
    with socket.create_connection(("127.0.0.1", port), timeout=20) as link:
        link.sendall(sent)
        data = b""
        while len(data) < 4096 and (part := link.recv(4096)):
            data += part
            if data.startswith(b"SSH-2.0-"):
                break
        return data


def through_socks(port, address, target_port):
    """Ask a SOCKS 4 server for a connection; what came first over it, or nothing."""
    request = b"\x04\x01" + target_port.to_bytes(2, "big") + socket.inet_aton(address) + b"\0"
    with socket.create_connection(("127.0.0.1", port), timeout=20) as link:
        link.sendall(request)
        answer = link.recv(8)
        return link.recv(8) if answer[1:2] == b"\x5a" else b""


@pytest.mark.parametrize(("member", "machine"), OWN)
def test_proxyjump_leads_to_machines_of_ones_own(gate, member, machine):
    done = gate.ssh(member, "cat /run/haven/name", machine=machine)
    assert done.stdout == f"{machine}\n", done.stderr


def test_a_port_of_ones_own_machine_can_be_forwarded(gate, addresses):
    with gate.tunnel("alice", f"L {addresses['jump-red']}:22") as (port, dummy):
        assert received(port).startswith(b"SSH-2.0-")


def test_a_socket_of_ones_own_machine_can_be_forwarded(gate):
    with gate.tunnel("alice", "L /run/haven/notebook.sock", "jump-red") as (port, dummy):
        assert received(port) == b"the notebook of jump-red\n"


def test_a_dynamic_forward_leads_to_ones_own_machines_only(gate, addresses):
    with gate.tunnel("alice", "D") as (port, dummy):
        assert through_socks(port, addresses["jump-red"], 22) == b"SSH-2.0-"
        assert through_socks(port, addresses["jump-blue"], 22) == b""
        assert through_socks(port, "169.254.169.254", 80) == b""


def test_what_is_refused_below_is_there(gate, addresses):
    """So that it is the gate that refuses: its operator gets there."""
    reached = "timeout 5 bash -c 'exec 3<>/dev/tcp/{}/{}'"
    for address in (addresses["jump-red"], addresses["jump-blue"], addresses[gate.name], "127.0.0.1"):
        gate.host.check_output(reached.format(address, 22))
    gate.host.check_output(reached.format("169.254.169.254", 80))


@pytest.mark.parametrize(
    ("member", "target"),
    [
        ("alice", "jump-blue:22"),
        ("alice", "jump-red-by-another-name:22"),
        *(
            (member, target)
            for member in ("alice", "bob")  # bob's environment names all of these
            for target in ("169.254.169.254:80", "127.0.0.1:22", "localhost:22", "[::1]:22", "the gate:22")
        ),
    ],
)
def test_nothing_else_can_be_reached(gate, addresses, member, target):
    host, dummy, port = target.rpartition(":")
    host = {"the gate": addresses[gate.name]}.get(host, addresses.get(host, host))
    before = gate.refusals()
    done = gate.asked(member, f"{host}:{port}")
    assert done.returncode != 0
    assert done.stdout == ""
    assert "open failed" in done.stderr
    if "name" not in host:  # a name that cannot be looked up sends nothing
        assert gate.refusals() > before


@pytest.mark.parametrize("member", ["alice", "bob"])
@pytest.mark.parametrize(
    "where", ["0:127.0.0.1:22", "127.0.0.1:4711:127.0.0.1:22", "/tmp/remote.sock:127.0.0.1:22", "4712"]
)
def test_nothing_can_be_forwarded_back(gate, member, where):
    done = gate.ssh(member, "-N", "-oExitOnForwardFailure=yes", f"-R{where}")
    assert done.returncode == 255
    assert "remote port forwarding failed" in done.stderr


def test_no_socket_of_the_gate_can_be_forwarded(gate):
    path = "/run/dbus/system_bus_socket"
    assert gate.host.file(path).mode & 0o6 == 0o6  # its mode lets everybody
    with gate.tunnel("alice", f"L {path}") as (port, complaints):
        assert received(port) == b""
    assert "open failed" in complaints[0]


@pytest.mark.parametrize("member", ["alice", "bob"])
@pytest.mark.parametrize(
    "arguments", [(), ("id",), ("-tt",), ("-tt", "id"), ("-s", "sftp"), ("-A", "id"), ("-X", "id")]
)
def test_there_is_no_shell_and_no_command(gate, member, arguments):
    done = gate.ssh(member, *arguments)
    assert done.returncode == 255
    assert done.stdout == ""
    assert "open failed" in done.stderr or "session request failed" in done.stderr


@pytest.mark.parametrize("arguments", [("scp",), ("scp", "-O"), ("sftp",)])
def test_no_file_can_be_copied(gate, arguments, tmp_path):
    program, *options = arguments
    source = f"{gate.name}-alice:/etc/hostname"
    done = gate.run([program, "-F", gate.config, *options, source, str(tmp_path / "copy")])
    assert done.returncode != 0
    assert not (tmp_path / "copy").exists()


def test_the_agent_is_not_taken_along(gate):
    with gate.tunnel("alice", "D"):
        held = "sudo sshd -T -C user=alice,host=gate,addr=192.0.2.1"
        said = gate.host.check_output(held).splitlines()
        assert gate.host.run("sudo find /tmp -name 'agent.*'").stdout == ""
    assert "allowagentforwarding no" in said
    assert "permittunnel no" in said


@pytest.mark.parametrize("member", ["carol", "nobody", "stranger"])
def test_who_is_no_member_or_one_no_longer_is_refused(gate, member):
    done = gate.asked(member, "127.0.0.1:22")
    assert done.returncode == 255
    assert "Permission denied (publickey)" in done.stderr


def test_another_members_key_is_refused(gate):
    done = gate.ssh("alice", "-N", "-oUser=bob")
    assert "Permission denied (publickey)" in done.stderr


def test_no_password_is_asked_for(gate):
    done = gate.ssh("alice", "-N", "-oPubkeyAuthentication=no", "-oBatchMode=no", "-oNumberOfPasswordPrompts=1")
    assert "Permission denied (publickey)" in done.stderr


def test_keys_are_roots(host):
    for member in ("alice", "bob", "carol", "dave"):
        path = host.check_output(f"readlink -f /run/haven-jump-host/keys/{member}")
        assert path == f"/etc/ssh/haven-jump-host/{member}"
        assert (host.file(path).user, host.file(path).mode) == ("root", 0o644)
        assert host.user(member).shell == "/usr/sbin/nologin"
        assert not host.file(host.user(member).home).exists


def test_without_the_rules_no_member_gets_in(gate):
    gate.host.check_output("sudo systemctl stop haven-jump-host")
    try:
        refused = gate.asked("alice", "127.0.0.1:22")
    finally:
        gate.host.check_output("sudo systemctl start haven-jump-host")
    assert "Permission denied (publickey)" in refused.stderr
    assert gate.ssh("alice", "true", machine="jump-red").returncode == 0
