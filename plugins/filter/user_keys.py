# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: user_keys
short_description: Collect the public keys of users that can be read now
version_added: "0.1.0"
author: The haven.gpu contributors (@haven-gpu)
description:
  - Returns the C(ssh_keys) of all users in order. Leaves out users whose C(state) is V(absent), and keys that cannot be
    read, such as those from a file that is not on this computer.
  - Reads only C(state) and C(ssh_keys), so that no password from a vault is needed.
positional: _input
options:
  _input:
    description: Users as in C(haven_users).
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Show which keys may be offered to the jump hosts
  ansible.builtin.debug:
    msg: "{{ haven_users | default([]) | haven.gpu.user_keys }}"
"""

RETURN = r"""
_value:
  description: The public keys.
  type: list
  elements: str
"""

from collections.abc import Callable, Mapping
from typing import Any


def user_keys(users: Any) -> list[str]:
    """Return the public keys. Anything else than a list of users has none: other tasks say what is wrong with it."""
    return [key for user in (users if isinstance(users, (list, tuple)) else ()) for key in _keys(user)]


def _keys(user: Any) -> list[str]:
    if not isinstance(user, Mapping):
        return []
    try:
        # A template is rendered when it is looked at. If that fails, there is no common base class but this one.
        keys = user.get("ssh_keys") if user.get("state") != "absent" else None
        return [str(key) for key in keys] if isinstance(keys, (list, tuple)) else []
    except Exception:  # pylint: disable=broad-exception-caught  # noqa: BLE001, RUF100
        return []


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., list[str]]]:
        return {"user_keys": user_keys}
