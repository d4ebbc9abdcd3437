# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How wires treat connections."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from tests.sandbox.relay import Manner, serve

ANSWER = b"x" * 3_000_000


@pytest.fixture
def target() -> Iterator[tuple[str, int]]:
    """A server that says the same to everybody."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            while True:
                try:
                    link, _ = listener.accept()
                except OSError:  # the test is over
                    return
                with link:
                    try:
                        link.sendall(ANSWER)
                    except OSError:  # it was cut
                        continue

        threading.Thread(target=answer, daemon=True).start()
        yield listener.getsockname()


def through(target: tuple[str, int], manner: Manner) -> tuple[str, int]:
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=serve, args=(listener, target, manner), daemon=True).start()
    found: tuple[str, int] = listener.getsockname()
    return found


def read(where: tuple[str, int]) -> int:
    """How many bytes came; -1 when the connection was reset at once."""
    count = 0
    try:
        with socket.create_connection(where, timeout=10) as link:
            while data := link.recv(1 << 16):
                count += len(data)
    except ConnectionResetError:
        return count or -1
    return count


def test_a_good_wire_brings_everything(target: tuple[str, int]) -> None:
    where = through(target, Manner())
    assert [read(where) for _ in range(3)] == [len(ANSWER)] * 3


def test_a_resetting_wire_resets_the_connections_it_should(target: tuple[str, int]) -> None:
    where = through(target, Manner(reset_every=3))
    assert [read(where) == -1 for _ in range(6)] == [False, False, True, False, False, True]


def test_a_cutting_wire_ends_every_longer_answer_in_its_middle(target: tuple[str, int]) -> None:
    where = through(target, Manner(cut_after=1_000_000))
    assert all(900_000 < read(where) < len(ANSWER) for _ in range(3))
