# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finds the known name that a misspelt one is meant to be. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Optional

# A name that differs from a known one in so many letters is taken for a misspelling of it.
NEAR = 2


def distance(one: str, other: str) -> int:
    """How many letters have to be inserted, deleted, replaced, or swapped with the next one. Case does not count."""
    one, other = one.lower(), other.lower()
    before_last: list[int] = []
    last = list(range(len(other) + 1))
    for row, letter in enumerate(one, start=1):
        current = [row]
        for column, wanted in enumerate(other, start=1):
            cost = min(last[column] + 1, current[column - 1] + 1, last[column - 1] + (letter != wanted))
            swapped = row > 1 and column > 1 and letter == other[column - 2] and one[row - 2] == wanted
            current.append(min(cost, before_last[column - 2] + 1) if swapped else cost)
        before_last, last = last, current
    return last[-1]


def nearest(name: str, known: Iterable[str]) -> Optional[str]:
    """The known name with the fewest differences, the first in alphabetical order of several, or None of none."""
    return min(sorted(known), key=lambda each: distance(name, each), default=None)


def near(name: str, known: Iterable[str]) -> Optional[str]:
    """The known name that this one is likely to be a misspelling of, if any."""
    # Most names are of another length, and counting the letters is cheap.
    found = nearest(name, [each for each in known if abs(len(each) - len(name)) <= NEAR])
    return found if found is not None and distance(name, found) <= NEAR else None
