# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The private network: a router in a namespace of its own, and a leg for each guest.

Every packet of a guest passes the router, as in a real cloud's network, so that security groups have connection state
on each leg (a plain bridge has it only where the kernel was built with bridge connection tracking). The router has no
route to this machine; only the jump host has a second leg. To those outside of the clouds (internet.py), who are beyond
the supervisor's namespace, the router leads from and to public addresses alone.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from . import firewall, netns
from .firewall import INTERNET_LINK, METADATA_ADDRESS, Leg
from .machines import Port, Rule
from .processes import run
from .ranges import Ranges

ROUTER = "router"


@dataclass(frozen=True)
class _Guest:
    namespace: str
    leg: Leg


class Network:
    """The router and its legs. Safe to use from many threads."""

    def __init__(self, ranges: Ranges) -> None:
        self.ranges = ranges
        self._lock = threading.Lock()
        self._guests: dict[str, _Guest] = {}

    def up(self) -> None:
        """Make the router, and its link to the supervisor's namespace."""
        _ip(
            "",
            "link set lo up",
            f"netns add {ROUTER}",
            f"link add cloud type veth peer name {INTERNET_LINK} netns {ROUTER}",
            "link set cloud up",
            f"route add {self.ranges.public} dev cloud",
        )
        netns.answer_for_others(None, "cloud")
        _ip(
            ROUTER,
            "link set lo up",
            f"addr add {self.ranges.proxy}/32 dev lo",
            f"addr add {self.ranges.api}/32 dev lo",
            f"addr add {METADATA_ADDRESS}/32 dev lo",
            f"link set {INTERNET_LINK} up",
            f"route add {self.ranges.internet} dev {INTERNET_LINK}",
        )
        netns.set_sysctls(ROUTER, {"ipv4/ip_forward": "1"})
        self._load()

    def add(self, guest: str, address: str, *, ipv6: bool = True) -> str:
        """Give a guest a leg, closed from outside and open to it; returns the name of its namespace."""
        name = short_name(guest)
        _ip("", f"netns add {name}", f"link add {name} netns {ROUTER} type veth peer name eth0 netns {name}")
        if not ipv6:
            netns.set_sysctls(name, {"ipv6/conf/all/disable_ipv6": "1", "ipv6/conf/default/disable_ipv6": "1"})
        # The router answers for every address of the subnet.
        netns.answer_for_others(ROUTER, name)
        _ip(ROUTER, f"link set {name} up", f"route add {address}/32 dev {name}")
        _ip(
            name,
            "link set lo up",
            f"addr add {address}/{self.ranges.subnet.prefixlen} dev eth0",
            "link set eth0 up",
            f"route add {METADATA_ADDRESS}/32 dev eth0",
            f"route add {self.ranges.internet} dev eth0",
        )
        with self._lock:
            self._guests[guest] = _Guest(name, Leg(name, address, "", (firewall.ALLOW_ALL_OUT,)))
            self._load()
        return name

    def add_outside_leg(self, guest: str) -> None:
        """Connect a guest, the jump host, to the supervisor's namespace, and let it see public addresses."""
        name = self._guests[guest].namespace
        prefix = self.ranges.outside_prefix
        _ip(
            "",
            f"link add outside type veth peer name eth1 netns {name}",
            f"addr add {self.ranges.outside}/{prefix} dev outside",
            "link set outside up",
        )
        _ip(
            name,
            f"addr add {self.ranges.gate_outside}/{prefix} dev eth1",
            "link set eth1 up",
            f"route add {self.ranges.public} dev eth0 src {self.ranges.gate}",
            f"route replace {self.ranges.internet} via {self.ranges.outside} dev eth1",
        )

    def remove(self, guest: str) -> None:
        """Take a guest's leg and namespace away; nothing happens when it has none."""
        with self._lock:
            gone = self._guests.pop(guest, None)
            if gone is None:
                return
            self._load()
        if gone.leg.public_address:
            _ip(ROUTER, f"addr del {gone.leg.public_address}/32 dev lo")
        _ip(ROUTER, f"link del {gone.leg.link}")
        _ip("", f"netns del {gone.namespace}")

    def set_rules(self, guest: str, rules: tuple[Rule, ...]) -> None:
        """Replace a guest's security rules."""
        with self._lock:
            self._change(guest, rules=rules)
            self._load()

    def set_ports(self, ports: Mapping[str, Port]) -> None:
        """Replace rules and public addresses of guests by id, in one step; one that has just gone is left out."""
        with self._lock:
            here = {guest: port for guest, port in ports.items() if guest in self._guests}
            # An address may move from one guest to another: first away, then to.
            for guest, port in here.items():
                if self._guests[guest].leg.public_address != port.public_address:
                    self._move_public_address(guest, "")
            for guest, port in here.items():
                self._move_public_address(guest, port.public_address)
                self._change(guest, rules=port.rules)
            self._load()

    def set_halted(self, guest: str, halted: bool) -> None:
        """Let nothing pass to or from a guest, or again what its rules allow."""
        with self._lock:
            self._change(guest, halted=halted)
            self._load()

    def set_public_address(self, guest: str, public_address: str) -> None:
        """Lead a public address to a guest, and the one it had before nowhere; '' is none."""
        with self._lock:
            if self._move_public_address(guest, public_address):
                self._load()

    def _move_public_address(self, guest: str, public_address: str) -> bool:
        before = self._guests[guest].leg.public_address
        if before == public_address:
            return False
        self._change(guest, public_address=public_address)
        if before:
            _ip(ROUTER, f"addr del {before}/32 dev lo")
        if public_address:
            _ip(ROUTER, f"addr add {public_address}/32 dev lo")
        return True

    def _change(self, guest: str, **changes: Any) -> None:
        known = self._guests[guest]
        self._guests[guest] = replace(known, leg=replace(known.leg, **changes))

    def _load(self) -> None:
        legs = [guest.leg for guest in self._guests.values()]
        text = firewall.render(legs, str(self.ranges.proxy), (str(self.ranges.api), str(self.ranges.gate)))
        run("ip", "netns", "exec", ROUTER, "nft", "-f", "-", stdin=text)


def short_name(guest: str) -> str:
    """A link's name for a guest's id: links cannot have more than 15 characters."""
    return "g" + hashlib.sha256(guest.encode()).hexdigest()[:10]


def _ip(namespace: str, *commands: str) -> None:
    inside = ["-n", namespace] if namespace else []
    run("ip", *inside, "-batch", "-", stdin="\n".join(commands) + "\n")
