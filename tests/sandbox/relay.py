# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Forward TCP connections from a listening socket of one network namespace to an address of another.

`python -m tests.sandbox.relay --listen-fd N --to HOST:PORT`: the listener is inherited and keeps the namespace it was
made in; connections are opened in the namespace this process runs in.
"""

from __future__ import annotations

import argparse
import socket
import threading

_BUFFER = 1 << 18


def serve(listener: socket.socket, target: tuple[str, int]) -> None:
    """Forward until the listener fails."""
    while True:
        near, _ = listener.accept()
        threading.Thread(target=_forward, args=(near, target), daemon=True).start()


def _forward(near: socket.socket, target: tuple[str, int]) -> None:
    with near:
        try:
            far = socket.create_connection(target, timeout=10)
        except OSError:  # the target is not there: closing is all the answer there is
            return
        with far:
            far.settimeout(None)
            for side in (near, far):
                side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            back = threading.Thread(target=_copy, args=(far, near), daemon=True)
            back.start()
            _copy(near, far)
            back.join()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    """Copy one direction to its end, and pass the end on; the other direction may go on."""
    buffer = bytearray(_BUFFER)
    view = memoryview(buffer)
    try:
        while count := source.recv_into(buffer):
            sink.sendall(view[:count])
        sink.shutdown(socket.SHUT_WR)
    except OSError:  # one side was reset: nothing more can be said to either
        for side in (source, sink):
            try:
                side.shutdown(socket.SHUT_RDWR)
            except OSError:  # already closed by its peer
                continue


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description="Forward TCP between network namespaces.")
    parser.add_argument("--listen-fd", type=int, required=True)
    parser.add_argument("--to", required=True, metavar="HOST:PORT")
    arguments = parser.parse_args()
    host, _, port = arguments.to.rpartition(":")
    serve(socket.socket(fileno=arguments.listen_fd), (host, int(port)))


if __name__ == "__main__":
    main()
