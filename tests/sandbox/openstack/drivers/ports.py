# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What neutron's ports mean on the wire: security groups as rules, floating IPs as public addresses.

All of it is read anew from neutron's database after every change, a few milliseconds for a thousand ports, and what is
not as it was goes to the supervisor in one step. Nothing depends on which change brought it about, and a change that
was missed is made up for by the next one.
"""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from collections.abc import Iterable
from ipaddress import IPv4Network, ip_network
from typing import Any

from neutron.db import models_v2
from neutron.db.models import address_group, l3, securitygroup
from neutron.db.port_security import models as port_security
from neutron_lib import context as contexts
from neutron_lib.db import api as db_api

from tests.sandbox.client import MachinesClient

Rules = list[dict[str, Any]]
Ports = dict[str, dict[str, Any]]

_ANYWHERE = "0.0.0.0/0"
# neutron takes a protocol by name or by number; None is any.
_PROTOCOLS = {None: "all", "any": "all", "0": "all", "tcp": "tcp", "6": "tcp", "udp": "udp", "17": "udp"}
_PROTOCOLS |= {"icmp": "icmp", "1": "icmp"}
_EVERYTHING: Rules = [
    {"direction": direction, "protocol": "all", "from_port": 0, "to_port": 0, "cidrs": [_ANYWHERE]}
    for direction in ("in", "out")
]


class Wire:
    """The supervisor's ports, kept as neutron's database has them. Safe to use from many threads."""

    def __init__(self) -> None:
        self._machines = MachinesClient(os.environ["HAVEN_MACHINES_SOCKET"])
        self._pushed: Ports = {}
        self._busy = threading.Lock()
        self._asked = 0
        self._done = 0

    def refresh(self) -> None:
        """Bring every change committed until now to the wire; many callers at once share one look at the database."""
        ticket = self._ticket()
        with self._busy:
            if self._done >= ticket:
                return
            latest = self._asked
            ports = _read()
            changed: dict[str, dict[str, Any] | None] = {
                address: port for address, port in ports.items() if self._pushed.get(address) != port
            }
            changed.update({address: None for address in self._pushed if address not in ports})
            if changed:
                self._machines.set_ports(changed)
            self._pushed = ports
            self._done = latest

    def _ticket(self) -> int:
        with _counting:
            self._asked += 1
            return self._asked


_counting = threading.Lock()
_wire: list[Wire] = []


def wire() -> Wire:
    """The one of this process."""
    with _counting:
        if not _wire:
            _wire.append(Wire())
        return _wire[0]


def _read() -> Ports:
    """The JSON form of each port by private address."""
    context = contexts.get_admin_context()
    with db_api.CONTEXT_READER.using(context):
        session = context.session
        port = models_v2.Port
        open_ports = {
            row.port_id
            for row in session.query(port_security.PortSecurityBinding.port_id).filter_by(port_security_enabled=False)
        }
        groups = defaultdict(list)
        for binding in session.query(
            securitygroup.SecurityGroupPortBinding.port_id, securitygroup.SecurityGroupPortBinding.security_group_id
        ):
            groups[binding.port_id].append(binding.security_group_id)
        public = {
            row.fixed_ip_address: row.floating_ip_address
            for row in session.query(l3.FloatingIP.fixed_ip_address, l3.FloatingIP.floating_ip_address)
            if row.fixed_ip_address
        }
        addresses = [
            (row.ip_address, row.id, row.admin_state_up)
            for row in session.query(models_v2.IPAllocation.ip_address, port.id, port.admin_state_up)
            .join(port, port.id == models_v2.IPAllocation.port_id)
            .filter(~port.device_owner.startswith("network:"))
            if ":" not in row.ip_address
        ]
        book = _Rulebook(session, [(address, groups[id]) for address, id, _up in addresses])
    found: Ports = {}
    for address, id, is_up in addresses:
        rules = _EVERYTHING if id in open_ports else book.of(groups[id])
        found[address] = {"rules": rules if is_up else [], "public_address": public.get(address, "")}
    return found


class _Rulebook:
    """All groups' rules at one moment. Ports with the same groups share theirs."""

    def __init__(self, session: Any, members: Iterable[tuple[str, list[str]]]) -> None:
        self._members = defaultdict(list)
        for address, groups in members:
            for group in groups:
                self._members[group].append(f"{address}/32")
        self._address_groups = defaultdict(list)
        for row in session.query(
            address_group.AddressAssociation.address_group_id, address_group.AddressAssociation.address
        ):
            self._address_groups[row.address_group_id].append(row.address)
        rule = securitygroup.SecurityGroupRule
        self._rules: dict[str, Rules] = defaultdict(list)
        for row in session.query(
            rule.security_group_id,
            rule.direction,
            rule.protocol,
            rule.port_range_min,
            rule.port_range_max,
            rule.remote_ip_prefix,
            rule.remote_group_id,
            rule.remote_address_group_id,
        ).filter(rule.ethertype == "IPv4"):
            self._rules[row.security_group_id] += self._translated(row)
        self._by_groups: dict[tuple[str, ...], Rules] = {}

    def of(self, groups: list[str]) -> Rules:
        """What these groups together let through."""
        key = tuple(sorted(groups))
        if key not in self._by_groups:
            self._by_groups[key] = [rule for group in key for rule in self._rules[group]]
        return self._by_groups[key]

    def _translated(self, row: Any) -> Rules:
        """One rule, or none where the sandbox's firewall cannot tell such packets: they stay out."""
        protocol = _PROTOCOLS.get(row.protocol)
        cidrs = self._cidrs(row)
        if protocol is None or not cidrs:
            return []
        has_ports = protocol in {"tcp", "udp"} and row.port_range_min is not None
        return [
            {
                "direction": "in" if row.direction == "ingress" else "out",
                "protocol": protocol,
                "from_port": row.port_range_min if has_ports else 0,
                "to_port": row.port_range_max if has_ports else 65535,
                "cidrs": cidrs,
            }
        ]

    def _cidrs(self, row: Any) -> list[str]:
        if row.remote_group_id:
            return sorted(self._members[row.remote_group_id])
        if row.remote_address_group_id:
            addresses = self._address_groups[row.remote_address_group_id]
            return sorted(address for address in addresses if isinstance(ip_network(address, False), IPv4Network))
        return [row.remote_ip_prefix or _ANYWHERE]
