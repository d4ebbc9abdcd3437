# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: status_table
short_description: A project's machines as one table
version_added: "0.1.0"
author: The haven.gpu contributors (@haven-gpu)
description:
  - Makes a table for people of what M(haven.gpu.instance_info) found, and what the inventory knows about it.
  - What a cloud said cannot leave its place in the table. Control characters, those that turn the direction of writing,
    and whatever else is more than its own picture are shown as escapes, and long texts are shortened.
positional: _input
options:
  _input:
    description: The C(instances) that M(haven.gpu.instance_info) returned.
    type: list
    elements: dict
    required: true
  hosts:
    description:
      - Variables of the hosts that P(haven.gpu.instances#inventory) listed. C(__haven_units) may be a registered
        result of C(systemctl list-units), from which the servers that run are taken.
    type: list
    elements: dict
    default: []
  hops:
    description: The jump hosts of machines that the inventory did not list.
    type: list
    elements: dict
    default: []
  prices:
    description: What an hour of an instance type costs, in your currency. No other source of prices is asked.
    type: dict
    default: {}
  tunnels:
    description: The C(tunnels) that M(haven.gpu.tunnel_info) returned.
    type: list
    elements: dict
    default: []
"""

EXAMPLES = r"""
- name: Show the machines
  ansible.builtin.debug:
    msg: "{{ found.instances | haven.gpu.status_table(hosts=machines, prices={'g5.xlarge': 1.006}) }}"
  vars:
    machines: "{{ groups.haven | map('extract', hostvars) }}"
"""

RETURN = r"""
_value:
  description: The lines of the table, the first with the names of the columns.
  type: list
  elements: str
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timezone
from typing import Any

from ansible.errors import AnsibleFilterError

from ..plugin_utils._status import status_table as _status_table


def status_table(
    instances: Iterable[Mapping[str, Any]], *, hosts: Any = (), hops: Any = (), prices: Any = None, tunnels: Any = ()
) -> list[str]:
    """The table, or AnsibleFilterError with one sentence."""
    try:
        return _status_table(instances, hosts, hops, prices or {}, now=datetime.now(timezone.utc), tunnels=tunnels)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise AnsibleFilterError(
            f"haven.gpu.status_table: this is not what instance_info returned: {error!r}"
        ) from None


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., list[str]]]:
        return {"status_table": status_table}
