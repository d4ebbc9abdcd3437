# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: work_lines
short_description: Describe in sentences what runs in the notebook servers
version_added: "0.1.0"
author: The haven.gpu contributors (@haven-gpu)
description:
  - Makes a sentence for each user whose notebook server is in use, and for each running instance that could not say so.
  - Names come from a cloud, a machine, or a user; special characters in them are shown as escapes.
positional: _input
options:
  _input:
    description: Instances as M(haven.gpu.instance_info) returns them. Only those in the state C(running) are looked at.
    type: list
    elements: dict
    required: true
  hosts:
    description: >-
      Variables of inventory hosts. C(__haven_work) among them is the registered result of the command
      C(/usr/local/lib/haven/notebook-work), which the role P(haven.gpu.jupyter#role) installs.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Show who is working
  ansible.builtin.debug:
    msg: "{{ found.instances | haven.gpu.work_lines(hosts=groups['haven'] | map('extract', hostvars)) }}"
"""

RETURN = r"""
_value:
  description: The sentences. Empty if nobody is working.
  type: list
  elements: str
  sample: ["On jupyter-demo, the notebook server of alice is in use: the kernel of train.ipynb is computing."]
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ..plugin_utils._work import work_lines as _work_lines


def work_lines(instances: Iterable[Mapping[str, Any]], hosts: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the sentences, or raise AnsibleFilterError."""
    try:
        return _work_lines(instances, hosts)
    except (KeyError, TypeError, AttributeError) as error:
        raise AnsibleFilterError(
            "work_lines expects the instances that haven.gpu.instance_info returned, and variables of hosts."
        ) from error


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., list[str]]]:
        return {"work_lines": work_lines}
