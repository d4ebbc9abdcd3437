# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests: systemd-nspawn machines on overlays of Debian trees. Fulfils the Machines protocol (machines.py)."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Final

from . import cgroups, limits, sshd
from .disks import Disk, Disks
from .errors import NoSuchMachineError, SandboxError
from .machine_traits import MachineTraits
from .machines import Port, Rule, State, Volume
from .metadata import Facts
from .network import Network
from .processes import outer_children, run
from .seed import Seed, plant
from .volumes import Volumes

_POWER_OFF_WITHIN_S: Final = 10.0
_REBOOT: Final = 133  # nspawn's exit status when it leaves a reboot to whoever started it


@dataclass
class Guest:
    """One guest. The lock is held while it is started, stopped or destroyed."""

    id: str
    address: str
    hostname: str
    folder: Path
    namespace: str
    volumes: dict[str, Volume]
    root_volume: str = ""
    disk: Disk | None = None
    traits: MachineTraits = field(default_factory=MachineTraits)
    public_address: str = ""
    process: subprocess.Popen[bytes] | None = None
    ready: bool = False
    failed: bool = False
    suspended: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def root(self) -> Path:
        """Where its disk is mounted."""
        return self.folder / "root"

    @property
    def console(self) -> Path:
        """What it wrote to its console."""
        return self.folder / "console.log"

    def running(self) -> bool:
        """Is it powered on?"""
        return self.process is not None and self.process.poll() in {None, _REBOOT}

    def state(self) -> State:
        """See machines.State."""
        if self.suspended:
            return "suspended"
        if self.running():
            return "ready" if self.ready else "booting"
        return "failed" if self.failed or (self.process is not None and self.process.returncode != 0) else "stopped"


class Guests:
    """All guests of a sandbox. folder: on a file system that overlays may have their upper layers on."""

    def __init__(self, folder: Path, cache: Path, network: Network, volumes: Volumes, groups: list[Path]) -> None:
        self._folder = folder
        self._disks = Disks(folder / ".disks", cache)
        self._network = network
        self._volumes = volumes
        self._groups = groups
        self._lock = threading.Lock()
        self._guests: dict[str, Guest] = {}
        self._wire = threading.Lock()  # held while a port meets its guest
        self._ports: dict[str, Port] = {}

    def create(  # noqa: PLR0917 - a machine is that much
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
        """See Machines.create."""
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]{0,62}", id) or not re.fullmatch(r"[A-Za-z0-9.-]{1,63}", hostname):
            raise SandboxError(f"A guest cannot be named {id!r} with the host name {hostname!r}.")
        if IPv4Address(address) not in self._network.ranges.subnet:
            raise SandboxError(f"{address} is not in the sandbox's subnet {self._network.ranges.subnet}.")
        disks = {volume.name: volume for volume in map(Volume.from_dict, volumes)}
        guest = Guest(id, address, hostname, self._folder / id, "", disks, root_volume)
        with self._lock:
            if id in self._guests or any(other.address == address for other in self._guests.values()):
                raise SandboxError(f"There is a guest {id} or one with the address {address} already.")
            if root_volume and self._user_of(root_volume):
                raise SandboxError(f"The volume {root_volume} is attached: detach it first.")
            self._guests[id] = guest
        try:
            with guest.lock:
                guest.disk = self._disks.get(root_volume) if root_volume else self._disks.make(guest.folder, image)
                guest.disk.mount(guest.root)
                guest.traits = MachineTraits.of(guest.root)
                for name, volume in disks.items():
                    others = [other for other in disks.values() if other.name != name]
                    disks[name] = guest.traits.seen(volume, others)
                plant(guest.root, Seed(id, hostname, tuple(public_keys), user_data))
                with self._wire:
                    guest.namespace = self._network.add(id, address, ipv6=guest.traits.ipv6)
                    self._connect([guest])
        except (SandboxError, OSError):
            self.destroy(id)
            raise

    def start(self, id: str, public_address: str) -> None:
        """See Machines.start."""
        guest = self._get(id)
        with guest.lock:
            if guest.running():
                return
            limits.require_room_for_a_guest()
            public_address = public_address or self._fixed_public_address(guest)
            self._network.set_public_address(id, public_address)
            guest.public_address = public_address
            self._boot(guest)

    def stop(self, id: str, by_force: bool = False) -> None:
        """See Machines.stop."""
        guest = self._get(id)
        with guest.lock:
            self._power_off(guest, by_force=by_force)

    def suspend(self, id: str) -> None:
        """See Machines.suspend."""
        guest = self._get(id)
        with guest.lock:
            if not guest.running():
                raise SandboxError(f"{id} is not powered on: start it first.")
            self._halt(guest)
            self._network.set_halted(id, True)
            guest.suspended = True

    def resume(self, id: str) -> None:
        """See Machines.resume."""
        guest = self._get(id)
        with guest.lock:
            self._resume(guest)

    def destroy(self, id: str, keep_volumes: bool = False) -> None:
        """See Machines.destroy."""
        guest = self._guests.get(id)
        if guest is None:
            return
        with guest.lock:
            self._power_off(guest, by_force=True)
            if not keep_volumes:
                for volume in guest.volumes.values():
                    self._volumes.delete(volume.name)
            self._network.remove(id)
            if os.path.ismount(guest.root):
                run("umount", guest.root)
            shutil.rmtree(guest.folder, ignore_errors=True)
        with self._lock:
            self._guests.pop(id, None)

    def console(self, id: str) -> str:
        """See Machines.console."""
        guest = self._get(id)
        if not guest.console.exists():
            return ""
        # Two terminals on the way each put a carriage return before a line's end.
        return guest.console.read_bytes().decode("utf-8", "replace").replace("\r", "")

    def state(self, id: str) -> State:
        """See Machines.state."""
        guest = self._guests.get(id)
        return "absent" if guest is None else guest.state()

    def set_rules(self, id: str, rules: list[dict[str, Any]]) -> None:
        """See Machines.set_rules."""
        self._get(id)
        self._network.set_rules(id, tuple(Rule.from_dict(rule) for rule in rules))

    def set_public_address(self, id: str, public_address: str) -> None:
        """See Machines.set_public_address."""
        guest = self._get(id)
        with guest.lock:
            if guest.running():
                self._network.set_public_address(id, public_address)
                guest.public_address = public_address

    def set_ports(self, ports: dict[str, dict[str, Any] | None]) -> None:
        """See Machines.set_ports."""
        changed = {address: Port.from_dict(port) if port else None for address, port in ports.items()}
        with self._wire:
            for address, port in changed.items():
                self._ports[address] = port or Port((), "")
            self._connect([one for one in list(self._guests.values()) if one.address in changed and one.namespace])
            for address, port in changed.items():
                if port is None:
                    del self._ports[address]

    def attach(self, id: str, volume: dict[str, Any]) -> None:
        """See Machines.attach."""
        guest = self._get(id)
        with guest.lock:
            disk = guest.traits.seen(Volume.from_dict(volume), guest.volumes.values())
            if guest.running():
                have = guest.volumes.get(disk.name)
                disk = replace(disk, device=have.device) if have else disk
                self._volumes.plug(id, _require_leader(guest), disk)
            guest.volumes[disk.name] = disk

    def detach(self, id: str, volume_name: str) -> None:
        """See Machines.detach."""
        guest = self._get(id)
        with guest.lock:
            if guest.running():
                self._volumes.unplug(id, _require_leader(guest), volume_name)
            guest.volumes.pop(volume_name, None)

    def delete_volume(self, volume_name: str) -> None:
        """See Machines.delete_volume."""
        if self._user_of(volume_name):
            raise SandboxError(f"The volume {volume_name} is attached: detach it first.")
        self._volumes.delete(volume_name)
        self._disks.delete(volume_name)

    def create_volume(self, volume_name: str, image: str) -> None:
        """See Machines.create_volume."""
        self._disks.keep(volume_name, image)

    def copy_volume(self, volume_name: str, copy_name: str) -> None:
        """See Machines.copy_volume."""
        user = self._user_of(volume_name)
        with self._halted(user) if user else nullcontext():
            self._volumes.copy(volume_name, copy_name)
            if self._disks.has(volume_name):
                self._disks.keep_copy(copy_name, self._disks.get(volume_name))

    def snapshot(self, id: str, name: str) -> None:
        """See Machines.snapshot."""
        guest = self._get(id)
        with self._halted(guest):
            if guest.disk is not None:
                self._disks.keep_copy(name, guest.disk)

    def snapshots(self) -> Sequence[str]:
        """The names of all disks that are kept: snapshots and root volumes."""
        return self._disks.names()

    def facts(self, address: str) -> Facts | None:
        """What the metadata address tells the guest with that private address."""
        for guest in list(self._guests.values()):
            if guest.address == address:
                return Facts(guest.id, guest.hostname, guest.address, guest.public_address)
        return None

    def root(self, id: str) -> Path:
        """Where a guest's disk is mounted."""
        return self._get(id).root

    def changes(self, id: str) -> Path:
        """What a guest's disk has beyond its image, as the upper layer of an overlay."""
        disk = self._get(id).disk
        if disk is None:
            raise SandboxError(f"{id} has no disk.")
        return disk.folder / "upper"

    def list(self) -> list[dict[str, str]]:
        """A line for each guest: id, hostname, address, public_address, state, leader (process id or '')."""
        return [
            {
                "id": guest.id,
                "hostname": guest.hostname,
                "address": guest.address,
                "public_address": guest.public_address,
                "state": guest.state(),
                "leader": _leader(guest),
            }
            for guest in list(self._guests.values())
        ]

    def _get(self, id: str) -> Guest:
        guest = self._guests.get(id)
        if guest is None:
            raise NoSuchMachineError(f"There is no guest {id}: see 'status'.")
        return guest

    def _user_of(self, volume_name: str) -> Guest | None:
        """The guest that has a volume."""
        guests = list(self._guests.values())
        return next((one for one in guests if volume_name in one.volumes or volume_name == one.root_volume), None)

    def _connect(self, guests: Sequence[Guest]) -> None:
        """Put what their ports say on the wire. Called with the wire held."""
        ports = {guest.id: self._ports[guest.address] for guest in guests if guest.address in self._ports}
        if ports:
            self._network.set_ports(ports)
        for guest in guests:
            if guest.id in ports:
                guest.public_address = ports[guest.id].public_address

    def _fixed_public_address(self, guest: Guest) -> str:
        port = self._ports.get(guest.address)
        return port.public_address if port else ""

    def _halt(self, guest: Guest) -> None:
        cgroups.set_frozen([group / guest.id for group in self._groups], True)

    def _resume(self, guest: Guest) -> None:
        if guest.suspended:
            self._network.set_halted(guest.id, False)
            cgroups.set_frozen([group / guest.id for group in self._groups], False)
            guest.suspended = False

    @contextmanager
    def _halted(self, guest: Guest) -> Iterator[None]:
        """Nothing in the guest runs while its disks are copied, so that a copy is of one moment."""
        with guest.lock:
            if guest.suspended or not guest.running():
                yield
                return
            try:
                self._halt(guest)
                yield
            finally:
                cgroups.set_frozen([group / guest.id for group in self._groups], False)

    def _boot(self, guest: Guest) -> None:
        guest.ready = guest.failed = False
        devices = self._volumes.open(guest.id, [*guest.traits.own_disks(guest.id), *guest.volumes.values()])
        groups = cgroups.make(self._groups, guest.id)
        with guest.console.open("ab") as console:
            guest.process = subprocess.Popen(
                _boot_command(guest, devices, groups),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                env={"PATH": os.environ["PATH"], "TERM": "dumb"},
            )
        threading.Thread(target=self._watch, args=(guest, guest.process), name=f"watch {guest.id}", daemon=True).start()

    def _power_off(self, guest: Guest, *, by_force: bool) -> None:
        self._resume(guest)
        process = guest.process
        if process is not None and process.poll() is None:
            if by_force:
                _pull_the_plug(process)
            else:
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(_POWER_OFF_WITHIN_S)
            except subprocess.TimeoutExpired:
                _pull_the_plug(process)
                process.wait()
        # Whoever asked for it does not call it a failure.
        guest.process, guest.ready, guest.failed = None, False, False
        self._unplug(guest)
        for disk in guest.traits.own_disks(guest.id):
            self._volumes.delete(disk.name)
        fixed = self._fixed_public_address(guest)
        if guest.public_address != fixed:
            self._network.set_public_address(guest.id, fixed)
            guest.public_address = fixed

    def _unplug(self, guest: Guest) -> None:
        self._volumes.close(guest.id)
        cgroups.remove([group / guest.id for group in self._groups])

    def _watch(self, guest: Guest, process: subprocess.Popen[bytes]) -> None:
        """Note when sshd answers, boot again when the guest asks for it, and give back what it held when it is off."""
        if sshd.wait_for_greeting(guest.namespace, guest.address, while_true=lambda: process.poll() is None):
            guest.ready = True
        process.wait()
        with guest.lock:
            if guest.process is not process:
                return
            if process.returncode == _REBOOT:
                self._unplug(guest)
                self._boot(guest)
            else:
                failed = process.returncode != 0
                self._power_off(guest, by_force=False)
                guest.failed = failed


def _boot_command(guest: Guest, devices: list[str], groups: list[Path]) -> list[str]:
    nspawn = [
        "systemd-nspawn",
        "--quiet",
        "--register=no",
        "--keep-unit",
        "--settings=no",
        "--link-journal=no",
        "--resolv-conf=off",
        "--timezone=off",
        "--boot",
        "--capability=CAP_NET_ADMIN",
        # 'pipe' loses what the guest writes to /dev/console.
        "--console=read-only",
        f"--directory={guest.root}",
        f"--machine={guest.id}",
        f"--hostname={guest.hostname}",
        f"--network-namespace-path=/run/netns/{guest.namespace}",
        *devices,
    ]
    join = "".join(f"echo 0 >{shlex.quote(str(group / 'cgroup.procs'))} && " for group in groups)
    # nspawn makes folders in /tmp that it cannot remove when it is killed: give it a /tmp that ends with it.
    return ["unshare", "--mount", "sh", "-c", f'{join} mount -t tmpfs tmpfs /tmp && exec "$@"', "sh", *nspawn]


def _pull_the_plug(process: subprocess.Popen[bytes]) -> None:
    """End a guest's first process, and so, before nspawn notices and ends too, every other process of the guest."""
    for leader in outer_children(process.pid):
        os.kill(leader, signal.SIGKILL)
    if not outer_children(process.pid):
        process.kill()


def _leader(guest: Guest) -> str:
    """The guest's first process, as the supervisor sees it."""
    if guest.process is None or guest.process.poll() is not None:
        return ""
    return next((str(child) for child in outer_children(guest.process.pid)), "")


def _require_leader(guest: Guest) -> str:
    leader = _leader(guest)
    if not leader or guest.suspended:
        raise SandboxError(f"{guest.id} takes and gives disks only when it runs or is powered off.")
    return leader
