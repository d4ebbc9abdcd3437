# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which shortcuts are enabled: code that gives the same result as the plain code, only faster.

Tests and the bench turn them off to compare results and times. There is no other use for that.
"""

from __future__ import annotations

import os

_VARIABLE = "HAVEN_SHORTCUTS_OFF"
# What each shortcut does.
NAMES = {
    "collector": "Python's search for cyclic garbage pauses where much is made and little thrown away",
    "expressions": "an inventory's expressions are evaluated once for equal values, not for each host",
    "parser": "EC2's XML is read along the answer, not along the model, and without what nobody reads",
    "populate": "hosts get variables and groups without core's check and debug line for each",
}


def _switched_off() -> frozenset[str]:
    said = os.environ.get(_VARIABLE, "")
    return frozenset(NAMES) if said == "all" else frozenset(filter(None, said.split(",")))


_OFF = _switched_off()


def taken(name: str) -> bool:
    """Whether this shortcut, one of NAMES, is enabled."""
    return name not in _OFF
