# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Data volumes of machines, kept as the API's books say.

A guest of the sandbox takes and gives disks only while it is switched off. So a volume attached to a running instance
is in the books at once and in the guest from its next start on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..machines import Machines, State

Volumes = dict[str, dict[str, Any]]


class MachinesWithDisks:
    """Machines whose disks follow `wanted`, a function from an instance's id to its data volumes by name.

    Each volume has name, size_gib, device, and keep: whether it outlives the instance.
    """

    def __init__(self, machines: Machines, wanted: Callable[[str], Volumes]) -> None:
        self._machines = machines
        self._wanted = wanted
        self._inside: dict[str, set[str]] = {}
        self._deleted: set[str] = set()
        self.console = machines.console
        self.set_rules = machines.set_rules
        self.set_public_address = machines.set_public_address

    def create(  # noqa: PLR0917 - as Machines has it
        self, id: str, image: str, address: str, user_data: bytes, public_keys: list[str], hostname: str
    ) -> None:
        volumes = self._wanted(id)
        self._inside[id] = set(volumes)
        self._machines.create(
            id, image, address, user_data, public_keys, hostname, [_plain(one) for one in volumes.values()]
        )

    def start(self, id: str, public_address: str) -> None:
        self.sync(id)
        self._machines.start(id, public_address)

    def stop(self, id: str) -> None:
        self._machines.stop(id)
        self.sync(id)

    def state(self, id: str) -> State:
        return self._machines.state(id)

    def destroy(self, id: str) -> None:
        """Shut the machine down in order, as AWS does, and remove it, but not the volumes that outlive it."""
        wanted, inside = self._wanted(id), self._inside.get(id, set())
        kept = sorted(name for name in inside if name not in wanted or wanted[name]["keep"])
        state = self._machines.state(id)
        if state != "absent":
            if state != "stopped":
                self._machines.stop(id)
            for name in kept:
                self._take_out(id, name)
                inside.discard(name)
            self._machines.destroy(id)
        self._inside.pop(id, None)

    def sync(self, id: str) -> None:
        """Give and take disks. Only for a machine that is switched off."""
        wanted, inside = self._wanted(id), self._inside.setdefault(id, set())
        for name in inside - set(wanted):
            self._take_out(id, name)
        for name in set(wanted) - inside:
            self._machines.attach(id, _plain(wanted[name]))
        self._inside[id] = set(wanted)

    def delete_volume(self, name: str) -> None:
        """Remove a volume; one that a running guest still has goes when it is taken out."""
        if any(name in inside for inside in self._inside.values()):
            self._deleted.add(name)
        else:
            self._machines.delete_volume(name)

    def _take_out(self, id: str, name: str) -> None:
        self._machines.detach(id, name)
        if name in self._deleted:
            self._deleted.discard(name)
            self._machines.delete_volume(name)


def _plain(volume: dict[str, Any]) -> dict[str, Any]:
    return {key: volume[key] for key in ("name", "size_gib", "device")}
