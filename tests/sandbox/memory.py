# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines that exist in memory only: for tests of adapters and for benches of thousands of instances."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .machines import State

HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI"


@dataclass
class _Machine:
    image: str
    address: str
    hostname: str
    user_data: bytes
    public_keys: list[str]
    volumes: list[dict[str, Any]]
    public_address: str = ""
    # Part of the host key, which each new disk has anew.
    disk: str = ""
    root_volume: str = ""
    ready_at: float | None = None  # None: switched off
    suspended: bool = False
    rules: list[dict[str, Any]] = field(default_factory=list)


class MemoryMachines:
    """Fulfils the Machines protocol without a guest. boot_s: seconds from start to ready."""

    def __init__(self, boot_s: float = 0.0) -> None:
        self.boot_s = boot_s
        self._machines: dict[str, _Machine] = {}
        self._disks = itertools.count()
        # By the name of a snapshot, whose it is and the disk it has.
        self._snapshots: dict[str, tuple[str, str]] = {}

    def create(  # noqa: PLR0917 - as Machines has it
        self,
        id: str,
        image: str,
        address: str,
        user_data: bytes,
        public_keys: list[str],
        hostname: str,
        volumes: list[dict[str, Any]],
        root_volume: str = "",
    ) -> None:
        self._machines[id] = _Machine(image, address, hostname, user_data, public_keys, volumes)
        self._machines[id].root_volume = root_volume
        owner, disk = self._snapshots.get(image, ("", ""))
        # A server that was shelved comes back with its own.
        self._machines[id].disk = disk if owner == id else f"{next(self._disks):03}"

    def start(self, id: str, public_address: str) -> None:
        machine = self._machines[id]
        machine.public_address = public_address
        machine.ready_at = time.monotonic() + self.boot_s

    def stop(self, id: str, by_force: bool = False) -> None:
        self._machines[id].ready_at = None
        self._machines[id].suspended = False

    def suspend(self, id: str) -> None:
        self._machines[id].suspended = True

    def resume(self, id: str) -> None:
        self._machines[id].suspended = False

    def destroy(self, id: str, keep_volumes: bool = False) -> None:
        self._machines.pop(id, None)

    def console(self, id: str) -> str:
        """What cloud-init prints at a first boot, with a key of the right form: two machines never share one."""
        if self.state(id) != "ready":
            return ""
        machine = self._machines[id]
        key = HOST_KEY + (id.removeprefix("i-").replace("-", "") + machine.disk).rjust(43, "A")
        return (
            f"[    0.000000] Booting {machine.image}\r\n"
            "-----BEGIN SSH HOST KEY KEYS-----\r\n"
            f"{key} root@{machine.hostname}\r\n"
            "-----END SSH HOST KEY KEYS-----\r\n"
        )

    def state(self, id: str) -> State:
        machine = self._machines.get(id)
        if machine is None:
            return "absent"
        if machine.ready_at is None:
            return "stopped"
        if machine.suspended:
            return "suspended"
        return "ready" if time.monotonic() >= machine.ready_at else "booting"

    def set_rules(self, id: str, rules: list[dict[str, Any]]) -> None:
        if id in self._machines:
            self._machines[id].rules = rules

    def set_public_address(self, id: str, public_address: str) -> None:
        if id in self._machines:
            self._machines[id].public_address = public_address

    def set_ports(self, ports: dict[str, dict[str, Any] | None]) -> None:
        """There is no wire here."""

    def attach(self, id: str, volume: dict[str, Any]) -> None:
        self._machines[id].volumes.append(volume)

    def detach(self, id: str, volume_name: str) -> None:
        machine = self._machines[id]
        machine.volumes = [volume for volume in machine.volumes if volume["name"] != volume_name]

    def delete_volume(self, volume_name: str) -> None:
        """There is nothing behind a volume here, and snapshots are deleted the same way."""
        self._snapshots.pop(volume_name, None)

    def create_volume(self, volume_name: str, image: str) -> None:
        """There is nothing behind a volume here."""

    def copy_volume(self, volume_name: str, copy_name: str) -> None:
        """There is nothing behind a volume here."""

    def snapshot(self, id: str, name: str) -> None:
        self._snapshots[name] = id, self._machines[id].disk

    def snapshots(self) -> Sequence[str]:
        return list(self._snapshots)

    def describe(self, id: str) -> dict[str, Any]:
        """What was asked of this machine: its rules, volumes, addresses and keys."""
        machine = self._machines.get(id)
        return {} if machine is None else {**vars(machine), "user_data": machine.user_data.decode("utf-8", "replace")}

    def list(self) -> Sequence[dict[str, str]]:
        """As Guests has it, without what only a guest has."""
        return [{"id": id, "address": machine.address} for id, machine in list(self._machines.items())]
