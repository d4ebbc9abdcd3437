# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One row of a table: what was measured, on which side, next to what."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional

from .cloud import Measured


@dataclass(frozen=True)
class Side:
    """One side of a row: ``polls`` only ask whether it is done, ``tags`` write tags, ``calls`` are all other calls."""

    seconds: float
    calls: int
    polls: int = 0
    tags: int = 0
    note: str = ""
    mib: float = 0.0
    cpu: float = 0.0
    # Every action with its number, for the JSON.
    actions: Optional[dict[str, int]] = None


@dataclass(frozen=True)
class Row:
    case: str
    ours: Side
    peer: Optional[Side] = None
    note: str = ""

    @property
    def ratio(self) -> Optional[float]:
        """How many times longer the peer takes."""
        return self.peer.seconds / self.ours.seconds if self.peer else None

    @property
    def cpu_ratio(self) -> Optional[float]:
        """How many times more of processors' time the peer takes."""
        return self.peer.cpu / self.ours.cpu if self.peer and self.ours.cpu else None


class BenchmarkBroken(Exception):  # noqa: N818 -- it says what happened
    """A measured command did not do what is measured."""


def side(measured: Measured, *, wanted: int = 0, note: str = "") -> Side:
    """A measurement as one side of a row, checked: a failed run has no time."""
    if measured.stopped:
        note = f"stopped by the benchmark after {measured.seconds:.0f} s"
    elif (measured.status != 0) != (wanted != 0):
        raise BenchmarkBroken(f"exit status {measured.status}: {measured.output[-3000:]}")
    polls, tags = measured.polls, measured.tags
    calls = measured.calls.total() - polls - tags
    return Side(
        round(measured.seconds, 2),
        calls,
        polls,
        tags,
        note,
        round(measured.mib),
        round(measured.cpu, 2),
        dict(sorted(measured.calls.items())),
    )


def beyond(measured: Side, floor: Side) -> Side:
    """What is measured without what the floor of the same moment takes."""
    seconds, cpu = measured.seconds - floor.seconds, measured.cpu - floor.cpu
    return dataclasses.replace(measured, seconds=round(max(seconds, 0.01), 2), cpu=round(max(cpu, 0.01), 2))


def middle(sides: Sequence[Side]) -> Side:
    """The middle one of several measurements of the same."""
    return sorted(sides, key=lambda each: each.seconds)[len(sides) // 2]


def unchanged(measured: Measured) -> Side:
    if "changed=0" not in measured.output:
        raise BenchmarkBroken(f"the second run changed something: {measured.output[-3000:]}")
    return side(measured)
