# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Attempts, pauses, and parallel calls."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Optional, TypeVar

from ._models import Pacing

WORKERS = 10
# How often a question to a cloud is asked at most: where it says that there are too many, and where it failed.
THROTTLE_ATTEMPTS = 9
OTHER_ATTEMPTS = 4
# Seconds: the n-th pause is a random part of FIRST_PAUSE * 2**n, at most LONGEST_PAUSE.
_FIRST_PAUSE = 0.4
_LONGEST_PAUSE = 8.0
_T = TypeVar("_T")
_R = TypeVar("_R")


def pause_after(attempts: int) -> None:
    """Sleep before the same question is asked again, at random, since others may have been refused with us."""
    time.sleep(random.uniform(0, min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**attempts)))  # noqa: S311 -- no secret


class Deadline:
    """One span of time that all waiting of a run shares."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    @property
    def over(self) -> bool:
        return time.monotonic() >= self._end

    @property
    def left(self) -> float:
        return max(0.0, self._end - time.monotonic())


class Pace:
    """Sleeps between questions; ``first`` is how long to wait for the first one."""

    def __init__(self, pacing: Pacing = Pacing(), first: Optional[float] = None) -> None:  # noqa: B008 -- frozen
        self._pacing = pacing
        self._interval = pacing.then
        self._next = time.monotonic() + (pacing.then if first is None else first)

    def sleep(self) -> None:
        time.sleep(max(0.0, self._next - time.monotonic()))
        self._next = time.monotonic() + self._interval
        self._interval = min(self._interval * self._pacing.growth, self._pacing.longest)


def both(one: Callable[[], _T], other: Callable[[], _R]) -> tuple[_T, _R]:
    """The results of two questions that are asked at the same time."""
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(other)
        return one(), asked.result()


def together(function: Callable[[_T], _R], items: Sequence[_T]) -> list[_R]:
    """The function's results for all items, some at a time; the first error is raised when all have ended."""
    if len(items) < 2:
        return [function(item) for item in items]
    with ThreadPoolExecutor(min(WORKERS, len(items))) as pool:
        return list(pool.map(function, items))
