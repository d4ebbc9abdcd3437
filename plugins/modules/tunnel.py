#!/usr/bin/python
# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: tunnel
short_description: Manage SSH tunnels to notebooks in the background
version_added: "0.1.0"
author: The haven.gpu contributors (@haven-gpu)
description:
  - Forwards ports on this computer to unix sockets on a machine, through its jump hosts. The tunnel stays open after
    the play and the terminal have ended, and is reopened whenever the connection is lost.
  - The ports are open on the loopback addresses only. If one is in use, the next free port is used instead. It stays
    the same for as long as the tunnel is open.
  - Runs on the controller (C(delegate_to=localhost)) and needs OpenSSH 7.3 or later and a POSIX shell there, on Linux
    or macOS. Tunnels do not survive a restart of the computer.
attributes:
  check_mode: {support: full, description: Reports what would be opened or closed.}
  diff_mode: {support: full, description: The tunnels before and afterwards.}
  idempotent: {support: full, description: A tunnel that is already open is left alone.}
options:
  name:
    description: Name of the tunnel. Required to open one. Without it, O(state=absent) closes all tunnels of O(project).
    type: str
  project:
    description: The project, which keeps the tunnels of several projects apart.
    type: str
    required: true
  state:
    description:
      - V(present) returns as soon as the tunnel is open. A tunnel with other options is replaced.
      - V(absent) closes it.
    type: str
    choices: [present, absent]
    default: present
  ssh_config:
    description: The generated OpenSSH configuration for the host, including its hops and host keys.
    type: path
  host:
    description: Name of the host in O(ssh_config).
    type: str
  user:
    description: The user to log in as, who must be able to open the sockets.
    type: str
  forwards:
    description: The ports to forward.
    type: list
    elements: dict
    default: []
    suboptions:
      port:
        description: The preferred port on this computer.
        type: int
        required: true
      socket:
        description: Absolute path of a unix socket on the machine.
        type: str
        required: true
  timeout:
    description: How long the tunnel may take to open, in seconds.
    type: int
    default: 60
  folder:
    description: Where to store which tunnels are open. It is created if needed, and only its owner can read it.
    type: path
    default: ~/.local/state/haven.gpu/tunnels
"""

EXAMPLES = r"""
- name: Open the notebook on localhost:8888, or the next port that is free
  haven.gpu.tunnel:
    project: pathology
    name: jupyter-demo
    ssh_config: "{{ haven_ssh_config }}"
    host: "{{ ansible_host }}"
    user: alice
    forwards:
      - {port: 8888, socket: /run/haven/alice/jupyter.sock}
  delegate_to: localhost

- name: Close all tunnels of the project
  haven.gpu.tunnel:
    project: pathology
    state: absent
  delegate_to: localhost
"""

RETURN = r"""
forwards:
  description:
    - The entries of O(forwards), each with the C(local_port) that is actually used.
    - If that differs from the port in O(forwards), C(taken_by) says what uses that port, if this is known.
  returned: when O(state=present), outside of check mode
  type: list
  elements: dict
  sample: [{port: 8888, local_port: 8889, socket: /run/haven/alice/jupyter.sock, taken_by: "ssh (process 4711)"}]
closed:
  description: Names of the tunnels that were closed, or in check mode would be.
  returned: when O(state=absent)
  type: list
  elements: str
  sample: [jupyter-demo]
"""

from typing import Any

from ..module_utils._ansible_module import HavenModule
from ..module_utils._errors import HavenError
from ..module_utils._ssh.config import Forward
from ..module_utils._ssh.tunnels import Tunnels, Wish, project_folder

SPEC: dict[str, Any] = {
    "name": {"type": "str"},
    "project": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "ssh_config": {"type": "path"},
    "host": {"type": "str"},
    "user": {"type": "str"},
    "forwards": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {"port": {"type": "int", "required": True}, "socket": {"type": "str", "required": True}},
    },
    "timeout": {"type": "int", "default": 60},
    "folder": {"type": "path", "default": "~/.local/state/haven.gpu/tunnels"},
}


def present(tunnels: Tunnels, p: dict[str, Any], check: bool) -> dict[str, Any]:
    """Open the tunnel unless it is open with these options."""
    name = p["name"]
    wish = Wish(p["ssh_config"], p["host"], p["user"], tuple(Forward(**forward) for forward in p["forwards"]))
    before = tunnels.get(name)
    if before is None or before.wish != wish:
        diff = {"before": _shown(before), "after": f"{name}: {wish.user} at {wish.host}\n"}
        if check:
            return {"changed": True, "diff": diff}
        tunnels.close(name)
        after = tunnels.start(name, wish)
        try:
            tunnels.await_up(name, p["timeout"], at_first_attempt=True)
        except HavenError:
            tunnels.close(name)
            raise
        return {"changed": True, "diff": diff, "forwards": after.forwards_as_dicts()}
    if not check:
        tunnels.await_up(name, p["timeout"], at_first_attempt=False)
    return {"changed": False, "forwards": before.forwards_as_dicts()}


def absent(tunnels: Tunnels, p: dict[str, Any], check: bool) -> dict[str, Any]:
    """Close one tunnel, or all of the project. Also deletes the files of tunnels that ended by themselves."""
    names = [p["name"]] if p["name"] else tunnels.names()
    there = {name: tunnel for name in names if (tunnel := tunnels.get(name))}
    if not check:
        for name in names:
            tunnels.close(name)
    diff = {"before": "".join(map(_shown, there.values())), "after": ""}
    return {"changed": bool(there), "closed": sorted(there), "diff": diff}


def _shown(tunnel: Any) -> str:
    return f"{tunnel.wish.user} at {tunnel.wish.host}, ports {', '.join(map(str, tunnel.ports))}\n" if tunnel else ""


def main() -> None:
    module = HavenModule(
        argument_spec=SPEC,
        required_if=[("state", "present", ("name", "ssh_config", "host", "user"))],
        supports_check_mode=True,
    )
    p = module.params
    try:
        act = present if p["state"] == "present" else absent
        result = act(Tunnels(project_folder(p["folder"], p["project"])), p, module.check_mode)
    except HavenError as error:
        module.fail_json(msg=str(error), reason=error.reason)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
