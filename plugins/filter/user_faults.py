# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: user_faults
short_description: Find mistakes in a list of users
version_added: "0.1.0"
author: The haven.gpu contributors (@haven-gpu)
description:
  - Returns a sentence for each mistake, which names the user and the variable, but no password.
  - A value that cannot be read, because a vault variable or a key file is missing, is a mistake with its reason.
positional: _input
options:
  _input:
    description: Users as in C(haven_users), each with at least C(name).
    type: list
    elements: dict
    required: true
  variable:
    description: Name of the variable with the users, for the sentences.
    type: str
    default: haven_users
  passwords:
    description: Whether each present user needs a password.
    type: bool
    default: true
  keys:
    description: Whether the first present user needs an SSH key, which becomes the key pair of the instances.
    type: bool
    default: false
  empty:
    description: Whether the list may be empty.
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: Check the users
  ansible.builtin.assert:
    that: __faults | length == 0
    fail_msg: "{{ __faults | join(' ') }}"
  vars:
    __faults: "{{ haven_users | haven.gpu.user_faults }}"
"""

RETURN = r"""
_value:
  description: One sentence for each mistake.
  type: list
  elements: str
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ..module_utils._ssh.checks import KEY_TYPES
from ..plugin_utils._names.values import no_text

_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_STATES = ("present", "absent")
# Accounts that Debian and Ubuntu come with (base-passwd, and what systemd and sshd add), which belong to programs.
_PROGRAMS = re.compile(
    r"daemon|bin|sys|sync|games|man|lp|mail|news|uucp|proxy|www-data|backup|list|irc|gnats|nobody|_apt|messagebus|sshd"
    r"|syslog|uuidd|tcpdump|tss|landscape|polkitd|pollinate|_chrony|systemd-\w+"
)


def user_faults(
    users: Any, variable: str = "haven_users", passwords: bool = True, keys: bool = False, empty: bool = True
) -> list[str]:
    """Return a sentence for each mistake. Users have a name, and optionally state, password, ssh_keys."""
    if isinstance(users, (str, Mapping)) or not isinstance(users, Sequence):
        return [f"{variable} is not a list of users: write an entry for each user, beginning with '- name:'."]
    if not users and not empty:
        return [f"{variable} is empty: list at least one user, with a name, a password, and ssh_keys."]
    names = [_name(user) for user in users]
    faults = [
        f"{_unnamed(user, number, variable)}."
        for number, (name, user) in enumerate(zip(names, users), start=1)
        if not name
    ]
    faults += [f"{variable} lists {name!a} more than once: keep one entry." for name in _twice(names)]
    for name, user in zip(names, users):
        if name:
            faults += [f"{fault[0].upper()}{fault[1:]}" for fault in _faults(name, user, variable, passwords)]
    if keys and any(names):
        faults += _first_without_key(users, variable)
    return faults


def _first_without_key(users: Sequence[Any], variable: str) -> Iterator[str]:
    present = (each for each in users if isinstance(each, Mapping) and each.get("state", "present") == "present")
    first = next(present, None)
    if first is None:
        yield f"{variable} has no user who is present, so the instances would have no key: add one, with ssh_keys."
    elif not first.get("ssh_keys"):
        yield (
            f"The first user in {variable}, {_name(first)!a}, has no ssh_keys, and the first of them becomes the key "
            "pair of the instances: add the text of a file such as ~/.ssh/id_ed25519.pub."
        )


def _name(user: Any) -> str:
    name = user.get("name") if isinstance(user, Mapping) else None
    return name if isinstance(name, str) else ""


def _unnamed(user: Any, number: int, variable: str) -> str:
    if not isinstance(user, Mapping):
        return f"User {number} of {variable} has no name: write it as {{name: alice}}"
    name = user.get("name")
    if name in (None, ""):
        return f"User {number} of {variable} has no name"
    return f"The name of user {number} in {variable} {no_text(name)}"


def _twice(names: list[str]) -> list[str]:
    return sorted({name for name in names if name and names.count(name) > 1})


def _faults(name: str, user: Mapping[str, Any], variable: str, passwords: bool) -> Iterator[str]:
    if not _NAME.fullmatch(name):
        yield (
            f"the name {name!a} in {variable} cannot be an account: use at most 32 lower-case letters, digits, dashes, "
            "and underscores, and begin with a letter."
        )
    if name == "root":
        yield f"the name 'root' in {variable} is the administrator's: choose an account without its rights."
    if _PROGRAMS.fullmatch(name):
        yield f"the name {name!a} in {variable} is that of a program's account: choose another one."
    state = user.get("state", "present")
    if state not in _STATES:
        yield f"the state of {name!a} in {variable} is {state!a}: use {' or '.join(_STATES)}."
    if state != "present":
        return
    wanted = [key for key in ("password", "ssh_keys") if key in user or (key == "password" and passwords)]
    for key in wanted:
        try:
            value = user.get(key) or ""
            found = bool([str(part) for part in value] if isinstance(value, (list, tuple)) else value)
        # ansible-core's errors of templates are internal to it.
        except Exception as error:  # pylint: disable=broad-except
            yield f"the {key} of {name!a} in {variable} cannot be read: {_reason(error)}"
            continue
        if key == "password" and found and not isinstance(value, str):
            yield f"the password of {name!a} in {variable} is no text: put it in quotes."
        if key == "password" and not found and passwords:
            yield f"the user {name!a} in {variable} has no password: add one, and keep it in a vault."
        if key == "ssh_keys":
            yield from _key_faults(name, value, variable)


def _key_faults(name: str, keys: Any, variable: str) -> Iterator[str]:
    """A line of authorized_keys may begin with options, so only the type of the key is looked for."""
    for number, key in enumerate([keys] if isinstance(keys, str) else keys, start=1):
        if "PRIVATE KEY" in str(key):
            yield (
                f"key {number} of {name!a} in {variable} is a private key, which belongs to nobody else: give the "
                "text of the file whose name ends in .pub."
            )
        elif not KEY_TYPES & set(str(key).split()):
            yield (
                f"key {number} of {name!a} in {variable} is not an OpenSSH public key: give the text of a file such as "
                "~/.ssh/id_ed25519.pub, not its path."
            )


def _reason(error: Exception) -> str:
    text = re.sub(r"^A captured exception marker was tripped: ", "", str(error)).strip()
    return text if text.endswith(".") else f"{text}."


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., list[str]]]:
        return {"user_faults": user_faults}
