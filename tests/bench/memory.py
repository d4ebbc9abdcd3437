# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much memory a command holds at its peak, with all the processes that it starts."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# A look costs about 3 ms.
_EVERY_S = 0.1
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Peak:
    """``mib`` is the highest sum of the resident sets that was seen; what processes share counts for each."""

    def __init__(self, pid: int) -> None:
        self.mib = 0.0
        self._pid = pid
        self._over = threading.Event()

    def watch(self) -> None:
        while not self._over.wait(_EVERY_S):
            self.mib = max(self.mib, sum(map(_resident, [self._pid, *descendants(self._pid)])) / 2**20)

    def end(self) -> None:
        self._over.set()


@contextmanager
def watched(pid: int) -> Iterator[Peak]:
    """The peak of a process and its descendants, as long as the block."""
    peak = Peak(pid)
    thread = threading.Thread(target=peak.watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        peak.end()
        thread.join()


def _resident(pid: int) -> int:
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    return 0


def descendants(pid: int) -> list[int]:
    """The processes a process has started, and theirs."""
    children: dict[int, list[int]] = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # pid (name) state parent: the name may hold blanks and brackets.
            parent = int(file.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(file.parent.name))
    found = list(children.get(pid, []))
    for child in found:
        found.extend(children.get(child, []))
    return found
