# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: value_faults
short_description: Find values of variables that cannot be right
version_added: "0.1.0"
author: The haven.gpu contributors (@haven-gpu)
description:
  - Returns a sentence for each value that cannot be right, whatever the cloud says. That is a value of another kind
    than its argument specification asks for, and one that means nothing, such as a network with host bits.
  - Values that cannot be read are left out.
positional: _input
options:
  _input:
    description: The values, in the order of the specification.
    type: list
    elements: raw
    required: true
  specs:
    description: The argument specification of each variable.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Check the values
  ansible.builtin.assert:
    that: __faults | length == 0
  vars:
    __spec: "{{ lookup('haven.gpu.argument_spec', 'site') }}"
    __faults: "{{ query('ansible.builtin.vars', *__spec, default='') | haven.gpu.value_faults(__spec) }}"
"""

RETURN = r"""
_value:
  description: One sentence for each mistake.
  type: list
  elements: str
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from ..plugin_utils._names.values import value_faults as faults_of

_USERS = "haven_users"


def value_faults(values: Sequence[Any], specs: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return a sentence for each value that cannot be right."""
    names, found = list(specs), []
    users = _names_of(values, names.index(_USERS)) if _USERS in specs else []
    for index, name in enumerate(names):
        # A value is evaluated when it is read, and ansible-core's errors of templates are internal to it.
        with suppress(Exception):
            value = values[index]
            # haven_users has sentences of its own (user_faults).
            found += faults_of(name, value, specs[name], users) if name != _USERS and value not in (None, "") else []
    return found


def _names_of(values: Sequence[Any], index: int) -> list[str]:
    with suppress(Exception):
        return [str(each["name"]) for each in values[index] if isinstance(each, Mapping) and "name" in each]
    return []


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., list[str]]]:
        return {"value_faults": value_faults}
