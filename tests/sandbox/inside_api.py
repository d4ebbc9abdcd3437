# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The clouds' APIs on the private network, with TLS, where the jump host alone reaches them.

`python -m tests.sandbox.inside_api --certificate FILE --forward FD=HOST:PORT ...`: each inherited listener, which keeps
the namespace it was made in, speaks TLS and forwards to an address of the namespace this process runs in.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterable
from pathlib import Path

# The jump host knows this name (gate.py), and who is outside of the clouds (internet.py), each with another address.
# This machine does not.
NAME = "api.haven.test"
_BUFFER = 1 << 16


def url(port: int, path: str = "") -> str:
    """Where the jump host finds what this machine finds at the same port of its loopback address."""
    return f"https://{NAME}:{port}{path}"


async def serve(context: ssl.SSLContext, forwards: Iterable[tuple[int, str, int]]) -> None:
    """Forward from listeners, given by descriptor, until the process ends."""
    servers = []
    for descriptor, host, port in forwards:

        async def forward(
            near: asyncio.StreamReader, back: asyncio.StreamWriter, target: tuple[str, int] = (host, port)
        ) -> None:
            await _forward(near, back, target)

        servers.append(await asyncio.start_server(forward, sock=socket.socket(fileno=descriptor), ssl=context))
    await asyncio.gather(*(server.serve_forever() for server in servers))


async def _forward(near: asyncio.StreamReader, back: asyncio.StreamWriter, target: tuple[str, int]) -> None:
    with contextlib.suppress(OSError):  # the API is not there, or one side was reset: closing says so
        far, forth = await asyncio.open_connection(*target)
        # When either has ended there is nothing more to say: TLS knows no half-closed connections.
        copies = {asyncio.create_task(_copy(near, forth)), asyncio.create_task(_copy(far, back))}
        _, left = await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
        for copy in left:
            copy.cancel()
        forth.close()
    back.close()


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(_BUFFER):
            sink.write(data)
            await sink.drain()


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description="Forward TLS connections between network namespaces.")
    parser.add_argument("--certificate", type=Path, required=True)
    parser.add_argument("--forward", action="append", required=True, metavar="FD=HOST:PORT")
    options = parser.parse_args()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(options.certificate)
    forwards = []
    for each in options.forward:
        descriptor, _, target = each.partition("=")
        host, _, port = target.rpartition(":")
        forwards.append((int(descriptor), host, int(port)))
    asyncio.run(serve(context, forwards))


if __name__ == "__main__":
    main()
