# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: present_users
short_description: Select the users whose state is not absent
version_added: "0.1.0"
author: The haven.gpu contributors (@haven-gpu)
description:
  - Leaves out the users whose C(state) is V(absent). A user without a C(state) is present.
  - Keeps the order. Reads only C(name) and C(state), so that no password from a vault is needed.
positional: _input
options:
  _input:
    description: Users as in C(haven_users), each with at least C(name).
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Show who has a notebook
  ansible.builtin.debug:
    msg: "{{ haven_users | haven.gpu.present_users | map(attribute='name') }}"
"""

RETURN = r"""
_value:
  description: The users that are present.
  type: list
  elements: dict
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

_STATES = ("present", "absent")


def present_users(users: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the users whose state is not absent, or raise AnsibleFilterError if this is not a list of users."""
    if isinstance(users, (str, Mapping)):
        raise AnsibleFilterError("present_users expects a list of dictionaries, each with a name.")
    found = []
    for number, user in enumerate(users, start=1):
        if not isinstance(user, Mapping) or not user.get("name"):
            raise AnsibleFilterError(f"present_users: user {number} is not a dictionary with a name.")
        state = user.get("state", "present")
        if state not in _STATES:
            raise AnsibleFilterError(
                f"present_users: the state of user {user['name']!a} is {state!a}: use {' or '.join(_STATES)}."
            )
        if state == "present":
            found.append(user)
    return found


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., list[Mapping[str, Any]]]]:
        return {"present_users": present_users}
