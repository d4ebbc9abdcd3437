# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The hops are asked once, and what is not there yet is said. ssh is a stand-in."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.haven.gpu.plugins.module_utils._check import route
from ansible_collections.haven.gpu.plugins.module_utils._errors import HavenError, Unreachable
from ansible_collections.haven.gpu.plugins.module_utils._models import Finding, Hop, Instance, Spec
from ansible_collections.haven.gpu.plugins.module_utils._ssh.hops import wanted_hops

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ/+K5c7Wxxm5lYcOSr4fe1rH2bRVh0PEdtpSx4s1Lqz"
SK = (
    "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAICFo/k5LU8863u66YC9eUO2170QduohPURkQnbLa/"
    "dczAAAABHNzaDo="
)
GATE = Hop("127.0.0.1", user="alice", host_key=KEY)
BEHIND = Hop("10.0.0.9", user="bob")


class Stand:
    """A held connection: what ssh says, and what answers behind its forward."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)
        self.error: HavenError | None = None
        self.answer: bytes | None = None
        self.log = ""
        self.asked: list[tuple[Sequence[Hop], Any]] = []

    def said(self, since: int = 0) -> str:
        return self.log[since:]

    @contextlib.contextmanager
    def held(self, hops: Sequence[Hop], forwards: Any = ()) -> Iterator[Stand]:
        self.asked.append((tuple(hops), list(forwards)))
        if self.error:
            raise self.error
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(os.path.join(self.folder, "p"))
            server.listen()
            thread = threading.Thread(target=self._serve, args=(server,), daemon=True)
            thread.start()
            yield self
        Path(self.folder, "p").unlink()

    def _serve(self, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            client, _address = server.accept()
            client.recv(64)
            if self.answer is None:
                self.log += "channel 1: open failed: connect failed: Connection refused\n"
            client.sendall(self.answer or b"")
            client.close()


@pytest.fixture
def stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stand:
    one = Stand(tmp_path)
    monkeypatch.setattr(route, "held", one.held)
    return one


def verdicts(findings: list[Finding]) -> dict[str, str]:
    return {each.about: each.verdict for each in findings}


def test_all_hops_are_asked_with_one_connection(stand: Stand) -> None:
    found = route.check((GATE, BEHIND), [], [], None)
    assert verdicts(found) == {"jump host 127.0.0.1": "ok", "jump host 10.0.0.9": "ok"}
    assert found[0].said == "answers as alice"
    assert stand.asked == [((GATE, BEHIND), [])]


def test_the_hop_that_refuses_is_named(stand: Stand) -> None:
    stand.error = Unreachable("The jump host 10.0.0.9 refuses the login: check the hop's user and key.")
    found = route.check((GATE, BEHIND), [], [], "http://p:3128")
    assert verdicts(found) == {"jump host 10.0.0.9": "wrong", "egress proxy": "unknown"}


def test_a_name_that_cannot_be_looked_up_is_not_waited_for(stand: Stand) -> None:
    found = route.check((Hop("gate.invalid"),), [], [], None)
    assert verdicts(found) == {"jump host gate.invalid": "wrong"}
    assert "cannot be looked up" in found[0].said
    assert stand.asked == []


def test_a_key_that_cannot_be_used_is_not_tried(stand: Stand) -> None:
    found = route.check((Hop("127.0.0.1", key="/gone"),), [], [], None)
    assert verdicts(found) == {"jump host 127.0.0.1": "unknown"}
    assert stand.asked == []


@pytest.mark.parametrize(("key", "verdict"), [(KEY, "ok"), (f"{SK}\n{KEY}", "ok"), (SK, "unknown")])
def test_nobody_is_asked_to_touch_a_security_key(stand: Stand, key: str, verdict: str) -> None:
    assert verdicts(route.check((Hop("127.0.0.1", key=key),), [], [], None)) == {"jump host 127.0.0.1": verdict}
    assert len(stand.asked) == (verdict == "ok")


def test_a_hop_that_this_run_creates_comes_with_it(stand: Stand) -> None:
    hops = wanted_hops([{"host": "127.0.0.1"}, {"instance": "gate"}])
    found = route.check(hops, [], [Spec("p", "gate"), Spec("p", "notebook")], "http://p:3128")
    assert verdicts(found) == {"jump host 127.0.0.1": "ok", "egress proxy": "unknown", "jump host gate": "ok"}
    assert [each.said for each in found if each.about == "jump host gate"] == ["it comes with this run"]


def test_a_hop_that_this_run_creates_can_be_meant_by_its_tags(stand: Stand) -> None:
    hops = wanted_hops([{"tag": {"role": "gate"}}])
    planned = [Spec("p", "one"), Spec("p", "two", tags={"role": "gate", "more": "x"})]
    assert verdicts(route.check(hops, [], planned, None)) == {"jump host role=gate": "ok"}
    assert verdicts(route.check(hops, [], planned[:1], None)) == {"jump host role=gate": "wrong"}


def test_a_hop_that_is_stopped_runs_with_this_run(stand: Stand) -> None:
    gate = Instance("i-1", "gate", "p", "ec2", "r", "stopped")
    found = route.check(wanted_hops([{"instance": "gate"}]), [gate], [Spec("p", "gate", state="running")], None)
    assert verdicts(found) == {"jump host gate": "ok"}


def test_a_hop_that_is_no_instance_and_will_be_none_is_wrong(stand: Stand) -> None:
    found = route.check(wanted_hops([{"instance": "gaet"}]), [], [Spec("p", "gate")], None)
    assert verdicts(found) == {"jump host gaet": "wrong"}


def test_a_hop_that_is_an_instance_is_asked_at_its_address(stand: Stand) -> None:
    gate = Instance("i-1", "gate", "p", "ec2", "r", "running", public_address="127.0.0.1", private_address="10.0.0.1")
    found = route.check(wanted_hops([{"instance": "gate", "user": "alice"}]), [gate], [], None)
    assert verdicts(found) == {"jump host 127.0.0.1": "ok"}


@pytest.mark.parametrize(
    ("answer", "log", "verdict"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n", "", "ok"),
        (None, "", "wrong"),
        (b"", "channel 1: open failed: administratively prohibited: open failed\n", "unknown"),
    ],
    ids=["answers", "refused", "forbidden"],
)
def test_the_proxy_is_asked_from_the_last_hop(stand: Stand, answer: bytes | None, log: str, verdict: str) -> None:
    stand.answer = answer

    def said(since: int = 0) -> str:
        return log or stand.log[since:]

    stand.said = said  # type: ignore[method-assign]
    found = route.check((GATE,), [], [], "http://user:canary@10.0.0.2:3128")
    assert verdicts(found)["egress proxy"] == verdict
    assert stand.asked == [((GATE,), [("p", "10.0.0.2", 3128)])]
    assert "canary" not in str(found)
