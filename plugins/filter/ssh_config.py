# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: ssh_config
short_description: Machines and hops as an ssh configuration for people
version_added: "0.1.0"
author: The haven.gpu contributors (@haven-gpu)
description:
  - Makes the text of an ssh configuration and of its known_hosts file, by the same rules as the inventory plugin
    P(haven.gpu.instances#inventory). Host keys are checked strictly on every machine and hop.
  - Connections through the same jump hosts share one connection to each. A helper does that, a Python program without
    requirements, which also says both fingerprints where a host key is not the recorded one.
  - Writes nothing; the role P(haven.gpu.ssh_config#role) puts the texts into files.
positional: _input
options:
  _input:
    description:
      - The machines. Each is either the variables of a host that P(haven.gpu.instances#inventory) listed, or a
        dictionary with C(name), C(address) and C(host_key), and optionally C(id) (what the host key is filed under;
        the name when it is not given), C(port), C(user), C(private_key) and C(forwards).
      - What a cloud said and ssh could misread is left out, with a comment; a mistake in a dictionary is an error.
    type: list
    elements: dict
    required: true
  hops:
    description:
      - The jump hosts that lead to all machines, outermost first, as in P(haven.gpu.instances#inventory).
      - Without it, each host is reached by its own variable C(haven_hops), and a dictionary without jump hosts.
    type: list
    elements: dict
  known_hosts:
    description: Absolute path that the known_hosts file will have. The helper lies beside it, as C(proxy_helper.py).
    type: str
    required: true
  config:
    description: What ssh reads for the jump hosts, as an absolute path; ssh's own default when it is not given.
    type: str
    default: ""
  user:
    description: User on the machines. Without it, the inventory's login user.
    type: str
  private_key:
    description: Private key file for the machines. Without it, the agent's keys and the default files are tried.
    type: str
  forwards:
    description: Local ports and the unix sockets on the machine that they lead to.
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
    msg: "{{ (machines | haven.gpu.ssh_config(known_hosts='/home/alice/.ssh/haven.known')).config }}"
  vars:
    machines: "{{ groups.haven | map('extract', hostvars) }}"
"""

RETURN = r"""
_value:
  description: The texts.
  type: dict
  contains:
    config:
      description: The ssh configuration.
      type: str
    known_hosts:
      description: The known_hosts file that belongs to it.
      type: str
    helper:
      description: The helper that belongs to it.
      type: str
"""

from collections.abc import Callable, Iterable
from typing import Any

from ansible.errors import AnsibleFilterError

from ..module_utils._errors import HavenError
from ..plugin_utils._ssh.user_config import Defaults, user_config


def ssh_config(
    machines: Iterable[Any], *, known_hosts: str, hops: Any = None, config: str = "", **defaults: Any
) -> dict[str, str]:
    """The texts, or AnsibleFilterError with one sentence."""
    try:
        return user_config(machines, hops, known_hosts, Defaults(**defaults), config)
    except HavenError as error:
        raise AnsibleFilterError(f"haven.gpu.ssh_config: {error}") from None


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., dict[str, str]]]:
        return {"ssh_config": ssh_config}
