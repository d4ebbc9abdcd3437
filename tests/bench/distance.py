# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server as if it were far away: jump hosts seldom stand beside the computer of who uses them.

The kernel's netem would do this in every network namespace, but not every kernel has it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

_BUFFER = 1 << 16

Address = tuple[str, int]


@contextmanager
def far_away(address: Address, round_trip: float) -> Iterator[Address]:
    """Another address of the same server, to which everything takes half of ``round_trip`` seconds, each way."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        starting = asyncio.start_server(partial(_serve, address, round_trip), "127.0.0.1", 0)
        server = asyncio.run_coroutine_threadsafe(starting, loop).result()
        yield server.sockets[0].getsockname()[:2]
    finally:
        asyncio.run_coroutine_threadsafe(_end(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _serve(address: Address, round_trip: float, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
    # TCP's own beginning; what comes meanwhile waits in its buffer.
    await asyncio.sleep(round_trip)
    far, forth = await asyncio.open_connection(*address)
    await asyncio.gather(_carry(near, forth, round_trip / 2), _carry(far, back, round_trip / 2))


async def _carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter, delay: float) -> None:
    """Pass everything on when it has been under way for so long, and the end, too."""
    loop = asyncio.get_running_loop()
    under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
    arriving = asyncio.ensure_future(_arrive(under_way, sink))
    data = b"more"
    while data:
        try:
            data = await source.read(_BUFFER)
        except ConnectionError:  # it was cut: an end as any other
            data = b""
        under_way.put_nowait((loop.time() + delay, data))
    await arriving


async def _arrive(under_way: asyncio.Queue[tuple[float, bytes]], sink: asyncio.StreamWriter) -> None:
    loop = asyncio.get_running_loop()
    while True:
        due, data = await under_way.get()
        await asyncio.sleep(due - loop.time())
        if not data or sink.is_closing():
            sink.close()
            return
        sink.write(data)


async def _end() -> None:
    """End the server and all connections."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for each in others:
        each.cancel()
    await asyncio.gather(*others, return_exceptions=True)
