# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: gpu_lines
short_description: Describe in sentences where CUDA programs cannot run
version_added: "0.1.0"
author: The haven.gpu contributors (@haven-gpu)
description:
  - Makes a sentence for each running instance whose check of the role P(haven.gpu.cuda#role) failed, with what to do.
  - Names come from a cloud; special characters in them are shown as escapes.
positional: _input
options:
  _input:
    description: Instances as M(haven.gpu.instance_info) returns them. Only those in the state C(running) are looked at.
    type: list
    elements: dict
    required: true
  hosts:
    description: >-
      Variables of inventory hosts. C(__haven_cuda) among them is the registered result of the command
      C(/usr/local/lib/haven/cuda-check --json), which the role P(haven.gpu.cuda#role) installs.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Show where CUDA programs cannot run
  ansible.builtin.debug:
    msg: "{{ found.instances | haven.gpu.gpu_lines(hosts=groups['haven'] | map('extract', hostvars)) }}"
"""

RETURN = r"""
_value:
  description: The sentences. Empty if nothing is wrong.
  type: list
  elements: str
  sample: ["On jupyter-demo, CUDA programs cannot run: A GPU has fallen off the bus. Stop and start it."]
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ..plugin_utils._work import gpu_lines as _gpu_lines


def gpu_lines(instances: Iterable[Mapping[str, Any]], hosts: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the sentences, or raise AnsibleFilterError."""
    try:
        return _gpu_lines(instances, hosts)
    except (KeyError, TypeError, AttributeError) as error:
        raise AnsibleFilterError(
            "gpu_lines expects the instances that haven.gpu.instance_info returned, and variables of hosts."
        ) from error


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., list[str]]]:
        return {"gpu_lines": gpu_lines}
