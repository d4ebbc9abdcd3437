# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: argument_spec
short_description: Return the argument specification of a playbook or of roles
version_added: "0.1.0"
author: The haven.gpu contributors (@haven-gpu)
description:
  - Returns what M(ansible.builtin.validate_argument_spec) takes, from the same files that the documentation of the
    playbooks and the arguments of the roles come from.
options:
  _terms:
    description: Names of playbooks, such as V(site), and of roles, such as V(haven.gpu.jupyter).
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Check the variables of the role before there is a host
  ansible.builtin.validate_argument_spec:
    argument_spec: "{{ lookup('haven.gpu.argument_spec', 'haven.gpu.jupyter') }}"
"""

RETURN = r"""
_raw:
  description: One argument specification with the options of all terms.
  type: list
  elements: dict
"""

from collections.abc import Mapping
from typing import Any, Optional

from ansible.plugins.lookup import LookupBase

from ..plugin_utils._names import arguments

_COLLECTION = "haven.gpu."


class LookupModule(LookupBase):  # type: ignore[misc]  # ansible-core has no types
    """Ansible's entry point."""

    def run(
        self, terms: list[str], variables: Optional[Mapping[str, Any]] = None, **kwargs: Any
    ) -> list[dict[str, Any]]:
        self.set_options(var_options=variables, direct=kwargs)
        found: dict[str, Any] = {}
        for term in terms:
            role = term.removeprefix(_COLLECTION)
            found |= arguments.playbook(term) if role == term else arguments.roles()[role]
        return [found]
