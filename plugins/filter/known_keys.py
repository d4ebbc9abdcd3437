# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: known_keys
short_description: Leave out what an argument specification does not have
version_added: "0.1.0"
author: The haven.gpu contributors (@haven-gpu)
description:
  - Returns the value without the keys that P(haven.gpu.key_faults#filter) finds, and without values of another kind
    than the specification asks for, so that everything else can still be checked.
positional: _input
options:
  _input:
    description: A value with keys, or a list of them. Anything else is returned as it is.
    type: raw
    required: true
  spec:
    description: The argument specification of the value.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show the keys that are known
  ansible.builtin.debug:
    msg: "{{ haven_hops | haven.gpu.known_keys(lookup('haven.gpu.argument_spec', 'site').haven_hops) }}"
"""

RETURN = r"""
_value:
  description: The value.
  type: raw
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..plugin_utils._names.values import has_shape


def known_keys(value: Any, spec: Mapping[str, Any]) -> Any:
    """Return the value with what the specification has."""
    options = spec.get("options")
    if not options:
        return value
    if spec.get("type") == "list" and not has_shape(value, spec):
        return []
    if isinstance(value, Mapping):
        known = {key: part for key, part in value.items() if key in options and has_shape(part, options[key])}
        return {key: known_keys(part, options[key]) for key, part in known.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        element = {**spec, "type": spec.get("elements")}
        return [known_keys(entry, element) for entry in value if has_shape(entry, element)]
    return value


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"known_keys": known_keys}
