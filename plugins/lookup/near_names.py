# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: near_names
short_description: Warn about variables that look like a misspelt variable of a role
version_added: "0.1.0"
author: The haven.gpu contributors (@haven-gpu)
description:
  - Shows a warning for each variable of the current host that begins with the name of the role and differs in at most
    two letters from one of its variables, and returns the names.
  - It never fails, because a variable with such a name may belong to something else. Names in C(haven_own_variables)
    are left out.
options:
  _terms:
    description: The name of a role, such as V(cuda).
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Apply the state that was asked for
  ansible.builtin.include_tasks: "{{ cuda_state }}.yml"
  when: query('haven.gpu.near_names', 'cuda') is sequence # it warns, and is always true
"""

RETURN = r"""
_raw:
  description: The names that look misspelt.
  type: list
  elements: str
"""

from collections.abc import Mapping
from typing import Any, Optional

from ansible.plugins.lookup import LookupBase
from ansible.utils.display import Display

from ..plugin_utils._names import arguments
from ..plugin_utils._names.faults import near_names


class LookupModule(LookupBase):  # type: ignore[misc]  # ansible-core has no types
    """Ansible's entry point."""

    def run(self, terms: list[str], variables: Optional[Mapping[str, Any]] = None, **kwargs: Any) -> list[str]:
        given = variables or {}
        self.set_options(var_options=given, direct=kwargs)
        own = self._templar.template(given.get("haven_own_variables")) or []
        found: list[str] = []
        for role in terms:
            for name, meant in near_names(role, given, arguments.roles()[role]).items():
                if name in own:
                    continue
                Display().warning(f"The role haven.gpu.{role} has no variable {name}: {meant} is probably meant.")
                found.append(name)
        return found
