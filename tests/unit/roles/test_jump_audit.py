# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""haven-jump-audit's lines, from the journal's entries as OpenSSH 9.2 and 10.0 write them."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[3] / "roles/jump_host/files/haven_jump_audit.py"
KEY = "SHA256:MSWCOEC/zKtzaJYI1NzKYori9HM4ZQ1o6wVYZUDl82c"


@pytest.fixture(scope="module")
def audit() -> Any:
    spec = importlib.util.spec_from_file_location("haven_jump_audit", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def entry(pid: int, message: Any) -> dict[str, Any]:
    return {"_PID": str(pid), "MESSAGE": message, "__REALTIME_TIMESTAMP": "1800000000000000"}


def login(name: str, port: int, monitor: int, child: int) -> list[dict[str, Any]]:
    return [
        entry(monitor, f"Accepted publickey for {name} from 192.0.2.9 port {port} ssh2: ED25519 {KEY}"),
        entry(monitor, f"User child is on pid {child}"),
    ]


@pytest.mark.parametrize("where", ["453 (pid=11)", "424 (bin=sshd-session, pid=11)"])
def test_a_connection_is_told_with_who_and_from_where(audit: Any, where: str) -> None:
    prefix = f"debug1: serverloop.c:server_request_direct_tcpip():{where}: "
    forward = entry(11, f"{prefix}originator 127.0.0.1 port 65535, target 10.0.0.5 port 22")
    other = login("bob", 5000, 20, 21)
    assert list(audit.lines([*login("alice", 4711, 10, 11), *other, forward])) == [
        f"2027-01-15T08:00:00+00:00 member=alice from=192.0.2.9:4711 login key=ED25519:{KEY}",
        f"2027-01-15T08:00:00+00:00 member=bob from=192.0.2.9:5000 login key=ED25519:{KEY}",
        "2027-01-15T08:00:00+00:00 member=alice from=192.0.2.9:4711 to=10.0.0.5:22",
    ]


@pytest.mark.parametrize("prefix", ["", "error: "])
def test_a_refusal_is_told(audit: Any, prefix: str) -> None:
    refused = entry(11, f"{prefix}connect_to 10.0.0.6 port 22: failed.")
    assert list(audit.lines([*login("alice", 4711, 10, 11), refused]))[1].endswith(
        " member=alice from=192.0.2.9:4711 refused=10.0.0.6:22"
    )


def test_a_number_that_comes_again_is_somebody_else(audit: Any) -> None:
    refused = entry(11, "connect_to 10.0.0.6 port 22: failed.")
    told = list(audit.lines([*login("alice", 4711, 10, 11), *login("bob", 5000, 10, 11), refused]))
    assert " member=bob from=192.0.2.9:5000 " in told[-1]


def test_what_a_member_writes_stays_in_its_place(audit: Any) -> None:
    hostile = "originator 127.0.0.1 port 1, target a member=bob\n\u202e to=10.0.0.1 port 22"
    told = list(audit.lines([*login("alice", 4711, 10, 11), entry(11, hostile)]))[-1]
    assert told.endswith(r" member=alice from=192.0.2.9:4711 to=a_member=bob\n\u202e_to=10.0.0.1:22")


def test_everything_else_is_passed_over(audit: Any) -> None:
    assert list(audit.lines([entry(1, [0, 255]), entry(1, "Server listening on 0.0.0.0 port 22."), {}])) == []
