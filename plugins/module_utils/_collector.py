# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pauses Python's garbage collector where many objects are created and few are freed.

An inventory creates thousands of hosts, and loading an SDK creates some ten thousand functions and classes. They
contain no cycles to free, but each collection visits all of them.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from ._shortcuts import taken

# Some versions of Python start with a few.
_USUAL = gc.get_freeze_count()


@contextmanager
def paused(*, keep: bool = False) -> Iterator[None]:
    """Disable automatic garbage collection within the block.

    ``keep``: freeze all existing objects before and after the block, until the next such block or the end of the
    process, so that no collection visits them.
    """
    if not taken("collector"):
        yield
        return
    was_on = gc.isenabled()
    if keep:
        if gc.get_freeze_count() > _USUAL:
            gc.unfreeze()
            gc.collect()
        gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        if keep:
            gc.freeze()
        if was_on:
            gc.enable()
