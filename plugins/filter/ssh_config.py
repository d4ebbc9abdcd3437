# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: ssh_config
short_description: Create an SSH configuration for machines behind jump hosts
version_added: "0.1.0"
author: The haven.gpu contributors (@haven-gpu)
description:
  - Creates an SSH configuration, its known_hosts file and the helper of both, following the same rules as the inventory
    plugin P(haven.gpu.instances#inventory). Host keys are checked strictly on every machine and hop.
  - Connections through the same jump hosts share one connection to each. A helper does that, a Python program without
    requirements. If a host key is not the recorded one, the helper also shows both fingerprints.
  - Writes no files. The role P(haven.gpu.ssh_config#role) does, with M(haven.gpu.files).
positional: _input
options:
  _input:
    description:
      - The machines. Each is either the variables of a host that P(haven.gpu.instances#inventory) listed, or a
        dictionary with C(name), C(address), and C(host_key), and optionally C(id) (what the host key is stored under,
        by default the name), C(port), C(user), C(private_key), and C(forwards).
      - Values from a cloud that ssh could misread are left out, with a comment. A mistake in a dictionary is an error.
    type: list
    elements: dict
    required: true
  hops:
    description:
      - The jump hosts that lead to all machines, outermost first, as in P(haven.gpu.instances#inventory).
      - By default, each inventory host uses the jump hosts in its variable C(haven_hops), and a dictionary uses none.
    type: list
    elements: dict
  folder:
    description: Absolute path of the folder for the files.
    type: str
    required: true
  config:
    description:
      - Absolute path of the SSH configuration that includes the created one. ssh reads it for the jump hosts. By
        default, ssh's own.
    type: str
    default: ""
  user:
    description: User on the machines. By default, the inventory's login user.
    type: str
  private_key:
    description: Private key file for the machines. By default, the agent's keys and the default files are tried.
    type: str
  public_keys:
    description:
      - Your public keys. Those of them that are in C(~/.ssh), or that your agent has, are the only ones that are tried
        on hops and machines without a key. If none of them is on this computer, ssh tries all keys.
    type: list
    elements: str
    default: []
  forwards:
    description: Local ports and the unix sockets on the machine that they are forwarded to.
    type: dict
    default: {}
  host_keys:
    description: V(tofu) accepts unknown keys on first use; V(verified) never does.
    type: str
    choices: [verified, tofu]
    default: verified
"""

EXAMPLES = r"""
- name: Show how the machines of the inventory are reached
  ansible.builtin.debug:
    msg: "{{ (machines | haven.gpu.ssh_config(folder='/home/alice/.ssh/haven-lab')).config.content }}"
  vars:
    machines: "{{ groups.haven | map('extract', hostvars) }}"
"""

RETURN = r"""
_value:
  description:
    - The files, by what they are. Each is a dictionary with C(path), C(content), C(mode) and C(diff), as
      M(haven.gpu.files) takes it.
  type: dict
  contains:
    known_hosts:
      description: The known_hosts file.
      type: dict
    helper:
      description: The program that ssh runs to connect to jump hosts.
      type: dict
    config:
      description: The SSH configuration, which names the other two.
      type: dict
"""

from collections.abc import Callable, Iterable
from typing import Any

from ansible.errors import AnsibleFilterError

from ..module_utils._errors import HavenError
from ..module_utils._ssh.config import Paths
from ..module_utils._ssh.files import own_ssh
from ..plugin_utils._ssh.user_config import Defaults, user_config


def ssh_config(
    machines: Iterable[Any], *, folder: str, hops: Any = None, config: str = "", **defaults: Any
) -> dict[str, dict[str, Any]]:
    """Return the files, or raise AnsibleFilterError with one sentence."""
    try:
        paths = Paths(folder, included_by=config, ssh=own_ssh(config))
        return user_config(machines, hops, paths, Defaults(**defaults))
    except HavenError as error:
        raise AnsibleFilterError(f"haven.gpu.ssh_config: {error}") from None


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., dict[str, dict[str, Any]]]]:
        return {"ssh_config": ssh_config}
