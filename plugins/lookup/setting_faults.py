# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: setting_faults
short_description: Find misspelt and missing variables of a playbook
version_added: "0.1.0"
author: The haven.gpu contributors (@haven-gpu)
description:
  - Returns a sentence for each variable that begins with C(haven_) and is not a variable of the playbooks, with the
    nearest name that is one; for each variable that begins with the name of a role and is nearly one of its variables;
    and for each variable that the playbook needs and that is not set.
  - It reads the variables of the current host, and of at most 20 instances in the inventory.
  - Names in C(haven_own_variables) are the user's own.
options:
  _terms:
    description: Names of playbooks, such as V(site).
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Check the names of the variables
  ansible.builtin.assert:
    that: __faults | length == 0
    fail_msg: "{{ __faults | join(' ') }}"
  vars:
    __faults: "{{ query('haven.gpu.setting_faults', 'site') }}"
"""

RETURN = r"""
_raw:
  description: One sentence for each mistake.
  type: list
  elements: str
"""

from collections.abc import Iterator, Mapping
from typing import Any, Optional

from ansible.plugins.lookup import LookupBase

from ..plugin_utils._names import arguments
from ..plugin_utils._names.faults import missing, set_by_inventory, unknown_names

# Enough to find a misspelt variable of a group, without the variables of thousands of hosts.
_HOSTS = 20


class LookupModule(LookupBase):  # type: ignore[misc]  # ansible-core has no types
    """Ansible's entry point."""

    def run(self, terms: list[str], variables: Optional[Mapping[str, Any]] = None, **kwargs: Any) -> list[str]:
        given = variables or {}
        self.set_options(var_options=given, direct=kwargs)
        known, of_hosts = arguments.variables(), arguments.host_variables()
        own = self._templar.template(given.get("haven_own_variables"))
        mine = own if isinstance(own, list) else []
        faults = unknown_names(_names(given), {*known, *of_hosts}, arguments.roles(), mine)
        faults += set_by_inventory(given, of_hosts, {*known, *mine})
        for playbook in terms:
            specs = arguments.playbook(playbook)
            faults += missing([name for name, spec in specs.items() if spec["required"]], given)
        return list(dict.fromkeys(faults))


def _names(given: Mapping[str, Any]) -> Iterator[str]:
    yield from given
    listed = (given.get("groups") or {}).get("haven") or []
    for host in listed[:_HOSTS]:
        yield from given["hostvars"][host]
