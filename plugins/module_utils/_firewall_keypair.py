# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plans for key pairs and firewalls. Pure, except for the two functions that apply them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Optional

from ._cloud import Cloud
from ._errors import Refused
from ._models import Change, Firewall, FirewallSpec, KeyPair, KeyPairSpec, Plan, Resource, Rule


def plan_key_pair(spec: KeyPairSpec, current: Optional[KeyPair]) -> Plan:
    """Raises Refused when a key is there that is another one and may not be replaced."""
    if spec.state == "absent":
        gone = [Change("terminate", "key_pair", current.fingerprint)] if current else []
        return Plan(spec.name, tuple(gone))
    if current is None:
        return Plan(spec.name, (Change("create", "key_pair", None, spec.public_key),))
    if _same_key(current.public_key, spec.public_key or ""):
        return Plan(spec.name)
    if not spec.recreate:
        raise Refused(
            f"Key pair {spec.name} of project {spec.project}contains another public key ({current.fingerprint}): "
            "set recreate: true to replace it (existing instances keep the old one), or choose another name."
        )
    return Plan(
        spec.name,
        (
            Change("terminate", "key_pair", current.public_key, None),
            Change("create", "key_pair", current.public_key, spec.public_key),
        ),
    )


def _same_key(one: str, other: str) -> bool:
    # Type and key; the comment is not part of it.
    return one.split()[:2] == other.split()[:2]


def apply_key_pair(plan: Plan, spec: KeyPairSpec, current: Optional[KeyPair], cloud: Cloud) -> Optional[KeyPair]:
    if plan.has("terminate") and current is not None:
        cloud.remove(Resource("key_pair", current.id, current.name, ""))
        current = None
    return cloud.import_key_pair(spec) if plan.has("create") else current


def plan_firewall(spec: FirewallSpec, current: Optional[Firewall]) -> Plan:
    """Raises Refused for what a security group cannot change."""
    if spec.state == "absent":
        gone = [Change("terminate", "firewall", rules_as_list(current.rules), None)] if current else []
        return Plan(spec.name, tuple(gone))
    if current is None:
        wanted = [*(spec.ingress or ()), *(spec.egress or ())]
        return Plan(spec.name, (Change("create", "firewall", None, rules_as_list(wanted)),))
    if spec.description and spec.description != current.description:
        raise Refused(
            f"The description of firewall {spec.name} cannot be changed (it is {current.description!a}): "
            "use this one, or delete the firewall first."
        )
    add, remove = rule_changes(spec, current)
    if not add and not remove:
        return Plan(spec.name)
    after = (current.rules - remove) | add
    return Plan(spec.name, (Change("update", "firewall", rules_as_list(current.rules), rules_as_list(after)),))


def rule_changes(spec: FirewallSpec, current: Firewall) -> tuple[frozenset[Rule], frozenset[Rule]]:
    """The rules to add and the rules to remove; a direction that was not said is left alone."""
    wanted: frozenset[Rule] = frozenset()
    managed: frozenset[Rule] = frozenset()
    for direction, rules in (("in", spec.ingress), ("out", spec.egress)):
        if rules is not None:
            wanted |= rules
            managed |= frozenset(rule for rule in current.rules if rule.direction == direction)
    return wanted - managed, managed - wanted


def apply_firewall(plan: Plan, spec: FirewallSpec, current: Optional[Firewall], cloud: Cloud) -> Optional[Firewall]:
    if plan.has("terminate"):
        if current is not None:
            cloud.remove(Resource("firewall", current.id, current.name, ""))
        return None
    if plan.has("create"):
        current = cloud.create_firewall(spec)
    if current is None or not plan.changed:
        return current
    add, remove = rule_changes(spec, current)
    # Opened before closed: a rule that only changes its form never interrupts a connection.
    cloud.open_firewall(current, sorted(add))
    cloud.close_firewall(current, sorted(remove))
    return Firewall(
        id=current.id,
        name=current.name,
        project=current.project,
        description=current.description,
        network=current.network,
        rules=(current.rules - remove) | add,
        tags=current.tags,
    )


def namesakes(firewall: Firewall) -> str:
    """What to say where others have made groups of the same name."""
    return (
        f"Security group {' and '.join(firewall.namesakes)} has the name of the project's firewall {firewall.name} and "
        "not its mark, so haven.gpu neither changes nor uses it. Find out who created it, and whether it is in use."
    )


def firewall_as_dict(firewall: Firewall) -> dict[str, Any]:
    return {
        "id": firewall.id,
        "name": firewall.name,
        "project": firewall.project,
        "description": firewall.description,
        "network": firewall.network,
        "rules": rules_as_list(firewall.rules),
    }


def rules_as_list(rules: Iterable[Rule]) -> list[dict[str, Any]]:
    return [
        {
            "direction": rule.direction,
            "protocol": rule.protocol,
            "ports": _ports(rule),
            "peer": rule.peer,
            "description": rule.description,
        }
        for rule in sorted(rules)
    ]


def _ports(rule: Rule) -> Optional[str]:
    if rule.from_port < 0:
        return None
    return str(rule.from_port) if rule.from_port == rule.to_port else f"{rule.from_port}-{rule.to_port}"


def diff(plan: Plan) -> dict[str, Any]:
    """The plan as Ansible's diff, by name."""
    if not plan.changes:
        return {"before": {}, "after": {}}
    return {"before": {plan.name: plan.changes[0].before}, "after": {plan.name: plan.changes[-1].after}}
