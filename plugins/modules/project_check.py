#!/usr/bin/python
# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check what a project needs before anything is created."""

from __future__ import annotations

DOCUMENTATION = r"""
module: project_check
short_description: Check what a project needs before anything is created
version_added: "0.1.0"
description:
  - Asks everything that can be known before an instance is paid for, and creates nothing. It does not fail because of
    something that is wrong, but returns it.
  - "The cloud is asked about the credentials and permissions, images, instance types, networks, the key pair and the
    firewall, and free quota, as far as it answers such questions. On EC2, permissions are tried with dry runs of
    RunInstances, ImportKeyPair, and CreateSecurityGroup. On OpenStack, they are in the token."
  - On this computer, the files of private keys are read, and the jump hosts are asked with SSH. A key with a passphrase
    is only used if the SSH agent has it, and a key that wants a touch is not used at all.
  - The number of calls depends on the number of different images, instance types, and networks, not on the number of
    instances. If all instances exist, the only call is the one that lists them.
extends_documentation_fragment:
  - haven.gpu.cloud
  - haven.gpu.clouds
  - haven.gpu.cloud.attributes_info
options:
  instances:
    description: The instances, each with options of M(haven.gpu.instance) and at least C(name).
    type: list
    elements: dict
    default: []
  instance_defaults:
    description: Options of M(haven.gpu.instance) for all instances that do not set them.
    type: dict
    default: {}
  key_pair:
    description: The name of the key pair of the instances.
    type: str
  public_key:
    description: The public key in the key pair.
    type: str
  private_key:
    description: The path of the private key for the instances. Without it, SSH uses the agent and its default files.
    type: path
  firewall:
    description: The name of the firewall of the instances.
    type: str
  proxy:
    description: The URL of the egress proxy. The last jump host is asked whether it can reach it.
    type: str
  gpus:
    description: How many GPUs an instance type that has any has to have at least. With V(0), nothing is checked.
    type: int
    default: 0
  gpu_required:
    description: Whether an instance type without a GPU is wrong. Used with O(gpus).
    type: bool
    default: false
seealso:
  - module: haven.gpu.instance
author:
  - The haven.gpu contributors (@haven-gpu)
"""

EXAMPLES = r"""
- name: Check everything before an instance is created
  haven.gpu.project_check:
    cloud: ec2
    project: pathology
    ec2: {region: eu-north-1}
    key_pair: pathology
    public_key: "{{ lookup('ansible.builtin.file', '~/.ssh/id_ed25519.pub') }}"
    firewall: pathology
    instances:
      - name: jupyter-demo
        image: {name: "ubuntu-24.04-*"}
        instance_type: g5.xlarge
        subnet: subnet-0ad3b8c1f5e6a7b90
  register: checked

- name: Fail if something is wrong
  ansible.builtin.assert:
    that: checked.findings | selectattr('verdict', 'eq', 'wrong') | length == 0
"""

RETURN = r"""
findings:
  description: What was found out.
  returned: success
  type: list
  elements: dict
  contains:
    about:
      description: What was checked.
      type: str
      sample: instance type g5.xlarge
    verdict:
      description: One of C(ok), C(wrong), and C(unknown).
      type: str
      sample: wrong
    said:
      description: What is right; or what is wrong and what to try; or why it is unknown.
      type: str
      sample: "This region does not offer it: check its spelling and the region."
creates:
  description: The names of the instances that do not exist yet.
  returned: success
  type: list
  elements: str
  sample: [jupyter-demo]
"""

from collections.abc import Iterator
from contextlib import contextmanager

from ..module_utils._ansible_module import HavenModule
from ..module_utils._check.everything import check
from ..module_utils._cloud import Cloud
from ..module_utils._clouds import connect
from ..module_utils._module import api_proxy_of, argument_spec, validated
from ..module_utils._options import INSTANCE, PROJECT_CHECK


class ProjectCheckModule(HavenModule):
    """User data may contain secrets, and so may the options of a cloud."""

    hidden = frozenset({"user_data", "secret_key", "session_token", "auth"})


def main() -> None:
    module = ProjectCheckModule(argument_spec=argument_spec(PROJECT_CHECK), supports_check_mode=True)
    spec = argument_spec(INSTANCE, of_instances=True)

    @contextmanager
    def connected() -> Iterator[Cloud]:
        with api_proxy_of(module.params) as proxy:
            yield connect(module.params["cloud"], module.params.get(module.params["cloud"]), proxy)

    checked = check(module.params, lambda given: validated(spec, given), connected)
    findings = [each.as_dict() for each in checked.findings]
    module.exit_json(changed=False, findings=findings, creates=list(checked.creates))


if __name__ == "__main__":
    main()
