# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Address ranges that collide with nothing this machine can reach."""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from .errors import UnsuitableMachineError
from .processes import run

# RFC 5737's second documentation range stands for the internet in here; nothing of it leaves the sandbox's namespaces.
PUBLIC = IPv4Network("198.51.100.0/24")
# What machines get of it.
PUBLIC_ADDRESSES = next(PUBLIC.subnets(new_prefix=25))
# Who is outside of the clouds: see internet.py.
INTERNET = IPv4Network("198.51.100.128/29")
# Every sandbox is somewhere in here.
PRIVATE = IPv4Network("10.0.0.0/8")
_INTERNET_LINK = IPv4Network("198.51.100.252/30")
_PREFIX = 20


@dataclass(frozen=True)
class Ranges:
    """Where everything is. The subnet's first four addresses are reserved, as on AWS: APIs, proxy and gate are
    among them."""

    subnet: IPv4Network

    @property
    def api(self) -> IPv4Address:
        """Where the jump host finds the clouds' APIs."""
        return self.subnet[1]

    @property
    def proxy(self) -> IPv4Address:
        """Where guests find the egress proxy."""
        return self.subnet[2]

    @property
    def gate(self) -> IPv4Address:
        """The jump host on the private side."""
        return self.subnet[3]

    @property
    def gate_outside(self) -> IPv4Address:
        """The jump host's leg on the outside."""
        return _INTERNET_LINK[2]

    @property
    def outside(self) -> IPv4Address:
        """The other end of that leg."""
        return _INTERNET_LINK[1]

    @property
    def outside_prefix(self) -> int:
        """The prefix length of that leg."""
        return _INTERNET_LINK.prefixlen

    @property
    def public(self) -> IPv4Network:
        """Public addresses for guests."""
        return PUBLIC_ADDRESSES

    @property
    def internet(self) -> IPv4Network:
        """Everybody who is outside of the clouds; guests without a public address have no way there."""
        return INTERNET

    @property
    def hosts(self) -> IPv4Address:
        """Where the laptop finds the clouds' APIs and the stand-in hosts."""
        return INTERNET[1]

    @property
    def laptop(self) -> tuple[IPv4Address, IPv4Address]:
        """The laptop's two addresses; it has one of them at a time, the first to begin with."""
        return INTERNET[2], INTERNET[3]

    @property
    def egress(self) -> IPv4Address:
        """Whom hosts of the internet see when the egress proxy asks them."""
        return INTERNET[5]

    @property
    def stranger(self) -> IPv4Address:
        """Somebody who has no business here."""
        return INTERNET[4]

    # Two clouds share the wire: each gives out addresses of its own half.

    @property
    def ec2_subnet(self) -> IPv4Network:
        """What the EC2 API calls its network when there is another cloud."""
        return next(self.subnet.subnets())

    @property
    def ec2_public(self) -> IPv4Network:
        """Its public addresses then."""
        return next(self.public.subnets())

    @property
    def openstack_pool(self) -> tuple[str, str]:
        """The first and the last private address that neutron gives out; the tests of the sandbox use those behind."""
        return str(self.subnet[2048]), str(self.subnet[2999])

    @property
    def openstack_public(self) -> IPv4Network:
        """Neutron's floating IPs."""
        return list(self.public.subnets())[1]


def choose(folder: Path, hosts: Iterable[str]) -> Ranges:
    """Ranges for the sandbox in that folder: stable from run to run, different for different folders.

    Nothing that this machine has a route to, nor what the hosts resolve to, is taken.
    """
    taken = [*_routed(), *(IPv4Network(address) for host in hosts for address in _addresses(host))]
    if any(PUBLIC.overlaps(network) for network in taken):
        raise UnsuitableMachineError(f"This machine uses {PUBLIC}, which stands for the internet in the sandbox.")
    return Ranges(pick(str(folder.resolve()), taken))


def pick(seed: str, taken: Iterable[IPv4Network]) -> IPv4Network:
    """The first free /20 of 10.0.0.0/8, the search starting at a place that the seed decides."""
    blocks = list(PRIVATE.subnets(new_prefix=_PREFIX))
    start = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:4], "big") % len(blocks)
    occupied = [network for network in taken if network.prefixlen > 0]
    for block in blocks[start:] + blocks[:start]:
        if not any(block.overlaps(network) for network in occupied):
            return block
    raise UnsuitableMachineError("No /20 of 10.0.0.0/8 is free on this machine: its routes cover all of it.")


def _routed() -> list[IPv4Network]:
    routes = json.loads(run("ip", "-4", "-json", "route", "show", "table", "all"))
    return [IPv4Network(route["dst"]) for route in routes if route["dst"] != "default"]


def _addresses(host: str) -> list[str]:
    try:
        return sorted({str(entry[4][0]) for entry in socket.getaddrinfo(host, None, socket.AF_INET)})
    except socket.gaierror:  # a parent proxy may resolve what this machine cannot
        return []
