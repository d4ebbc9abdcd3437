"""What holds for the TensorBoards of two users."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from testinfra.host import Host

UNITS = ["haven-tensorboard@{}.service", "haven-tensorboard-server@{}.service"]
WRITE_A_RUN = """
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter
import sys, time
writer = EventFileWriter(sys.argv[1])
value = Summary.Value(tag="loss", simple_value=0.5)
writer.add_event(Event(wall_time=time.time(), step=1, summary=Summary(value=[value])))
writer.close()
"""


def ask(host: Host, user: str, path: str, whose: str | None = None) -> str:
    """What `user` gets from a TensorBoard, by default their own; an empty string where the socket cannot be opened."""
    with host.sudo(user):
        answer = host.run(
            f"curl -s -m 60 --unix-socket /run/haven/{whose or user}/tensorboard.sock http://localhost{path}"
        )
    assert answer.rc in (0, 7)
    return str(answer.stdout)


def states(host: Host, user: str) -> list[str]:
    return host.run("systemctl is-active " + " ".join(unit.format(user) for unit in UNITS)).stdout.split()


def await_states(host: Host, user: str, wanted: list[str]) -> None:
    deadline = time.monotonic() + 30
    while (found := states(host, user)) != wanted:
        assert time.monotonic() < deadline, found
        time.sleep(0.5)


@pytest.fixture(params=["alice", "bob"])
def user_with_a_run(host: Host, request: pytest.FixtureRequest) -> Iterator[str]:
    user = request.param
    folder = {"alice": "/home/alice/runs/digits", "bob": "/srv/all runs/digits"}[user]
    with host.sudo():
        host.check_output("mkdir -p %s", folder)
        host.check_output("/opt/haven/tensorboard/bin/python -c %s %s", WRITE_A_RUN, folder)
        host.check_output("chown -R %s: %s", user, folder.rsplit("/", 1)[0])
    yield user
    with host.sudo():
        host.check_output("rm -r %s", folder)


def test_the_socket_is_its_users_alone_and_comes_back_after_a_boot(host: Host) -> None:
    assert host.service("haven-tensorboard@alice.socket").is_enabled
    with host.sudo():
        socket, folder = host.file("/run/haven/alice/tensorboard.sock"), host.file("/run/haven/alice")
        assert (socket.is_socket, socket.user, socket.mode) == (True, "alice", 0o600)
        # Root's and sticky: alice cannot put a link where systemd is about to give her a file.
        assert (folder.user, folder.group, folder.mode) == ("root", "root", 0o1770)


def test_the_first_connection_starts_it_and_finds_the_runs(host: Host, user_with_a_run: str) -> None:
    await_states(host, user_with_a_run, ["inactive", "inactive"])
    assert json.loads(ask(host, user_with_a_run, "/data/environment"))["data_location"]
    deadline = time.monotonic() + 30
    while (runs := json.loads(ask(host, user_with_a_run, "/data/runs"))) != ["digits"]:
        assert time.monotonic() < deadline, runs
        time.sleep(0.5)
    assert "loss" in ask(host, user_with_a_run, "/data/plugin/scalars/tags")


def test_it_ends_when_nobody_looks_and_starts_again(host: Host) -> None:
    assert "<title>TensorBoard</title>" in ask(host, "alice", "/")
    assert states(host, "alice") == ["active", "active"]
    await_states(host, "alice", ["inactive", "inactive"])
    assert "<title>TensorBoard</title>" in ask(host, "alice", "/")


@pytest.mark.parametrize("user", ["mallory", "bob"])
def test_another_user_reaches_neither_the_socket_nor_the_port(host: Host, user: str) -> None:
    assert "<title>TensorBoard</title>" in ask(host, "alice", "/")
    assert ask(host, user, "/", whose="alice") == ""
    with host.sudo(user):
        assert host.run("curl -s --noproxy '*' -m 5 http://127.0.0.1:6006/").rc == 7


def test_only_sshd_listens_on_the_host_while_it_runs(host: Host) -> None:
    assert ask(host, "alice", "/")
    lines = host.check_output("ss -Hltn").splitlines()
    assert lines
    assert all(":22 " in line for line in lines)


@pytest.mark.parametrize("unit", UNITS)
def test_its_units_are_hardened(host: Host, unit: str) -> None:
    with host.sudo():
        verdict = host.check_output("systemd-analyze security --no-pager %s", unit.format("alice")).splitlines()[-1]
    assert float(verdict.split(":")[-1].split()[0]) <= 1.5
    shown = host.check_output("systemctl show -p PrivateNetwork -p User %s", unit.format("alice"))
    assert set(shown.split()) == {"PrivateNetwork=yes", "User=alice"}


def test_a_failing_tensorboard_is_reported_and_recovers(host: Host) -> None:
    await_states(host, "alice", ["inactive", "inactive"])
    program = "/opt/haven/tensorboard/bin/tensorboard"
    with host.sudo():
        host.check_output("mv %s %s.away", program, program)
        try:
            with host.sudo("alice"):
                refused = host.run("curl -s -m 60 --unix-socket /run/haven/alice/tensorboard.sock http://localhost/")
        finally:
            host.check_output("mv %s.away %s", program, program)
    assert refused.rc in (52, 56)  # closed without an answer
    deadline = time.monotonic() + 60
    while True:
        with host.sudo("alice"):
            answer = host.run("curl -s -m 60 --unix-socket /run/haven/alice/tensorboard.sock http://localhost/")
        if answer.rc == 0:
            break
        assert time.monotonic() < deadline
        time.sleep(0.5)
    assert "<title>TensorBoard</title>" in answer.stdout
