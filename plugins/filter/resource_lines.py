# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: resource_lines
short_description: Format a project's resources as lines of text
version_added: "0.1.0"
author: The haven.gpu contributors (@haven-gpu)
description:
  - Makes a readable line of each resource that M(haven.gpu.instance_info) or M(haven.gpu.project) returned.
  - Names come from the cloud and are not trusted. Control characters, characters that change the direction of writing,
    and everything else that is not a plain visible character are shown as escapes. Long names are shortened.
positional: _input
options:
  _input:
    description: The resources.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Show what the project has besides its instances
  ansible.builtin.debug:
    msg: "{{ found.resources | rejectattr('kind', 'eq', 'instance') | haven.gpu.resource_lines }}"
"""

RETURN = r"""
_value:
  description: The lines, each with kind, name, id, and state, and a note if nothing uses the resource.
  type: list
  elements: str
  sample: ["volume jupyter-demo (vol-0ad3b8c1f5e6a7b90): available, not used by anything"]
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ..plugin_utils._status import resource_lines as _resource_lines


def resource_lines(resources: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the lines, or raise AnsibleFilterError."""
    try:
        return _resource_lines(resources)
    except (KeyError, TypeError, AttributeError) as error:
        raise AnsibleFilterError(
            "resource_lines expects the resources that haven.gpu.instance_info or haven.gpu.project returned."
        ) from error


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., list[str]]]:
        return {"resource_lines": resource_lines}
