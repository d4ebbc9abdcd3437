#!/usr/bin/python
# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Manage key pairs."""

from __future__ import annotations

DOCUMENTATION = r"""
module: keypair
short_description: Manage key pairs
version_added: "0.1.0"
description:
  - Imports a public SSH key into the cloud, under a name in the project, for use by new instances.
  - The cloud never creates a private key, and yours never leaves your computer.
extends_documentation_fragment:
  - haven.gpu.cloud
  - haven.gpu.clouds
  - haven.gpu.cloud.attributes
options:
  name:
    description:
      - The name of the key pair in the project. EC2 knows it as C(project/name), OpenStack as C(name@project.haven).
      - On OpenStack, a key pair belongs to a user. Nobody else can see or use it.
    type: str
    required: true
  public_key:
    description:
      - The public key in OpenSSH's format, as in C(~/.ssh/id_ed25519.pub). The comment is ignored.
      - Required for O(state=present).
    type: str
  recreate:
    description:
      - Whether to replace a key pair of this name that contains another key. Existing instances keep the key that they
        were created with.
    type: bool
    default: false
  state:
    description: Whether the key pair exists.
    type: str
    choices: [present, absent]
    default: present
seealso:
  - module: haven.gpu.instance
author:
  - The haven.gpu contributors (@haven-gpu)
"""

EXAMPLES = r"""
- name: Import my public key
  haven.gpu.keypair:
    cloud: ec2
    project: pathology
    name: alice
    public_key: "{{ lookup('ansible.builtin.file', '~/.ssh/id_ed25519.pub') }}"

- name: Set common options once for all modules in the action group
  module_defaults:
    group/haven.gpu.cloud:
      cloud: ec2
      project: pathology
      ec2: {region: eu-north-1, profile: research}
  block:
    - name: Delete the key pair of a former colleague
      haven.gpu.keypair:
        name: bob
        state: absent
"""

RETURN = r"""
keypair:
  description: The key pair, or V(none) if it is absent. In check mode, the key pair as it is.
  returned: success
  type: dict
  contains:
    id:
      description: The cloud's id.
      type: str
      sample: key-0ad3b8c1f5e6a7b90
    name:
      description: The name in the project.
      type: str
      sample: alice
    project:
      description: The project.
      type: str
      sample: pathology
    fingerprint:
      description: The fingerprint as the cloud computes it.
      type: str
      sample: SHA256:Gq9sZ0Q3TjpC0ZlRr8QpYwV0w0pM2y9r5b7b9r1m3xY
"""

from ..module_utils._ansible_module import HavenModule
from ..module_utils._cloud import Cloud
from ..module_utils._firewall_keypair import apply_key_pair, diff, plan_key_pair
from ..module_utils._models import KeyPairSpec
from ..module_utils._module import Outcome, argument_spec, run
from ..module_utils._options import KEYPAIR, keypair_spec


def ensure(cloud: Cloud, spec: KeyPairSpec, check: bool) -> Outcome:
    current = cloud.key_pair(spec.project, spec.name)
    plan = plan_key_pair(spec, current)
    if not check:
        current = apply_key_pair(plan, spec, current, cloud)
    return Outcome(plan.changed, diff(plan), {"keypair": current.as_dict() if current else None})


def main() -> None:
    module = HavenModule(
        argument_spec=argument_spec(KEYPAIR),
        required_if=[("state", "present", ["public_key"])],
        supports_check_mode=True,
    )
    run(module, keypair_spec, ensure)


if __name__ == "__main__":
    main()
