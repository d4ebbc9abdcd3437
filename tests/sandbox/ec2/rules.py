# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Security groups, as rules for machines."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .models import SandboxInstance

PROTOCOLS = {"-1": "all", "tcp": "tcp", "udp": "udp", "icmp": "icmp"}
Rules = list[dict[str, Any]]


def references_groups(backend: Any) -> bool:
    """Whether any group lets another group in or out, so that a new member changes other machines' rules."""
    return any(
        rule.source_group
        for groups in backend.groups.values()
        for group in groups.values()
        for rule in (*group.ingress_rules, *group.egress_rules)
    )


class Rulebook:
    """The rules of a region's instances at one moment; instances with the same groups share theirs."""

    def __init__(self, backend: Any, instances: Iterable[SandboxInstance]) -> None:
        self._backend = backend
        self._by_groups: dict[tuple[str, ...], Rules] = {}
        self._members: dict[str, list[str]] = defaultdict(list)
        for one in instances:
            if one.ec2_backend is backend and one.private_ip:
                for group in one.security_groups:
                    self._members[group.id].append(f"{one.private_ip}/32")

    def of(self, instance: SandboxInstance) -> Rules:
        """Everything its groups allow, nothing else may pass. Ports are None where the protocol has none."""
        groups = tuple(group.id for group in instance.security_groups)
        if groups not in self._by_groups:
            self._by_groups[groups] = list(self._of_groups(instance.security_groups))
        return self._by_groups[groups]

    def _of_groups(self, groups: Iterable[Any]) -> Iterable[dict[str, Any]]:
        for group in groups:
            for direction, rules in (("in", group.ingress_rules), ("out", group.egress_rules)):
                for rule in rules:
                    cidrs = self._cidrs(rule)
                    if cidrs and rule.ip_protocol in PROTOCOLS:
                        yield {
                            "direction": direction,
                            "protocol": PROTOCOLS[rule.ip_protocol],
                            "from_port": rule.from_port,
                            "to_port": rule.to_port,
                            "cidrs": cidrs,
                        }

    def _cidrs(self, rule: Any) -> list[str]:
        """Where a rule lets through: its own range, a prefix list's, or the addresses of another group's members."""
        if rule.source_group:
            return sorted(self._members.get(rule.source_group.get("GroupId"), []))
        if rule.prefix_list_id:
            prefix_list = self._backend.managed_prefix_lists.get(rule.prefix_list_id)
            entries = prefix_list.entries.get(prefix_list.version, []) if prefix_list else []
            return [entry["Cidr"] for entry in entries]
        return [rule.ip_range["CidrIp"]] if rule.ip_range.get("CidrIp") else []
