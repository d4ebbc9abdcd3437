#!/usr/bin/python
# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: tunnel_info
short_description: List open SSH tunnels to notebooks
version_added: "0.1.0"
author: The haven.gpu contributors (@haven-gpu)
description:
  - Lists the tunnels of a project that M(haven.gpu.tunnel) has opened on this computer.
attributes:
  check_mode: {support: full, description: This module changes nothing.}
  diff_mode: {support: none, description: This module changes nothing.}
  idempotent: {support: full, description: This module changes nothing.}
options:
  project:
    description: The project.
    type: str
    required: true
  folder:
    description: The O(haven.gpu.tunnel#module:folder) of M(haven.gpu.tunnel).
    type: path
    default: ~/.local/state/haven.gpu/tunnels
seealso:
  - module: haven.gpu.tunnel
"""

EXAMPLES = r"""
- name: List the open tunnels
  haven.gpu.tunnel_info:
    project: pathology
  delegate_to: localhost
  register: found
"""

RETURN = r"""
tunnels:
  description: The tunnels whose process is running.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The name of the tunnel. The playbooks name it after the instance.
      type: str
      sample: jupyter-demo
    user:
      description: The user that it logs in as.
      type: str
      sample: alice
    connected:
      description: Whether it is connected. If not, it is trying to reconnect.
      type: bool
      sample: true
    forwards:
      description: The forwarded ports and their sockets.
      type: list
      elements: dict
      sample: [{port: 8888, local_port: 8889, socket: /run/haven/alice/jupyter.sock}]
"""

from typing import Any

from ..module_utils._ansible_module import HavenModule
from ..module_utils._errors import HavenError
from ..module_utils._ssh.tunnels import Tunnels, project_folder

SPEC: dict[str, Any] = {
    "project": {"type": "str", "required": True},
    "folder": {"type": "path", "default": "~/.local/state/haven.gpu/tunnels"},
}


def listed(tunnels: Tunnels) -> list[dict[str, Any]]:
    alive = [(name, tunnel) for name in tunnels.names() if (tunnel := tunnels.get(name))]
    return [
        {
            "name": name,
            "user": tunnel.wish.user,
            "connected": tunnels.is_up(name),
            "forwards": tunnel.forwards_as_dicts(),
        }
        for name, tunnel in alive
    ]


def main() -> None:
    module = HavenModule(argument_spec=SPEC, supports_check_mode=True)
    try:
        found = listed(Tunnels(project_folder(module.params["folder"], module.params["project"])))
    except HavenError as error:
        module.fail_json(msg=str(error), reason=error.reason)
    module.exit_json(changed=False, tunnels=found)


if __name__ == "__main__":
    main()
