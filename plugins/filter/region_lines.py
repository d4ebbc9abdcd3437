# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: region_lines
short_description: Say in which regions a project was looked for
version_added: "0.1.0"
author: The haven.gpu contributors (@haven-gpu)
description:
  - Makes lines of what M(haven.gpu.instance_info) returned as C(elsewhere). They name the regions that were asked,
    those that could not be asked, and what the project has in other regions.
  - Names come from the cloud and are not trusted, so what is not plainly visible is shown as an escape.
positional: _input
options:
  _input:
    description: The return value C(elsewhere).
    type: dict
    required: true
  where:
    description: Where the user sets the region.
    type: str
    default: the region
"""

EXAMPLES = r"""
- name: Say where the project was looked for
  ansible.builtin.debug:
    msg: "{{ found.elsewhere | haven.gpu.region_lines('the region in haven_ec2') }}"
"""

RETURN = r"""
_value:
  description: The lines.
  type: list
  elements: str
  sample:
    - "Looked for the project in eu-north-1 and 16 other regions."
    - "In eu-west-1: instance jupyter-demo (i-0ad3b8c1f5e6a7b90): running. To work on it, change the region."
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ..plugin_utils._status import region_lines as _region_lines


def region_lines(elsewhere: Mapping[str, Any], where: str = "the region") -> list[str]:
    """Return the lines, or raise AnsibleFilterError."""
    try:
        return _region_lines(elsewhere, where)
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise AnsibleFilterError("region_lines expects what haven.gpu.instance_info returned as elsewhere.") from error


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., list[str]]]:
        return {"region_lines": region_lines}
