# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Key pairs and firewalls (security groups) on OpenStack."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import Any, Optional

from ..._errors import CloudFailure, Refused, Unreachable, Unsupported
from ..._models import Firewall, FirewallSpec, KeyPair, KeyPairSpec, Resource, Rule
from ..._progress import progress
from ..._retry import together
from . import errors, shapes
from .client import Connection, RefusedCall
from .limits import with_what_is_free

# Seconds until a security group is no longer in use by ports of deleted servers.
RELEASE_TIMEOUT = 120.0
# Seconds after which a group that another controller created in the same second is in the listing.
SETTLED = 1.3


class Access:
    """The part of the adapter for key pairs and firewalls."""

    def __init__(self, connection: Connection) -> None:
        self._os = connection
        self._rule_ids: dict[tuple[str, Rule], str] = {}

    # -- key pairs: they belong to the user, not to the OpenStack project, and have only a name and a public key

    def key_pair(self, project: str, name: str) -> Optional[KeyPair]:
        """The project's key pair of this name. Raises Refused if one without our mark has the name."""
        wanted = shapes.key_name(project, name)
        item = self._key_pair_item(wanted)
        if item is None:
            return None
        if not shapes.is_our_key_pair(item):
            raise Refused(
                f"OpenStack has a key pair {wanted} whose public key does not have the comment "
                f"{shapes.key_mark(project, name)}, so haven.gpu did not import it and does not touch it: choose "
                "another name, or delete it yourself if it is yours."
            )
        return shapes.key_pair(item)

    def _key_pair_item(self, wanted: str) -> Optional[Mapping[str, Any]]:
        try:
            found: Mapping[str, Any] = self._os.attempt("GET", "compute", f"/os-keypairs/{wanted}")["keypair"]
        except RefusedCall as refused:
            if refused.status == 404:
                return None
            raise refused.explain() from refused
        return found

    def import_key_pair(self, spec: KeyPairSpec) -> KeyPair:
        name = shapes.key_name(spec.project, spec.name)
        public_key = f"{spec.public_key or ''} {shapes.key_mark(spec.project, spec.name)}"
        body = {"keypair": {"name": name, "public_key": public_key, "type": "ssh"}}

        def look() -> Optional[Mapping[str, Any]]:
            item = self._key_pair_item(name)
            return {"keypair": item} if item else None

        try:
            answer = self._os.make("compute", "/os-keypairs", body, look)
        except RefusedCall as refused:
            # Already imported: another controller was faster.
            found = self.key_pair(spec.project, spec.name) if refused.status == 409 else None
            if found is None:
                raise refused.explain() from refused
            return found
        return shapes.key_pair(answer["keypair"], public_key)

    # -- firewalls

    def firewall(self, project: str, name: str, network: Optional[str]) -> Optional[Firewall]:
        """The project's group of this name. Raises Refused if a group that is not the project's has the name."""
        if network:
            raise Unsupported("On OpenStack, a firewall belongs to no network: leave network out.")
        ours, others = self._groups_of(project, name)
        if ours:
            # Two controllers at the same time can create two. All use the same one; the other goes with the project.
            return dataclasses.replace(self._known(ours[0]), namesakes=tuple(others))
        if others:
            raise Refused(
                f"OpenStack has a security group {shapes.scoped(project, name)} ({' and '.join(others)}) whose "
                f"description does not end with {shapes.marked(project, name)}, so haven.gpu did not create it and "
                "does not touch it: choose another name, or add that to the description if it is yours."
            )
        return None

    def _groups_of(self, project: str, name: str) -> tuple[list[dict[str, Any]], list[str]]:
        """The groups of this name: those with our mark, beginning with the one that all use, and the ids of others."""
        items = self._os.pages("network", "/security-groups", "security_groups", name=shapes.scoped(project, name))
        return shapes.own_groups(items, project, name)

    def _known(self, item: dict[str, Any]) -> Firewall:
        for each in item.get("security_group_rules") or []:
            self._rule_ids[item["id"], shapes.rule(each)] = each["id"]
        return shapes.firewall(item)

    def create_firewall(self, spec: FirewallSpec) -> Firewall:
        """Create or find the group, closed for incoming traffic and, by OpenStack's default, open for outgoing."""
        known = self.firewall(spec.project, spec.name, None)
        if known:
            return known
        description = spec.description or f"haven.gpu project {spec.project}"
        body = {
            "security_group": {
                "name": shapes.scoped(spec.project, spec.name),
                "description": shapes.marked(spec.project, spec.name, description),
            }
        }
        try:
            answer = self._os.make("network", "/security-groups", body, lambda: self._look_for_group(spec))
        except RefusedCall as refused:
            raise with_what_is_free(self._os, refused.explain()) from refused
        return self._one_of_two(self._known(answer["security_group"]), spec)

    def _look_for_group(self, spec: FirewallSpec) -> Optional[Mapping[str, Any]]:
        ours = self._groups_of(spec.project, spec.name)[0]
        return {"security_group": ours[0]} if ours else None

    def _one_of_two(self, made: Firewall, spec: FirewallSpec) -> Firewall:
        """The group that all use if another controller has also created one. Deletes ours if it is not that one.

        Groups are ordered by their creation time, in whole seconds, and their id. One of the same second can come after
        ours and sort before it, so this looks when that second is over.
        """
        time.sleep(SETTLED)
        chosen = self.firewall(spec.project, spec.name, None)
        if chosen is None or chosen.id == made.id:
            return made
        self._os.delete("network", f"/security-groups/{made.id}")
        return chosen

    def open_firewall(self, firewall: Firewall, rules: Sequence[Rule]) -> None:
        if not rules:
            return
        # All in one request. If one exists already, all are refused. If the answer is lost, they may all exist.
        bodies = [shapes.rule_body(firewall.id, rule) for rule in rules]
        try:
            answer = self._os.attempt("POST", "network", "/security-group-rules", {"security_group_rules": bodies})
            made = answer.get("security_group_rules", [])
        except (RefusedCall, Unreachable) as error:
            if isinstance(error, RefusedCall) and error.status < 500 and not _exists(error):
                raise with_what_is_free(self._os, error.explain()) from error
            made = [each for each in map(self._open, bodies) if each]
        for each in made:
            self._rule_ids[firewall.id, shapes.rule(each)] = each["id"]

    def _open(self, body: dict[str, Any]) -> Optional[dict[str, Any]]:
        try:
            answer = self._os.attempt(
                "POST", "network", "/security-group-rules", {"security_group_rule": body}, harmless=True
            )
        except RefusedCall as refused:
            if _exists(refused):
                return None
            raise refused.explain() from refused
        return dict(answer["security_group_rule"])

    def close_firewall(self, firewall: Firewall, rules: Sequence[Rule]) -> None:
        ids = [self._rule_ids[firewall.id, rule] for rule in rules if (firewall.id, rule) in self._rule_ids]
        together(lambda each: self._os.delete("network", f"/security-group-rules/{each}"), ids)

    def _delete_group(self, group: Resource) -> None:
        deadline = self._os.deadline.within(RELEASE_TIMEOUT)
        pause = 0.3
        while True:
            try:
                self._os.attempt("DELETE", "network", f"/security-groups/{group.id}")
                return
            except RefusedCall as refused:
                if refused.status == 404:
                    return
                if refused.status != 409:
                    raise refused.explain() from refused
                if deadline.over:
                    raise CloudFailure(
                        f"Firewall {group.name} ({group.id}) is still in use "
                        f"({errors.tidy(refused.message)}): remove the instances that use it, or detach it from them, "
                        "and run again."
                    ) from refused
            progress.known(f"the firewall {group.name} ({group.id}) is still in use")
            time.sleep(pause)
            pause = min(pause * 1.5, 5.0)


def _exists(refused: RefusedCall) -> bool:
    """Whether a rule was refused because it is there. neutron uses the same status for quotas."""
    return refused.status == 409 and "uota" not in refused.message
