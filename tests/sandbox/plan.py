# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is found out on the machine before the sandbox's namespaces exist, because inside them it no longer can be."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from ipaddress import IPv4Network
from pathlib import Path

from . import ranges, registries
from .ranges import Ranges


@dataclass(frozen=True)
class Plan:
    """Clouds, addresses, and what the egress proxy needs to know: whom guests may reach, whom to trust, its way out."""

    subnet: str
    allowed_hosts: tuple[str, ...]
    authorities: str
    parent_proxy: tuple[str, int] | None
    clouds: tuple[str, ...]
    prepared: bool

    @property
    def ranges(self) -> Ranges:
        """Where everything is."""
        return Ranges(IPv4Network(self.subnet))

    @classmethod
    def read(cls, path: Path) -> Plan:
        """Read what write() wrote."""
        data = json.loads(path.read_text(encoding="utf-8"))
        parent = data["parent_proxy"]
        return cls(
            data["subnet"],
            tuple(data["allowed_hosts"]),
            data["authorities"],
            (parent[0], parent[1]) if parent else None,
            tuple(data["clouds"]),
            data["prepared"],
        )

    def write(self, path: Path) -> None:
        """Write it for the supervisor."""
        path.write_text(json.dumps(asdict(self)) + "\n", encoding="utf-8")


def make(folder: Path, clouds: tuple[str, ...], *, prepared: bool) -> Plan:
    """Look at this machine's routes, package managers and trust; raises SandboxError when something is missing.

    prepared: make images that have the services' software, too.
    """
    hosts = registries.allowed_hosts()
    return Plan(
        subnet=str(ranges.choose(folder, hosts).subnet),
        allowed_hosts=tuple(hosts),
        authorities=registries.ca_bundle(),
        parent_proxy=registries.parent_proxy(),
        clouds=clouds,
        prepared=prepared,
    )
