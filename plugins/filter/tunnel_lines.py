# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: tunnel_lines
short_description: Format the addresses of a tunnel as lines of text
version_added: "0.1.0"
author: The haven.gpu contributors (@haven-gpu)
description:
  - Makes a line of each forward that M(haven.gpu.tunnel) returned, with the address to open in a browser.
  - If the local port differs from the wanted one, the line says what uses the wanted port.
positional: _input
options:
  _input:
    description: The forwards.
    type: list
    elements: dict
    required: true
  user:
    description: Whose services the tunnel leads to.
    type: str
    required: true
  https:
    description: Whether the notebook answers with HTTPS.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Show the addresses
  ansible.builtin.debug:
    msg: "{{ tunnel.forwards | haven.gpu.tunnel_lines(user='alice') }}"
"""

RETURN = r"""
_value:
  description: The lines.
  type: list
  elements: str
  sample: ["http://localhost:8889   notebook of alice (port 8888 is used by ssh (process 4711))"]
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError


def _line(forward: Mapping[str, Any], user: str, https: bool) -> str:
    notebook = forward["socket"].endswith("/jupyter.sock")
    scheme = "https" if notebook and https else "http"
    taken = f" (port {forward['port']} is used by {forward['taken_by']})" if "taken_by" in forward else ""
    service = "notebook" if notebook else "TensorBoard"
    return f"{scheme}://localhost:{forward['local_port']}   {service} of {user}{taken}"


def tunnel_lines(forwards: Iterable[Mapping[str, Any]], user: str, https: bool = False) -> list[str]:
    """Return the lines, or raise AnsibleFilterError."""
    try:
        return [_line(forward, user, https) for forward in forwards]
    except (KeyError, TypeError, AttributeError) as error:
        raise AnsibleFilterError("tunnel_lines expects the forwards that haven.gpu.tunnel returned.") from error


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., list[str]]]:
        return {"tunnel_lines": tunnel_lines}
