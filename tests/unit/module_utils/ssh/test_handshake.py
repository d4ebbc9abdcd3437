# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ssh is asked of instances that are waited for, and what its answers mean. ssh is a stand-in."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ansible_collections.haven.gpu.plugins.module_utils._errors import (
    Denied,
    InvalidRequest,
    LoginRefused,
    TimedOut,
    Untrusted,
)
from ansible_collections.haven.gpu.plugins.module_utils._models import Instance
from ansible_collections.haven.gpu.plugins.module_utils._retry import Deadline
from ansible_collections.haven.gpu.plugins.module_utils._ssh import handshake
from ansible_collections.haven.gpu.plugins.module_utils._ssh.handshake import Route
from ansible_collections.haven.gpu.plugins.module_utils._ssh.hops import wanted_hops
from tests.unit.module_utils.ssh.readings import KEY

GATE = {"host": "gate.example.org", "host_key": KEY}


def instance(name: str, host_key: str = KEY) -> Instance:
    tags = {"haven:host-key": host_key, "haven:login-user": "debian"} if host_key else {}
    addresses = {"private_address": "10.0.0.5", "public_address": "198.51.100.5"}
    return Instance(
        id=f"i-{name}", name=name, project="p", cloud="ec2", region="r", state="running", tags=tags, **addresses
    )


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder: what ssh answers is in ``answer``, its status in ``status``, and what it was given in ``config``."""
    program = tmp_path / "bin" / "ssh"
    program.parent.mkdir()
    program.write_text(
        # What ssh knows is asked first.
        f'#!/bin/sh\n[ "$1" != -o ] || exit 0\necho >> {tmp_path}/attempts\ncp "$2" {tmp_path}/config\n'
        f"cat {tmp_path}/answer\ncat {tmp_path}/answer >&2\nexit $(cat {tmp_path}/status)\n"
    )
    program.chmod(0o755)
    (tmp_path / "status").write_text("0")
    (tmp_path / "answer").write_text("boot-2\n")
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return tmp_path


@pytest.mark.parametrize(("hops", "address"), [([GATE], "10.0.0.5"), ([], "198.51.100.5")])
def test_an_instance_is_asked_at_the_address_that_its_hops_reach(
    ssh: Path, hops: list[dict[str, str]], address: str
) -> None:
    route = Route(wanted=wanted_hops(hops), private_key="/keys/mine")
    assert route.boots([instance("one"), instance("unknown", host_key="")]) == {"i-one": "boot-2"}
    config = (ssh / "config").read_text()
    block = config[config.index("Host i-one") :].partition("\n\n")[0]
    assert f"  HostName {address}\n" in block
    assert {"  User debian", '  IdentityFile "/keys/mine"', "  StrictHostKeyChecking yes"} <= set(block.splitlines())
    assert ("haven-hop-gate-example-org-" in block) == bool(hops)


def test_a_wait_ends_with_another_boot_than_the_one_before(ssh: Path) -> None:
    route = Route()
    route.wait([instance("one")], Deadline(0.0), {"i-one": "boot-1"})
    with pytest.raises(TimedOut, match="it has not restarted"):
        route.wait([instance("one")], Deadline(0.0), {"i-one": "boot-2"})


def test_who_shows_another_host_key_is_not_waited_for(ssh: Path) -> None:
    (ssh / "status").write_text("255")
    (ssh / "answer").write_text("haven.gpu refuses one (i-one): it shows the host key A, and B is known. Why.\n")
    with pytest.raises(Untrusted, match=r"refuses one \(i-one\).*haven:host-key"):
        Route().wait([instance("one")], Deadline(3600.0), {})


def test_without_a_host_key_nobody_is_waited_for(ssh: Path) -> None:
    with pytest.raises(InvalidRequest, match="host key of blank is not known"):
        Route().wait([instance("one"), instance("blank", host_key="")], Deadline(0.0), {})
    assert not (ssh / "config").exists()


FINISHED = (
    "[   14.2] cloud-init[512]: Cloud-init v. 22.4.2 finished at Mon, 30 Nov 2026 20:00:00 +0000. Up 14.2 seconds\n"
)
NO_LOGIN = "ubuntu@10.0.0.5: Permission denied (publickey)."
BY_THE_HOP = "haven.gpu: the jump host haven-hop-gate cannot be reached: me@gate: Permission denied (publickey)."


class Clock:
    """A clock that only pauses move. ``at`` is called at the beginning of each pause."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.pauses: list[float] = []
        self.at: Callable[[], object] = list

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.at()
        self.pauses.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(handshake, "time", clock)
    return clock


def refuse(ssh: Path, answer: str) -> None:
    (ssh / "status").write_text("255")
    (ssh / "answer").write_text(f"{answer}\n")


def attempts(ssh: Path) -> int:
    return len((ssh / "attempts").read_text())


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (NO_LOGIN, r"Instance one refused the login 4 times \(ubuntu@10.* check login_user.*key pair alice"),
        (
            "Received disconnect from 10.0.0.5 port 22:2: Too many authentication failures\nDisconnected",
            "Too many auth",
        ),
        (BY_THE_HOP, r"A jump host of one refused the login 4 times \(haven-hop-gate .* check the hop's user and key"),
    ],
)
def test_a_refused_login_is_final_30_s_after_the_first_and_is_not_tried_often(
    ssh: Path, clock: Clock, said: str, message: str
) -> None:
    refuse(ssh, said)
    one = dataclasses.replace(instance("one"), key_pair="alice")
    with pytest.raises(LoginRefused, match=message):
        Route().wait([one], Deadline(3600.0), {})
    # sshd forgets a refusal after 5 seconds, so three of them never add up to the 15 that lock an address out.
    assert clock.pauses == [10.0, 10.0, 10.0]
    assert attempts(ssh) == 4


def test_a_refused_login_is_final_at_once_when_the_boot_is_complete(ssh: Path, clock: Clock) -> None:
    refuse(ssh, NO_LOGIN)
    with pytest.raises(LoginRefused, match="2 times"):
        Route(console=lambda each: f"{each.name}\n{FINISHED}").wait([instance("one")], Deadline(3600.0), {})
    assert sum(clock.pauses) <= 1.0
    assert attempts(ssh) == 2


def test_what_the_console_of_an_instance_says_is_not_about_its_jump_host(ssh: Path, clock: Clock) -> None:
    refuse(ssh, BY_THE_HOP)
    with pytest.raises(LoginRefused):
        Route(console=lambda _each: FINISHED).wait([instance("one")], Deadline(3600.0), {})
    assert attempts(ssh) == 4


def test_a_console_that_may_not_be_read_leaves_it_to_the_time(ssh: Path, clock: Clock) -> None:
    def console(_instance: Instance) -> str:
        raise Denied("GetConsoleOutput is not allowed.")

    refuse(ssh, NO_LOGIN)
    with pytest.raises(LoginRefused, match="4 times"):
        Route(console=console).wait([instance("one")], Deadline(3600.0), {})


def test_a_user_who_is_created_late_gets_in_and_the_refusal_is_said_at_once(
    ssh: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[tuple[str, str]] = []
    monkeypatch.setattr(handshake.progress, "begins", lambda text, about: said.append((about, text)))
    refuse(ssh, NO_LOGIN)
    clock.at = lambda: (ssh / "status").write_text("0")
    Route().wait([instance("one")], Deadline(3600.0), {})
    assert [about for about, _text in said] == ["one", "one"]
    assert "refused once (ubuntu@10.0.0.5: Permission denied (publickey))" in said[1][1]


def test_no_answer_is_waited_for_as_before(ssh: Path, clock: Clock) -> None:
    for said in ("ssh: connect to host 10.0.0.5 port 22: Permission denied", "Connection refused"):
        refuse(ssh, said)
        with pytest.raises(TimedOut, match=said):
            Route().wait([instance("one")], Deadline(0.0), {})
    assert clock.pauses == []
