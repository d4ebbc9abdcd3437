# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: what_runs
short_description: Describe instances and what they cost in sentences
version_added: "0.1.0"
author: The haven.gpu contributors (@haven-gpu)
description:
  - Makes a sentence of each instance, for the message of a run that failed after the instances were created.
  - Names come from the cloud; special characters in them are shown as escapes.
positional: _input
options:
  _input:
    description: >-
      Instances as M(haven.gpu.instance_info) returns them. Only C(name), C(id), C(state), C(instance_type), and C(spot)
      are used. Entries of C(haven_instances) may be among them, with the C(state) V(planned).
    type: list
    elements: dict
    required: true
  prices:
    description: The price per hour of each instance type, in your currency.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Show which instances exist
  ansible.builtin.debug:
    msg: "{{ found.instances | haven.gpu.what_runs(prices={'g5.xlarge': 1.006}) | join(' ') }}"
"""

RETURN = r"""
_value:
  description: The sentences.
  type: list
  elements: str
  sample: ["jupyter-demo (i-0ad3b8c1f5e6a7b90) exists, is running and costs 1.006 an hour."]
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ..plugin_utils._status import what_runs as _what_runs


def what_runs(instances: Iterable[Mapping[str, Any]], prices: Any = None) -> list[str]:
    """Return the sentences, or raise AnsibleFilterError."""
    try:
        return _what_runs(instances, prices or {})
    except (KeyError, TypeError, AttributeError) as error:
        raise AnsibleFilterError(
            "what_runs expects the instances that haven.gpu.instance_info returned, and prices as a dictionary."
        ) from error


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., list[str]]]:
        return {"what_runs": what_runs}
