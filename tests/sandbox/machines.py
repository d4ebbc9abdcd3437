# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a cloud's API needs of the guests behind it: the one interface between the two."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from ipaddress import IPv4Network
from typing import Any, Literal, Protocol

State = Literal["booting", "ready", "suspended", "stopped", "failed", "absent"]
"""booting: powered on, sshd does not answer yet; ready: it does; suspended: powered on, but nothing in it runs;
stopped: powered off, disk kept; failed: it ended with an error; absent: unknown or destroyed."""


@dataclass(frozen=True)
class Rule:
    """One allowed kind of traffic of a security group; what no rule allows is dropped.

    from_port and to_port are inclusive and mean nothing for icmp and all; cidrs name the other side.
    """

    direction: Literal["in", "out"]
    protocol: Literal["tcp", "udp", "icmp", "all"]
    from_port: int
    to_port: int
    cidrs: tuple[str, ...]

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Rule:
        """Read a rule from its JSON form; ValueError when a field is missing or out of range."""
        try:
            rule = cls(
                direction=data["direction"],
                protocol=data["protocol"],
                from_port=int(data.get("from_port") or 0),
                to_port=int(data.get("to_port") or 0),
                cidrs=tuple(str(IPv4Network(cidr, strict=False)) for cidr in data["cidrs"]),
            )
        except KeyError as error:
            raise ValueError(f"A rule needs {error.args[0]}.") from error
        if rule.direction not in {"in", "out"} or rule.protocol not in {"tcp", "udp", "icmp", "all"}:
            raise ValueError(f"A rule cannot be {rule.direction} {rule.protocol}.")
        if rule.protocol in {"tcp", "udp"} and not 0 <= rule.from_port <= rule.to_port <= 65535:
            raise ValueError(f"A rule cannot have ports {rule.from_port} to {rule.to_port}.")
        return rule

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self)


@dataclass(frozen=True)
class Port:
    """What a private address lets in and out, and the public address ('' for none) that leads to it."""

    rules: tuple[Rule, ...]
    public_address: str

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Port:
        """Read a port from its JSON form {rules, public_address}; ValueError when a field is wrong."""
        return cls(tuple(Rule.from_dict(rule) for rule in data["rules"]), str(data["public_address"]))


@dataclass(frozen=True)
class Volume:
    """A data disk. Its name is its id in the cloud; its device is where the guest finds it, such as /dev/sdf."""

    name: str
    size_gib: int
    device: str

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Volume:
        """Read a volume from its JSON form {name, size_gib, device?}; ValueError when a field is wrong.

        Without a device, the guest finds it under /dev by its name.
        """
        name = str(data["name"])
        device = str(data.get("device") or f"/dev/{name}")
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name) or not re.fullmatch(r"/dev/[A-Za-z0-9_-]{1,64}", device):
            raise ValueError(f"A volume cannot be named {name!r} with the device {device!r}.")
        return cls(name, int(data["size_gib"]), device)


class Machines(Protocol):
    """Guests by id. Rules and volumes are in the JSON forms of Rule and Volume.

    Every verb may raise SandboxError; NoSuchMachineError where the id is unknown (never from state and destroy).
    """

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
        """Make a guest, powered off, on a disk of its own; address is its private one, in the sandbox's subnet.

        image is one of the sandbox's or the name of a snapshot. A root volume, which create_volume made, is used in
        place of it: the disk outlives the guest.
        """

    def start(self, id: str, public_address: str) -> None:
        """Power on; returns at once. The public address leads to the guest until it is powered off.

        '' means none, or the one of its port (set_ports), which stays.
        """

    def stop(self, id: str, by_force: bool = False) -> None:
        """Power off as its button would, by force after ten seconds or at once; returns when it is off.

        Its disk stays.
        """

    def suspend(self, id: str) -> None:
        """Halt everything in the guest, on the wire too, until resume or stop; it must be powered on."""

    def resume(self, id: str) -> None:
        """Let a suspended guest go on where it was; nothing happens when it is not suspended."""

    def destroy(self, id: str, keep_volumes: bool = False) -> None:
        """Remove the guest, its disk and, unless they are kept, its volumes; nothing happens when it is absent."""

    def console(self, id: str) -> str:
        """All the guest has written to its console since it was made."""

    def state(self, id: str) -> State:
        """What the guest is doing."""

    def set_rules(self, id: str, rules: list[dict[str, Any]]) -> None:
        """Replace the guest's security rules, on the wire before this returns; connections that stand are kept."""

    def set_public_address(self, id: str, public_address: str) -> None:
        """Lead a public address to a guest that is powered on, and the one it had nowhere; '' is none.

        It goes when the guest is powered off.
        """

    def set_ports(self, ports: dict[str, dict[str, Any] | None]) -> None:
        """Rules and public addresses by private address, for guests there are and guests to come; None forgets one.

        Each in the JSON form of Port. On the wire before this returns, all in one step.
        """

    def attach(self, id: str, volume: dict[str, Any]) -> None:
        """Give a data disk to a guest; one that was detached before comes back with its data, one it has may grow."""

    def detach(self, id: str, volume_name: str) -> None:
        """Take a data disk, which must not be mounted, from a guest; its data stays until delete_volume."""

    def delete_volume(self, volume_name: str) -> None:
        """Remove a detached disk, or a snapshot, and what is on it; nothing happens when there is none."""

    def create_volume(self, volume_name: str, image: str) -> None:
        """Make a root disk that outlives its guests: a copy of an image of the sandbox, or of a snapshot."""

    def copy_volume(self, volume_name: str, copy_name: str) -> None:
        """Make another disk with the same content; a disk on which nothing was ever written has no content yet."""

    def snapshot(self, id: str, name: str) -> None:
        """Keep a copy of the guest's root disk under that name, to create guests from; a running guest is halted."""
