# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one object behind the API: its lock, its instances' lifecycle, what their machines are told."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from moto.ec2.models import ec2_backends

from ..faults import Faults
from ..memory import MemoryMachines
from .client_tokens import ClientTokens
from .disks import MachinesWithDisks, Volumes
from .environment import ACCOUNT
from .faults import LAUNCH, START, Fault
from .lifecycle import Lifecycle
from .models import SandboxInstance
from .rules import Rulebook, Rules, references_groups

if TYPE_CHECKING:
    from ..machines import Machines
    from .networks import Networks

MEMBERS_WITHIN_S = 0.5
ALIVE = frozenset({"pending", "running", "stopping", "stopped", "shutting-down"})


class Cloud:
    """State that moto has no place for. Whoever reads or changes moto's models holds `lock`."""

    def __init__(self, machines: Machines, *, watch: bool) -> None:
        """watch: whether machines may change by themselves, as real guests do."""
        self.lock = threading.RLock()
        self._raw = machines
        self.machines = MachinesWithDisks(machines, data_volumes)
        self.faults = Faults(Fault)
        self.tokens = ClientTokens()
        self.fragments: dict[str, str] = {}  # instance id -> its element in the answer to DescribeInstances
        self._rules: dict[str, Rules] = {}
        self.networks: Networks | None = None  # of the account's first region, once that is filled
        self.accepted: set[str] = set()  # Marketplace images whose terms the account has accepted
        self._stale: SimpleQueue[Any] = SimpleQueue()
        threading.Thread(target=self._follow_members, name="rules", daemon=True).start()
        self.lifecycle = Lifecycle(self.machines, self.lock, self._changed, watch=watch)

    def backends(self) -> Iterator[Any]:
        yield from ec2_backends[ACCOUNT].values()

    def instances(self) -> list[SandboxInstance]:
        return [one for one in SandboxInstance.by_id.values() if one.state_name in ALIVE]

    def launch(self, instances: list[SandboxInstance], params: dict[str, str]) -> None:
        """Make the machines of new instances and switch them on, their rules in place before they boot."""
        book = Rulebook(instances[0].ec2_backend, self.instances())
        for instance in instances:
            self._launch(instance, params, book.of(instance))
        self.members_changed(instances[0].ec2_backend)

    def _launch(self, instance: SandboxInstance, params: dict[str, str], rules: Rules) -> None:
        fault = self.faults.take(LAUNCH, params)
        doomed = (fault.code, f"{fault.code}: {fault.message}") if fault else None
        key = instance.ec2_backend.key_pairs.get(instance.key_name)
        image, address, id = instance.machine_image, str(instance.private_ip), instance.id
        user_data = base64.b64decode(str(instance.user_data or ""))
        keys = [_text(key.material_public).strip()] if key else []
        hostname = instance.private_dns_name.partition(".")[0]
        self._rules[id] = rules

        def create() -> None:
            self.machines.create(id, image, address, user_data, keys, hostname)
            self.machines.set_rules(id, rules)

        self.lifecycle.launch(instance, create, doomed)

    def start(self, instance: SandboxInstance) -> None:
        fault = self.faults.take(START, {"InstanceType": str(instance.instance_type)})
        self.lifecycle.start(instance, (fault.code, f"{fault.code}: {fault.message}") if fault else None)

    def push_rules(self, backend: Any) -> list[Future[None]]:
        """Tell the machines of a region whose rules are not what they were; done when each future is."""
        everybody = [one for one in self.instances() if one.ec2_backend is backend]
        book = Rulebook(backend, everybody)
        pushed = []
        for instance in everybody:
            rules = book.of(instance)
            if self._rules.get(instance.id) != rules:
                self._rules[instance.id] = rules
                pushed.append(self._push(instance.id, rules))
        return pushed

    def _push(self, id: str, rules: Rules) -> Future[None]:
        return self.lifecycle.order(id, lambda: self.machines.set_rules(id, rules))

    def lead(self, instance: SandboxInstance) -> Future[None]:
        """Let the public address that an instance now has lead to its machine."""
        id, address = instance.id, instance.public_ip or ""
        return self.lifecycle.order(id, lambda: self.machines.set_public_address(id, address))

    def members_changed(self, backend: Any) -> None:
        """An instance came or went: where groups let in groups, rules of others follow, for many launches at once."""
        if references_groups(backend):
            self._stale.put(backend)

    def _follow_members(self) -> None:
        while True:
            stale = {self._stale.get()}
            time.sleep(MEMBERS_WITHIN_S)
            while not self._stale.empty():
                stale.add(self._stale.get())
            with self.lock:
                for backend in stale:
                    self.push_rules(backend)

    def _changed(self, instance: SandboxInstance) -> None:
        self.fragments.pop(instance.id, None)
        if instance.state_name == "terminated":
            self._rules.pop(instance.id, None)
            self.members_changed(instance.ec2_backend)

    def disks_changed(self, instance: SandboxInstance) -> None:
        """Volumes were attached or detached; a guest that runs gets or loses them at its next stop."""
        if instance.state_name == "stopped":
            self.lifecycle.order(instance.id, lambda: self.machines.sync(instance.id))

    def volume_deleted(self, volume_id: str) -> None:
        """Remove what is behind a volume, after whatever was ordered with it."""
        self.lifecycle.order(volume_id, lambda: self.machines.delete_volume(volume_id))

    def forget_everything(self) -> None:
        """For a cloud that was emptied."""
        self.tokens.clear()
        self.fragments.clear()
        self._rules.clear()

    def asked(self, id: str) -> dict[str, Any]:
        """What a machine in memory was asked to be; nothing for real guests."""
        return self._raw.describe(id) if isinstance(self._raw, MemoryMachines) else {}

    def rules(self, id: str) -> Rules:
        return self._rules.get(id, [])


def data_volumes(id: str) -> Volumes:
    """The volumes of an instance but its root: named by volume id, as /dev/disk/by-id has it on AWS."""
    instance = SandboxInstance.by_id.get(id)
    if instance is None:
        return {}
    return {
        block.volume_id: {
            "name": block.volume_id,
            "size_gib": int(block.size),
            "device": device,
            "keep": not block.delete_on_termination,
        }
        for device, block in list(instance.block_device_mapping.items())
        if device != instance.root_device_name
    }


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
