# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: key_faults
short_description: Find misspelt keys in structured variables
version_added: "0.1.0"
author: The haven.gpu contributors (@haven-gpu)
description:
  - Returns a sentence for each key that an argument specification does not have, with the nearest one that it has.
  - Values that the specification does not describe are not read, because they may be secrets, or not be defined.
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
- name: Check the keys
  ansible.builtin.assert:
    that: __faults | length == 0
  vars:
    __spec: "{{ lookup('haven.gpu.argument_spec', 'site') }}"
    __faults: "{{ query('ansible.builtin.vars', *__spec, default='') | haven.gpu.key_faults(__spec) }}"
"""

RETURN = r"""
_value:
  description: One sentence for each mistake.
  type: list
  elements: str
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..plugin_utils._names.faults import unknown_keys


def key_faults(values: Sequence[Any], specs: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return a sentence for each unknown key."""
    faults = []
    for index, (name, spec) in enumerate(specs.items()):
        try:
            # A value is evaluated when it is read.
            faults += unknown_keys(name, values[index], spec) if "options" in spec else []
        # ansible-core's errors of templates are internal to it.
        except Exception as error:  # pylint: disable=broad-except
            faults.append(f"{name} cannot be read: {str(error).strip().rstrip('.')}.")
    return faults


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., list[str]]]:
        return {"key_faults": key_faults}
