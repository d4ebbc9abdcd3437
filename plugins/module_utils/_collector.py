# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pauses Python's garbage collector where many objects are created and few are freed.

An inventory makes thousands of hosts, and loading an SDK makes some ten thousand functions and classes: there are no
cycles to be freed among them, and each search visits all.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from ._shortcuts import taken

# Some versions of Python begin with a few.
_USUAL = gc.get_freeze_count()


@contextmanager
def paused(*, keep: bool = False) -> Iterator[None]:
    """No search for cycles within the block but what it asks for.

    ``keep``: what there is before and after it stays, until the next such block or to the end of this process, so that
    no search visits it.
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
