# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who answers, without hops; through them it is tests/integration/test_api_via.py's business."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.haven.gpu.plugins.module_utils._models import Hop, Instance
from ansible_collections.haven.gpu.plugins.plugin_utils._hosts.populate import Entry
from ansible_collections.haven.gpu.plugins.plugin_utils._settings import STATIC, Settings
from ansible_collections.haven.gpu.plugins.plugin_utils._sources import probe as _probe
from ansible_collections.haven.gpu.plugins.plugin_utils._sources.probe import Target, probe, with_answers


@contextmanager
def server(greeting: bytes) -> Iterator[int]:
    """Somebody who says this and waits; yields the port."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.sendall(greeting)
            self.request.recv(1)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as one:
        one.daemon_threads = True
        threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield one.server_address[1]
        one.shutdown()


def test_only_the_greeting_of_an_sshd_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_probe, "TIMEOUT", 1.0)
    with (
        socket.socket() as nobody,
        server(b"SSH-2.0-x\r\n") as right,
        server(b"HTTP/1.1 200") as wrong,
        server(b"") as mute,
    ):
        nobody.bind(("127.0.0.1", 0))
        ports = {"right": right, "wrong": wrong, "mute": mute, "nobody": nobody.getsockname()[1]}
        answers, troubles = probe(Target(name, "127.0.0.1", port) for name, port in ports.items())
    assert answers == {"right": True, "wrong": False, "mute": False, "nobody": False}
    assert troubles == []


def test_more_machines_than_are_asked_at_a_time_all_get_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_probe, "AT_ONCE", 3)
    with server(b"SSH-2.0-x\r\n") as port:
        answers, _troubles = probe(Target(str(number), "127.0.0.1", port) for number in range(20))
    assert answers == {str(number): True for number in range(20)}


def test_a_jump_host_that_does_not_answer_is_named_and_takes_only_its_own_machines_along() -> None:
    with socket.socket() as nobody, server(b"SSH-2.0-x\r\n") as port:
        nobody.bind(("127.0.0.1", 0))
        hop = Hop(host="127.0.0.1", port=nobody.getsockname()[1])
        answers, troubles = probe([Target("near", "127.0.0.1", port), Target("far", "127.0.0.1", port, (hop,))])
    assert answers == {"near": True, "far": False}
    assert len(troubles) == 1
    assert "127.0.0.1 cannot be reached" in troubles[0]


def test_what_does_not_run_or_has_no_address_does_not_answer_and_who_was_not_asked_has_no_answer() -> None:
    settings = Settings(cloud="ec2", projects=("p",), reachable="probe")
    known: dict[str, Any] = {"name": "n", "project": "p", "cloud": "ec2", "region": "r"}
    own, unasked = replace(settings, cloud=STATIC, address="private"), replace(settings, reachable="untested")
    with server(b"SSH-2.0-x\r\n") as port:
        here = {"ansible_port": port}
        entries = [
            Entry(Instance(id="runs", state="running", public_address="127.0.0.1", **known), settings, "", here),
            Entry(Instance(id="stopped", state="stopped", public_address="127.0.0.1", **known), settings, "", here),
            Entry(Instance(id="nowhere", state="running", **known), settings, "", here),
            Entry(Instance(id="own", state="unknown", private_address="127.0.0.1", **known), own, "", here),
            Entry(Instance(id="alias", state="unknown", **known), own, "", here),
            Entry(Instance(id="unasked", state="running", public_address="127.0.0.1", **known), unasked, "", here),
        ]
        found, troubles = with_answers(entries)
    answers = {each.instance.id: each.own.get("haven_reachable") for each in found}
    assert answers == {"runs": True, "stopped": False, "nowhere": False, "own": True, "alias": None, "unasked": None}
    assert all(each.own["ansible_port"] == port for each in found)
    assert troubles == []
