# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Forward TCP connections from listening sockets of one network namespace to addresses of another.

`python -m tests.sandbox.relay --forward FD=HOST:PORT[,MANNER] ...`: the listeners are inherited and keep the namespaces
they were made in; connections are opened in the namespace this process runs in. Manners are those of bad wires.
"""

from __future__ import annotations

import argparse
import itertools
import socket
import struct
import threading
from dataclasses import dataclass
from functools import partial

_BUFFER = 1 << 18
RESET_EVERY = 10
CUT_AFTER = 1 << 19
"""Bytes to the client: more than any page of an index, and less than most packages."""

# Closing sends a reset in place of an end.
_NO_LINGER = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Manner:
    """How a wire treats connections: it resets every so many-th of them, and ends each after so many bytes back.

    0 is never.
    """

    reset_every: int = 0
    cut_after: int = 0


MANNERS = {"": Manner(), "resetting": Manner(reset_every=RESET_EVERY), "cutting": Manner(cut_after=CUT_AFTER)}


def serve(listener: socket.socket, target: tuple[str, int], manner: Manner = MANNERS[""]) -> None:
    """Forward until the listener fails."""
    for number in itertools.count(1):
        near, _ = listener.accept()
        if manner.reset_every and number % manner.reset_every == 0:
            near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            near.close()
            continue
        threading.Thread(target=_forward, args=(near, target, manner.cut_after), daemon=True).start()


def _forward(near: socket.socket, target: tuple[str, int], cut_after: int) -> None:
    with near:
        try:
            far = socket.create_connection(target, timeout=10)
        except OSError:  # the target is not there: closing is all the answer there is
            return
        with far:
            far.settimeout(None)
            for side in (near, far):
                side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            back = threading.Thread(target=_copy, args=(far, near, cut_after), daemon=True)
            back.start()
            _copy(near, far)
            back.join()


def _copy(source: socket.socket, sink: socket.socket, at_most: int = 0) -> None:
    """Copy one direction to its end, and pass the end on; the other direction may go on.

    at_most: after so many bytes both directions end; 0 for no limit.
    """
    buffer = bytearray(_BUFFER)
    view = memoryview(buffer)
    copied = 0
    try:
        while count := source.recv_into(buffer):
            sink.sendall(view[:count])
            copied += count
            if at_most and copied >= at_most:
                _end(source, sink)
                return
        sink.shutdown(socket.SHUT_WR)
    except OSError:  # one side was reset: nothing more can be said to either
        _end(source, sink)


def _end(*sides: socket.socket) -> None:
    for side in sides:
        try:
            side.shutdown(socket.SHUT_RDWR)
        except OSError:  # already closed by its peer
            continue


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description="Forward TCP between network namespaces.")
    parser.add_argument("--forward", action="append", required=True, metavar="FD=HOST:PORT[,MANNER]")
    servers = []
    for each in parser.parse_args().forward:
        descriptor, _, rest = each.partition("=")
        target, _, manner = rest.partition(",")
        host, _, port = target.rpartition(":")
        listener = socket.socket(fileno=int(descriptor))
        servers.append(partial(serve, listener, (host, int(port)), MANNERS[manner]))
    threads = [threading.Thread(target=server) for server in servers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
