# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a machine looks from outside, which its image cannot do itself: a file of the image says so."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from .machines import Volume
from .volumes import STORE

PATH = "etc/haven-sandbox/machine.json"


@dataclass(frozen=True)
class MachineTraits:
    """ipv6: whether its kernel speaks it. nitro: whether its disks are as on EC2's Nitro machines.

    There, disks are NVMe devices in the order in which they come, whatever they were asked for as: the root, a disk of
    the host, which a stop empties, and then the volumes.
    """

    ipv6: bool = True
    nitro: bool = False

    @classmethod
    def of(cls, root: Path) -> MachineTraits:
        """What the image on that root folder wants; the usual where it says nothing."""
        path = root / PATH
        return cls(**json.loads(path.read_text(encoding="ascii"))) if path.is_file() else cls()

    def seen(self, volume: Volume, others: Iterable[Volume]) -> Volume:
        """A volume with the device that the machine sees it as, beside the others that it has."""
        taken = {other.device for other in others}
        free = next(name for name in map("/dev/nvme{}n1".format, count(2)) if name not in taken)
        return replace(volume, device=free) if self.nitro else volume

    def own_disks(self, machine: str) -> list[Volume]:
        """The disks that the machine has beside its volumes."""
        number = hashlib.sha256(machine.encode()).hexdigest()[:17].upper()
        return [Volume(f"{STORE}{number}", 1, "/dev/nvme1n1")] if self.nitro else []
