#!/usr/bin/python
# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: notebook_check
short_description: Check that a notebook works through its tunnel
version_added: "0.1.0"
author: The haven.gpu contributors (@haven-gpu)
description:
  - Opens an SSH tunnel to the notebook server's unix socket, logs in with the password, runs a cell in a new kernel,
    and can also list the runs in TensorBoard behind the same login.
  - Also checks that the server refuses requests without a login and requests for another host name.
  - Runs on the controller (C(delegate_to=localhost)), needs OpenSSH there, and changes nothing.
requirements: [websocket-client]
attributes:
  check_mode: {support: full, description: This module changes nothing.}
  diff_mode: {support: none, description: This module changes nothing.}
options:
  ssh_config:
    description: The generated OpenSSH configuration for the host, including its hops and host keys.
    type: path
    required: true
  host:
    description: Name of the host in O(ssh_config).
    type: str
    required: true
  user:
    description:
      - The owner of the notebook, whose socket is C(/run/haven/<user>/jupyter.sock).
      - SSH also logs in as this user, because nobody else can open the socket. One of the user's keys must be
        available, in a file that O(ssh_config) names or in an agent.
    type: str
    required: true
  password:
    description: The password of the notebook.
    type: str
    required: true
  code:
    description: The cell to run.
    type: str
    default: print(6 * 7)
  expect:
    description: What the cell must print, ignoring white space at the start and the end.
    type: str
    default: "42"
  tensorboard:
    description: Whether to check that TensorBoard answers behind the login.
    type: bool
    default: false
  tls:
    description: Whether the server uses TLS on its socket, as with C(jupyter_listen=https) of the role.
    type: bool
    default: false
  timeout:
    description: How long each step may take, in seconds.
    type: int
    default: 60
"""

EXAMPLES = r"""
- name: Check that the notebook works
  haven.gpu.notebook_check:
    ssh_config: "{{ haven_ssh_config }}"
    host: "{{ ansible_host }}"
    user: alice
    password: "{{ vault_alice_password }}"
    tensorboard: true
  delegate_to: localhost
"""

RETURN = r"""
output:
  description: What the cell printed.
  returned: success
  type: str
  sample: "42"
tensorboard_runs:
  description: The runs in TensorBoard.
  returned: when O(tensorboard=true)
  type: list
  elements: str
  sample: [digits]
"""

from importlib.util import find_spec
from typing import Any

from ansible.module_utils.basic import missing_required_lib

from ..module_utils._ansible_module import HavenModule
from ..module_utils._errors import NotebookError
from ..module_utils._notebook import Notebook, tunnel

SPEC = {
    "ssh_config": {"type": "path", "required": True},
    "host": {"type": "str", "required": True},
    "user": {"type": "str", "required": True},
    "password": {"type": "str", "required": True, "no_log": True},
    "code": {"type": "str", "default": "print(6 * 7)"},
    "expect": {"type": "str", "default": "42"},
    "tensorboard": {"type": "bool", "default": False},
    "tls": {"type": "bool", "default": False},
    "timeout": {"type": "int", "default": 60},
}


def refuse_strangers(notebook: Notebook) -> None:
    """The API must refuse requests without a login, and every page must refuse another host name."""
    status, dummy = notebook.request("GET", "/api/kernels")
    if status != 403:
        raise NotebookError(
            f"The notebook's API answered a request without a login with status {status} instead of 403."
        )
    status, dummy = notebook.request("GET", "/login", headers={"Host": "attacker.example"})
    if status != 403:
        raise NotebookError(
            f"The notebook answered a request for another host name with status {status} instead of 403."
        )


def main() -> None:
    module = HavenModule(argument_spec=SPEC, supports_check_mode=True)
    if find_spec("websocket") is None:
        module.fail_json(msg=missing_required_lib("websocket-client"))
    p = module.params
    result: dict[str, Any] = {"changed": False}
    try:
        with tunnel(p["ssh_config"], p["host"], p["user"], p["timeout"]) as local:
            notebook = Notebook(local, p["timeout"], p["tls"])
            notebook.await_answer()
            refuse_strangers(notebook)
            notebook.login(p["password"])
            result["output"] = notebook.run_cell(p["code"])
            if p["tensorboard"]:
                result["tensorboard_runs"] = notebook.json("GET", "/tensorboard/data/runs")
    except NotebookError as error:
        module.fail_json(msg=str(error), reason=error.reason)
    if result["output"].strip() != p["expect"].strip():
        module.fail_json(msg=f"The cell printed {result['output']!r} instead of {p['expect']!r}.", **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
