# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sentences about variables and keys that nobody reads, and about those that are missing. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Optional

from ...module_utils._errors import shown
from ...module_utils._names import NEAR, distance, near, nearest

OURS = "haven_"
_OWN = "If it is your own, list it in haven_own_variables."


def unknown_names(
    names: Iterable[str], known: Iterable[str], of_roles: Mapping[str, Iterable[str]], own: Iterable[str] = ()
) -> list[str]:
    """A sentence for each name that looks like a variable of ours and is none.

    ``known`` are the variables of the playbooks and of hosts. A name that begins with ``haven_``, or nearly so, has to
    be one of them. ``of_roles`` are the variables of each role. One that begins with the name of a role is refused only
    if it is nearly one of that role's, because other collections have such names, too.
    """
    ours, mine = frozenset(known), frozenset(own)
    sentences = []
    for name in sorted(frozenset(names) - ours - mine):
        if name.startswith(OURS):
            sentences.append(f"There is no variable {name}: the nearest name is {nearest(name, ours)}. {_OWN}")
            continue
        meant = _of_role(name, of_roles)
        if meant is None and _begins_nearly(name):
            meant = near(name, ours)
        if meant:
            sentences.append(f"There is no variable {name}: {meant} is probably meant. {_OWN}")
    return sentences


def set_by_inventory(names: Iterable[str], of_hosts: Iterable[str], known: Iterable[str]) -> list[str]:
    """A sentence for each name that only the inventory sets, and that the user has set for all hosts."""
    return [
        f"{name} is no setting: the inventory sets it for each instance, and nothing reads another value."
        for name in sorted(frozenset(names) & frozenset(of_hosts) - frozenset(known))
    ]


def _begins_nearly(name: str) -> bool:
    """Whether it begins with a misspelt ``haven_``."""
    head, underscore, _rest = name.partition("_")
    return bool(underscore) and 0 < distance(head, OURS[:-1]) <= NEAR


def near_names(role: str, names: Iterable[str], known: Iterable[str]) -> dict[str, str]:
    """The variable of the role that is probably meant, by each name that looks like a misspelling of one."""
    variables = frozenset(known)
    unknown = [name for name in names if name.startswith(f"{role}_") and name not in variables]
    meant = {name: near(name, variables) for name in sorted(unknown)}
    return {name: found for name, found in meant.items() if found}


def _of_role(name: str, of_roles: Mapping[str, Iterable[str]]) -> Optional[str]:
    for role, variables in of_roles.items():
        meant = near_names(role, [name], variables).get(name)
        if meant:
            return meant
    return None


def unknown_keys(variable: str, value: Any, spec: Mapping[str, Any]) -> list[str]:
    """A sentence for each key in the value of a variable that its argument specification does not have.

    Only what the specification describes is read: anything else may be a secret, or not be defined.
    """
    return list(_keys(variable, value, spec))


def _keys(where: str, value: Any, spec: Mapping[str, Any]) -> Iterator[str]:
    options = spec.get("options")
    if not options:
        return
    if isinstance(value, Sequence) and not isinstance(value, str):
        for number, entry in enumerate(value):
            yield from _keys(f"{where}[{number}]", entry, spec)
    elif isinstance(value, Mapping):
        name = value.get("name") if where.endswith("]") else None
        title = f"{where} ({shown(name)[:80]})" if isinstance(name, str) else where
        for key in value:
            if key not in options:
                meant = nearest(str(key), options)
                yield f"{title} has an unknown key {str(key)!a:.80}: the nearest one is {meant}."
            elif "options" in options[key]:
                yield from _keys(f"{where}.{key}", value[key], options[key])


def missing(names: Iterable[str], given: Mapping[str, Any]) -> list[str]:
    """A sentence for each required variable that is not set, or set to nothing."""
    there = {name for name in names if given.get(name) not in (None, "")}
    return [
        f"{name} is not set: give your inventory with -i, and the variable in its group_vars/all.yml "
        "(see docs/variables.md)."
        for name in names
        if name not in there
    ]
