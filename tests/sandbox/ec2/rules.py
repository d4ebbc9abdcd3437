# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Security groups, as rules for one machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .models import SandboxInstance

PROTOCOLS = {"-1": "all", "tcp": "tcp", "udp": "udp", "icmp": "icmp"}


def references_groups(backend: Any) -> bool:
    """Whether any group lets another group in or out, so that a new member changes other machines' rules."""
    return any(
        rule.source_group
        for groups in backend.groups.values()
        for group in groups.values()
        for rule in (*group.ingress_rules, *group.egress_rules)
    )


def _cidrs(backend: Any, rule: Any, instances: list[SandboxInstance]) -> list[str]:
    """Where a rule lets through: its own range, a prefix list's, or the addresses of another group's members."""
    if rule.source_group:
        wanted = rule.source_group.get("GroupId")
        members = [one for one in instances if any(group.id == wanted for group in one.security_groups)]
        return sorted(f"{one.private_ip}/32" for one in members if one.private_ip)
    if rule.prefix_list_id:
        prefix_list = backend.managed_prefix_lists.get(rule.prefix_list_id)
        entries = prefix_list.entries.get(prefix_list.version, []) if prefix_list else []
        return [entry["Cidr"] for entry in entries]
    return [rule.ip_range["CidrIp"]] if rule.ip_range.get("CidrIp") else []


def _one(backend: Any, rule: Any, direction: str, instances: list[SandboxInstance]) -> dict[str, Any] | None:
    cidrs = _cidrs(backend, rule, instances)
    if not cidrs:
        return None
    return {
        "direction": direction,
        "protocol": PROTOCOLS.get(rule.ip_protocol, rule.ip_protocol),
        "from_port": rule.from_port,
        "to_port": rule.to_port,
        "cidrs": cidrs,
    }


def rules_of(instance: SandboxInstance, instances: list[SandboxInstance]) -> list[dict[str, Any]]:
    """Everything the groups of this instance allow; nothing else may pass. Ports are None for the protocol "all"."""
    backend = instance.ec2_backend
    found = [
        _one(backend, rule, direction, instances)
        for group in instance.security_groups
        for direction, rules in (("in", group.ingress_rules), ("out", group.egress_rules))
        for rule in rules
    ]
    return [rule for rule in found if rule]
