# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: names_to_create
short_description: Return the names of instances that are not in the inventory
version_added: "0.1.0"
author: The haven.gpu contributors (@haven-gpu)
description:
  - Returns the names in a list of instances that no host of the project has. If there are none, nothing has to be
    created.
  - It never fails. Entries that cannot be read count as names that are not there.
positional: _input
options:
  _input:
    description: Instances as in C(haven_instances).
    type: list
    elements: dict
    required: true
  hosts:
    description: The variables of the hosts in the inventory.
    type: list
    elements: dict
    required: true
  project:
    description: The project.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show what would be created
  ansible.builtin.debug:
    msg: "{{ haven_instances | haven.gpu.names_to_create(groups['haven'] | map('extract', hostvars), haven_project) }}"
"""

RETURN = r"""
_value:
  description: The names.
  type: list
  elements: str
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any


def names_to_create(instances: Any, hosts: Iterable[Mapping[str, Any]], project: Any) -> list[str]:
    """Return the names of instances that no host of the project has."""
    there = {each["haven_name"] for each in hosts if "haven_name" in each and each.get("haven_project") == project}
    return [name for name in _names(instances) if name not in there]


def _names(instances: Any) -> Iterator[str]:
    entries = [] if isinstance(instances, (str, Mapping)) or not isinstance(instances, Iterable) else instances
    for entry in entries:
        if isinstance(entry, Mapping) and entry.get("state") == "absent":
            continue
        name = entry.get("name") if isinstance(entry, Mapping) else None
        yield from map(str, name if isinstance(name, Sequence) and not isinstance(name, str) else [name])


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., list[str]]]:
        return {"names_to_create": names_to_create}
