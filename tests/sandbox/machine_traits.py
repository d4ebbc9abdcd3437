# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a machine looks from outside, which its image cannot do itself: a file of the image says so."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

PATH = "etc/haven-sandbox/machine.json"


@dataclass(frozen=True)
class MachineTraits:
    """ipv6: whether its kernel speaks it."""

    ipv6: bool = True

    @classmethod
    def of(cls, root: Path) -> MachineTraits:
        """What the image on that root folder wants; the usual where it says nothing."""
        path = root / PATH
        return cls(**json.loads(path.read_text(encoding="ascii"))) if path.is_file() else cls()
