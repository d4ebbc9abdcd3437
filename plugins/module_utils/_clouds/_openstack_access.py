# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Key pairs and firewalls (security groups) on OpenStack."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Optional

from .._errors import CloudFailure, Refused, Unreachable, Unsupported
from .._models import Firewall, FirewallSpec, KeyPair, KeyPairSpec, Rule
from .._wait import together
from . import _openstack_shapes as shapes
from ._openstack_client import Connection, RefusedCall

# Seconds: a security group is in use until the last port of a deleted server is gone.
RELEASE_TIMEOUT = 120.0


class Access:
    """The part of the adapter that says who may come in."""

    def __init__(self, connection: Connection) -> None:
        self._os = connection
        self._rule_ids: dict[tuple[str, Rule], str] = {}

    # -- key pairs: they belong to the user, not to the OpenStack project, and carry nothing but their name

    def key_pair(self, project: str, name: str) -> Optional[KeyPair]:
        try:
            answer = self._os.attempt("GET", "compute", f"/os-keypairs/{shapes.key_name(project, name)}")
        except RefusedCall as refused:
            if refused.status == 404:
                return None
            raise refused.explain() from refused
        return shapes.key_pair(answer["keypair"])

    def import_key_pair(self, spec: KeyPairSpec) -> KeyPair:
        public_key = spec.public_key or ""
        body = {"keypair": {"name": shapes.key_name(spec.project, spec.name), "public_key": public_key, "type": "ssh"}}
        try:
            answer = self._os.attempt("POST", "compute", "/os-keypairs", body)
        except RefusedCall as refused:
            # Imported already: another controller was faster.
            found = self.key_pair(spec.project, spec.name) if refused.status == 409 else None
            if found is None:
                raise refused.explain() from refused
            return found
        except Unreachable:
            # The answer was lost, the key maybe not.
            found = self.key_pair(spec.project, spec.name)
            if found is None:
                raise
            return found
        return shapes.key_pair(answer["keypair"], public_key)

    def delete_key_pair(self, key_pair: KeyPair) -> None:
        self._os.delete("compute", f"/os-keypairs/{key_pair.id}")

    # -- firewalls

    def firewall(self, project: str, name: str, network: Optional[str]) -> Optional[Firewall]:
        """The project's group of this name; Refused when the name is taken by something that is not the project's."""
        if network:
            raise Unsupported("A firewall of OpenStack belongs to no network: leave network out.")
        wanted = shapes.scoped(project, name)
        items = self._os.pages("network", "/security-groups", "security_groups", name=wanted)
        ours = [item for item in items if shapes.unmarked(item.get("description"))[:2] == (project, name)]
        if items and not ours:
            raise Refused(
                f"OpenStack has a security group {wanted} whose description does not end with "
                f"{shapes.marked(project, name)}, so it is not touched: choose another name, or write that there "
                "yourself if it is yours."
            )
        if not ours:
            return None
        # Two controllers at once can make two: everybody takes the same one, and the other goes with the project.
        return self._known(min(ours, key=lambda item: str(item["id"])))

    def _known(self, item: dict[str, Any]) -> Firewall:
        for each in item.get("security_group_rules") or []:
            self._rule_ids[item["id"], shapes.rule(each)] = each["id"]
        return shapes.firewall(item)

    def create_firewall(self, spec: FirewallSpec) -> Firewall:
        """Create the group, closed for incoming traffic and, as OpenStack makes it, open for outgoing."""
        description = spec.description or f"haven.gpu project {spec.project}"
        body = {
            "security_group": {
                "name": shapes.scoped(spec.project, spec.name),
                "description": shapes.marked(spec.project, spec.name, description),
            }
        }
        try:
            made = self._known(self._os.post("network", "/security-groups", body)["security_group"])
        except Unreachable:
            found = self.firewall(spec.project, spec.name, None)
            if found is None:
                raise
            return found
        return self._one_of_two(made, spec)

    def _one_of_two(self, made: Firewall, spec: FirewallSpec) -> Firewall:
        """The group everybody takes when another controller made one, too; ours goes if it is not that one."""
        chosen = self.firewall(spec.project, spec.name, None)
        if chosen is None or chosen.id == made.id:
            return made
        self._os.delete("network", f"/security-groups/{made.id}")
        return chosen

    def open_firewall(self, firewall: Firewall, rules: Sequence[Rule]) -> None:
        if not rules:
            return
        # All in one request; one that is there already is refused with all others.
        bodies = [shapes.rule_body(firewall.id, rule) for rule in rules]
        try:
            answer = self._os.attempt("POST", "network", "/security-group-rules", {"security_group_rules": bodies})
            made = answer.get("security_group_rules", [])
        except (RefusedCall, Unreachable) as error:
            if isinstance(error, RefusedCall) and error.status != 409:
                raise error.explain() from error
            made = [each for each in map(self._open, bodies) if each]
        for each in made:
            self._rule_ids[firewall.id, shapes.rule(each)] = each["id"]

    def _open(self, body: dict[str, Any]) -> Optional[dict[str, Any]]:
        try:
            answer = self._os.attempt("POST", "network", "/security-group-rules", {"security_group_rule": body})
        except RefusedCall as refused:
            if refused.status == 409 and "uota" not in refused.message:
                return None
            raise refused.explain() from refused
        return dict(answer["security_group_rule"])

    def close_firewall(self, firewall: Firewall, rules: Sequence[Rule]) -> None:
        ids = [self._rule_ids[firewall.id, rule] for rule in rules if (firewall.id, rule) in self._rule_ids]
        together(lambda each: self._os.delete("network", f"/security-group-rules/{each}"), ids)

    def delete_firewall(self, firewall: Firewall) -> None:
        deadline = time.monotonic() + RELEASE_TIMEOUT
        pause = 0.3
        while True:
            try:
                self._os.attempt("DELETE", "network", f"/security-groups/{firewall.id}")
                return
            except RefusedCall as refused:
                if refused.status == 404:
                    return
                if refused.status != 409:
                    raise refused.explain() from refused
                if time.monotonic() > deadline:
                    raise CloudFailure(
                        f"Firewall {firewall.name} ({firewall.id}) is still used after {RELEASE_TIMEOUT:.0f} s: "
                        "remove the instances that use it, or take it off them, and run again."
                    ) from refused
            time.sleep(pause)
            pause = min(pause * 1.5, 5.0)
