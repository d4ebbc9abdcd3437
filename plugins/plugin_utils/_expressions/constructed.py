# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""compose, groups, and keyed_groups as in ansible-core, evaluated once for all hosts with the same values.

ansible-core alone decides what an entry means: it applies the entry to an inventory of one host, and the result is
repeated for all other hosts for which the variables that the entry reads are equal.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Optional

from ansible import constants
from ansible.inventory.data import InventoryData
from ansible.plugins.inventory import Constructable
from ansible.template import is_trusted_as_template

from ...module_utils._shortcuts import taken
from .._hosts.populate import join, set_variables
from .compiled import Reads, reads

# After this many different results, an entry is applied to each host as usual.
_TRIALS = 100


@dataclass(frozen=True)
class _Outcome:
    """What an entry does to an inventory: new groups, those that contain the host, and (parent, child) pairs."""

    variables: dict[str, Any] = field(default_factory=dict)
    groups: tuple[str, ...] = ()
    of_host: tuple[str, ...] = ()
    children: tuple[tuple[str, str], ...] = ()


@dataclass
class _Entry:
    """One entry of an option. ``carry_out`` lets ansible-core apply it to a host and its variables."""

    carry_out: Callable[[str, dict[str, Any]], None]
    # None: it is applied to each host.
    reads: Optional[Reads]
    # The variable that it sets.
    name: str = ""
    outcomes: dict[Hashable, _Outcome] = field(default_factory=dict)
    spared: int = 0

    @property
    def pays(self) -> bool:
        return len(self.outcomes) < _TRIALS or self.spared > len(self.outcomes)


class Constructed(Constructable):  # type: ignore[misc]
    """A replacement for Constructable in an inventory plugin."""

    inventory: InventoryData

    def constructing(self) -> Callable[[str, dict[str, Any]], None]:
        """Return a function that composes the variables of a host and adds it to its groups."""
        return partial(self._construct, self._entries())

    def _construct(self, entries: list[_Entry], host: str, variables: dict[str, Any]) -> None:
        known = variables
        for entry in entries:
            composed = self._construct_one(entry, host, variables if entry.name else known)
            if composed:
                known = {**known, **composed}

    def _construct_one(self, entry: _Entry, host: str, variables: dict[str, Any]) -> dict[str, Any]:
        """Apply one entry, compiled or by ansible-core, and return the variables that it sets."""
        # A variable that is not ours may come from another inventory.
        if entry.reads is None or not entry.reads.are_in(variables):
            # Unchanged, because it need not come from a cloud, and may be a secret that must stay marked as one.
            return self._carried_out(entry, host, variables)
        if not entry.pays or not taken("expressions"):
            return self._set(host, self._carried_out(entry, host, variables))
        if entry.name and entry.reads.alone:
            found, value = entry.reads.value(variables)
            if found:
                return self._set(host, {entry.name: value})
        same = entry.reads.values(variables)
        if same in entry.outcomes:
            entry.spared += 1
        else:
            entry.outcomes[same] = self._tried(entry, host, variables)
        return self._repeat(entry.outcomes[same], host)

    def _carried_out(self, entry: _Entry, host: str, variables: dict[str, Any]) -> dict[str, Any]:
        """What ansible-core itself composes for this host."""
        entry.carry_out(host, variables)
        composed = self.inventory.get_host(host).vars
        return {entry.name: composed[entry.name]} if entry.name in composed else {}

    def _tried(self, entry: _Entry, host: str, variables: dict[str, Any]) -> _Outcome:
        """What ansible-core does for this host, determined with a separate inventory."""
        ours, self.inventory = self.inventory, InventoryData()
        try:
            before = set(self.inventory.groups)
            self.inventory.add_host(host)
            entry.carry_out(host, variables)
            composed = self.inventory.get_host(host).vars
            groups = self.inventory.groups
            return _Outcome(
                {entry.name: composed[entry.name]} if entry.name in composed else {},
                tuple(name for name in groups if name not in before),
                tuple(name for name, group in groups.items() if host in group.host_names),
                tuple((name, child.name) for name, group in groups.items() for child in group.child_groups),
            )
        finally:
            self.inventory = ours

    def _repeat(self, outcome: _Outcome, host: str) -> dict[str, Any]:
        for group in outcome.groups:
            if group not in self.inventory.groups:
                self.inventory.add_group(group)
        for group in outcome.of_host:
            join(self.inventory, host, group)
        for parent, child in outcome.children:
            self.inventory.add_child(parent, child)
        return self._set(host, outcome.variables)

    def _set(self, host: str, values: dict[str, Any]) -> dict[str, Any]:
        if values:
            set_variables(self.inventory, host, values)
        return values

    # -- entries

    def _entries(self) -> list[_Entry]:
        """The entries, in ansible-core's order."""
        strict = self.get_option("strict")
        return [
            *(self._composing(name, text, strict) for name, text in (self.get_option("compose") or {}).items()),
            *(self._grouping(name, text, strict) for name, text in (self.get_option("groups") or {}).items()),
            *(self._keying(keyed, strict) for keyed in self.get_option("keyed_groups") or []),
        ]

    def _composing(self, name: str, expression: Any, strict: bool) -> _Entry:
        def carry_out(host: str, variables: dict[str, Any]) -> None:
            self._set_composite_vars({name: expression}, variables, host, strict)

        return _Entry(carry_out, self._reads(expression), name)

    def _grouping(self, name: str, condition: Any, strict: bool) -> _Entry:
        def carry_out(host: str, variables: dict[str, Any]) -> None:
            self._add_host_to_composed_groups({name: condition}, variables, host, strict)

        return _Entry(carry_out, self._reads(condition))

    def _keying(self, keyed: Any, strict: bool) -> _Entry:
        def carry_out(host: str, variables: dict[str, Any]) -> None:
            self._add_host_to_keyed_groups([keyed], variables, host, strict)

        plain = isinstance(keyed, dict) and "{" not in str(keyed.get("parent_group", ""))
        return _Entry(carry_out, self._reads(keyed.get("key")) if plain else None)

    def _reads(self, expression: Any) -> Optional[Reads]:
        """What the expression reads, if ansible-core gives it nothing but the variables of the host."""
        merging = constants.config.get_config_value("DEFAULT_HASH_BEHAVIOUR") == "merge"
        if merging or self.get_option("use_extra_vars"):
            return None
        return reads(expression) if is_trusted_as_template(expression) else None
