# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sentences about values that cannot be right, whatever a cloud says. Pure.

Ansible's own check of types converts what it can, and does not know what a value means.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ...module_utils._errors import shown
from ...module_utils._names import near

_LAST_PORT = 65535


def value_faults(variable: str, value: Any, spec: Mapping[str, Any], users: Sequence[str] = ()) -> list[str]:
    """A sentence for each mistake in the value of a variable. ``users`` are the names in haven_users."""
    if value is None:
        return []
    faults = list(_shapes(variable, value, spec))
    if has_shape(value, spec):
        faults += _MEANINGS[variable](value) if variable in _MEANINGS else []
        faults += _OF_USERS[variable](value, users) if variable in _OF_USERS else []
    return faults


# -- shapes


def has_shape(value: Any, spec: Mapping[str, Any]) -> bool:
    """Whether a value is of the kind that the specification asks for, or a text that Ansible may convert to it."""
    kind = spec.get("type")
    if value is None:
        return True
    if isinstance(value, str):
        has_keys = value.lstrip().startswith(("{", "[")) or "=" in value
        return has_keys or "dict" not in (kind, spec.get("elements"))
    if kind == "dict":
        return isinstance(value, Mapping)
    return kind != "list" or not isinstance(value, Mapping)


def _shapes(where: str, value: Any, spec: Mapping[str, Any]) -> Iterator[str]:
    if not has_shape(value, spec):
        known = spec.get("options") or {}
        options = ", ".join(sorted(known, key=lambda key: (not known[key].get("required"), key))[:6])
        wanted = "a list: begin each entry with '- '" if spec["type"] == "list" else f"keys such as {options}"
        yield f"{where} is {_kind(value)}, and needs {wanted}."
    elif isinstance(value, Mapping):
        for key, option in (spec.get("options") or {}).items():
            if value.get(key) is not None:
                yield from _shapes(f"{where}.{key}", value[key], option)
    elif isinstance(value, Sequence) and not isinstance(value, str) and spec.get("elements") == "dict":
        for number, entry in enumerate(value):
            name = entry.get("name") if isinstance(entry, Mapping) else None
            title = f" ({shown(name)[:80]})" if isinstance(name, str) else ""
            yield from _shapes(f"{where}[{number}]{title}", entry, {**spec, "type": "dict"})


def _kind(value: Any) -> str:
    """What a value is, in a word: it may be a secret."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return "a text"
    return "a list" if isinstance(value, Sequence) else "a dictionary" if isinstance(value, Mapping) else "a number"


def no_text(value: Any) -> str:
    """Why a name is none: what YAML made of it. Empty for a text."""
    if isinstance(value, str):
        return ""
    if isinstance(value, bool):
        words = "yes, on, and y" if value else "no, off, and n"
        return f"is {str(value).lower()}, which YAML also reads {words} as: put the name in quotes"
    return f"is {_kind(value)}: put the name in quotes" if isinstance(value, (int, float)) else f"is {_kind(value)}"


# -- meanings


def _entries(value: Any) -> Sequence[Any]:
    """The entries of a list as Ansible reads one: a text has them between commas, and anything else is one itself."""
    if isinstance(value, str):
        return [each.strip() for each in value.split(",")]
    return value if isinstance(value, Sequence) else [value]


def _project(value: Any) -> Iterator[str]:
    why = no_text(value)
    if why:
        yield f"haven_project {why}."


def _instances(value: Any) -> Iterator[str]:
    if not value:
        yield "haven_instances is empty: list at least one instance, with name, image, and instance_type."
    entries = [each for each in value if isinstance(each, Mapping)] if isinstance(value, Sequence) else []
    known: dict[str, str] = {}
    for number, entry in enumerate(entries):
        given = entry.get("name")
        for name in given if isinstance(given, Sequence) and not isinstance(given, str) else [given]:
            why = no_text(name) if name is not None else ""
            if why:
                yield f"The name of haven_instances[{number}] {why}."
                continue
            other = known.setdefault(str(name).lower(), str(name))
            if other != name:
                yield (
                    f"haven_instances has {shown(other)} and {shown(str(name))}, and host names do not distinguish "
                    "upper and lower case: choose another name for one."
                )


def _networks(value: Any) -> Iterator[str]:
    if not isinstance(value, str) and not value:
        yield (
            "haven_ssh_sources is empty, so nobody could connect to the instances, not even this run: list networks, "
            "or leave it out."
        )
    for each in _entries(value):
        try:
            ipaddress.ip_network(str(each))
        except ValueError:
            yield f"{str(each)!a:.80} in haven_ssh_sources is no network{_meant(str(each))}."


def _meant(text: str) -> str:
    try:
        there = ipaddress.ip_interface(text)
    except ValueError:
        return ": write it as 192.0.2.0/24, or one address as 192.0.2.7/32"
    return f": write {there.network}, or {there.ip} if you mean that address alone"


def _ports(value: Any) -> Iterator[str]:
    for each in _entries(value):
        text = str(each).strip()
        if isinstance(each, bool) or not (text.isascii() and text.isdigit() and 0 < int(text) <= _LAST_PORT):
            yield f"{text!a:.80} in haven_listen_ports is no port: use numbers from 1 to {_LAST_PORT}."


_MEANINGS: Mapping[str, Callable[[Any], Iterator[str]]] = {
    "haven_project": _project,
    "haven_instances": _instances,
    "haven_ssh_sources": _networks,
    "haven_listen_ports": _ports,
}


# -- what has to fit the users


def _environments(value: Any, users: Sequence[str]) -> Iterator[str]:
    seen = set()
    for entry in (each for each in value if isinstance(each, Mapping)):
        user, name = str(entry.get("user") or ""), str(entry.get("name") or "")
        if (user, name) in seen:
            yield f"haven_environments lists {shown(name)!a:.80} of {shown(user)!a:.80} more than once: keep one entry."
        seen.add((user, name))
        # Others may have an account, too, so only a name that is nearly right is refused.
        meant = near(user, users) if user and user not in users else None
        if meant:
            yield (
                f"The environment {shown(name)!a:.80} is for {shown(user)!a:.80}, who is not in haven_users: {meant} "
                "is probably meant."
            )


def _verified(value: Any, users: Sequence[str]) -> Iterator[str]:
    for each in _entries(value) if isinstance(value, Sequence) else []:
        if users and str(each).strip() not in users:
            yield f"haven_verify_users has {str(each)!a:.80}, who is not in haven_users: use {' or '.join(users[:10])}."


_OF_USERS: Mapping[str, Callable[[Any, Sequence[str]], Iterator[str]]] = {
    "haven_environments": _environments,
    "haven_verify_users": _verified,
}
