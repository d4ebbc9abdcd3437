# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Attempts, pauses, and parallel calls."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Optional, TypeVar

from ._models import Pacing
from ._progress import progress

WORKERS = 10
# The maximum number of attempts for a call: when the cloud throttles it, and after other failures.
THROTTLE_ATTEMPTS = 9
OTHER_ATTEMPTS = 4
# Seconds: the n-th pause is random, up to FIRST_PAUSE * 2**n, at most LONGEST_PAUSE.
_FIRST_PAUSE = 0.4
_LONGEST_PAUSE = 8.0
_API = "the cloud's API"
_T = TypeVar("_T")
_R = TypeVar("_R")


def pause_after(attempts: int, asked: float = 0.0) -> None:
    """Sleep for a random time before the next attempt, because others may have been refused at the same time.

    ``asked``: seconds that the service wants us to wait at least.
    """
    pause = random.uniform(0, min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**attempts))  # noqa: S311 -- no secret
    if asked:
        pause = max(pause, asked + random.uniform(0, _FIRST_PAUSE))  # noqa: S311 -- no secret
    progress.begins(f"attempt {attempts} failed, another one follows", about=_API)
    time.sleep(pause)
    progress.ends(about=_API)


class Deadline:
    """A time limit for all waiting in a run. Without ``seconds`` it never ends."""

    def __init__(self, seconds: float = math.inf) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    @property
    def over(self) -> bool:
        return time.monotonic() >= self._end

    @property
    def left(self) -> float:
        return max(0.0, self._end - time.monotonic())

    def within(self, seconds: float) -> Deadline:
        """A limit of its own for one step, that does not end later than this one."""
        return Deadline(min(seconds, self.left))


class Pace:
    """Sleeps between calls. ``first`` is the time before the first one."""

    def __init__(self, pacing: Pacing = Pacing(), first: Optional[float] = None) -> None:  # noqa: B008 -- frozen
        self._pacing = pacing
        self._interval = pacing.then
        self._next = time.monotonic() + (pacing.then if first is None else first)

    def sleep(self) -> None:
        time.sleep(max(0.0, self._next - time.monotonic()))
        self._next = time.monotonic() + self._interval
        self._interval = min(self._interval * self._pacing.growth, self._pacing.longest)


def both(one: Callable[[], _T], other: Callable[[], _R]) -> tuple[_T, _R]:
    """Call two functions in parallel and return both results."""
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(other)
        return one(), asked.result()


def together(function: Callable[[_T], _R], items: Sequence[_T]) -> list[_R]:
    """Call the function for all items, several in parallel. Raises the first error at the end."""
    if len(items) < 2:
        return [function(item) for item in items]
    with ThreadPoolExecutor(min(WORKERS, len(items))) as pool:
        return list(pool.map(function, items))
