# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: status_table
short_description: Format a project's instances as a status table
version_added: "0.1.0"
author: The haven.gpu contributors (@haven-gpu)
description:
  - Makes a table of the instances that M(haven.gpu.instance_info) found and of what the inventory knows about them.
  - Text from the cloud cannot break the table. Control characters, characters that change the direction of writing, and
    everything else that is not a plain visible character are shown as escapes. Long texts are shortened.
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
        result of C(systemctl list-units), which shows the running services.
    type: list
    elements: dict
    default: []
  hops:
    description: The jump hosts of machines that the inventory did not list.
    type: list
    elements: dict
    default: []
  prices:
    description: The price per hour of each instance type, in your currency. Prices come from nowhere else.
    type: dict
    default: {}
  tunnels:
    description: The C(tunnels) that M(haven.gpu.tunnel_info) returned.
    type: list
    elements: dict
    default: []
"""

EXAMPLES = r"""
- name: Show the instances
  ansible.builtin.debug:
    msg: "{{ found.instances | haven.gpu.status_table(hosts=machines, prices={'g5.xlarge': 1.006}) }}"
  vars:
    machines: "{{ groups.haven | map('extract', hostvars) }}"
"""

RETURN = r"""
_value:
  description: The lines of the table, starting with the column names.
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
    """Return the table, or raise AnsibleFilterError with one sentence."""
    try:
        return _status_table(instances, hosts, hops, prices or {}, now=datetime.now(timezone.utc), tunnels=tunnels)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise AnsibleFilterError(
            f"status_table expects what haven.gpu.instance_info returned; this is something else: {error!r}"
        ) from None


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., list[str]]]:
        return {"status_table": status_table}
