#!/usr/bin/python
# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Manage firewall rules."""

from __future__ import annotations

DOCUMENTATION = r"""
module: firewall
short_description: Manage firewall rules
version_added: "0.1.0"
description:
  - Creates a security group and keeps its rules exactly as given. Incoming traffic that no rule allows is refused.
extends_documentation_fragment:
  - haven.gpu.cloud
  - haven.gpu.clouds
  - haven.gpu.cloud.attributes
options:
  name:
    description:
      - The name of the firewall in the project. In the cloud it is called C(project/name).
    type: str
    required: true
  description:
    description:
      - What the firewall is for. It cannot be changed later, and is compared only if it is given.
      - On OpenStack, the project and the name follow it in brackets.
    type: str
    default: ''
  rules:
    description:
      - The incoming traffic to allow. Rules that are not listed are removed, so without this option nothing is allowed.
    type: list
    elements: dict
    suboptions:
      protocol: &protocol
        description: The protocol.
        type: str
        choices: [tcp, udp, icmp, all]
        default: tcp
      ports: &ports
        description: A port or a range, such as V(22) or V(8000-8010). Required for V(tcp) and V(udp), not allowed else.
        type: str
      from:
        description: The address ranges that may connect, IPv4 or IPv6.
        type: list
        elements: str
        required: true
      description: &description
        description: What the rule is for. It is set with a new rule and not compared later.
        type: str
        default: ''
  egress:
    description:
      - The outgoing traffic to allow. If this is not given, existing rules for outgoing traffic are kept, and a
        new firewall allows all of it (on OpenStack in two rules, for IPv4 and IPv6). An empty list allows none.
    type: list
    elements: dict
    suboptions:
      protocol: *protocol
      ports: *ports
      to:
        description: The address ranges to connect to, IPv4 or IPv6.
        type: list
        elements: str
        required: true
      description: *description
  network:
    description:
      - The id of the network (VPC) on EC2. By default, the default VPC. Not used on OpenStack.
      - If the account has no default VPC, this or O(subnet) is required.
    type: str
  subnet:
    description:
      - The id of a subnet on EC2, instead of O(network). The firewall is in the network of this subnet, so that
        instances in the subnet can use it. Not used on OpenStack.
      - Firewalls of the same name can exist in several networks. M(haven.gpu.instance) uses the one in the network of
        its own O(haven.gpu.instance#module:subnet).
    type: str
  state:
    description:
      - Whether the firewall exists. V(absent) waits up to two minutes until terminated instances no longer use it.
    type: str
    choices: [present, absent]
    default: present
seealso:
  - module: haven.gpu.instance
author:
  - The haven.gpu contributors (@haven-gpu)
"""

EXAMPLES = r"""
- name: Allow only SSH from the jump host, and only connections to the proxy
  haven.gpu.firewall:
    cloud: ec2
    project: pathology
    name: notebooks
    rules:
      - {ports: "22", from: [10.0.0.10/32], description: SSH from the jump host}
    egress:
      - {ports: "3128", to: [10.0.0.11/32], description: the egress proxy}

- name: Delete the firewall
  haven.gpu.firewall:
    cloud: ec2
    project: pathology
    name: notebooks
    state: absent
"""

RETURN = r"""
firewall:
  description: The firewall, or V(none) if it is absent. In check mode, the firewall as it is.
  returned: success
  type: dict
  contains:
    id:
      description: The cloud's id.
      type: str
      sample: sg-0ad3b8c1f5e6a7b90
    name:
      description: The name in the project.
      type: str
      sample: notebooks
    project:
      description: The project.
      type: str
      sample: pathology
    description:
      description: What it is for.
      type: str
      sample: haven.gpu project pathology
    network:
      description: The id of its network, or V(none) if the cloud has just chosen it.
      type: str
      sample: vpc-0ad3b8c1f5e6a7b90
    rules:
      description: The rules, one for each protocol, range and peer.
      type: list
      elements: dict
      sample: [{direction: in, protocol: tcp, ports: "22", peer: 10.0.0.10/32, description: ssh from the jump host}]
"""

import dataclasses

from ..module_utils._ansible_module import HavenModule
from ..module_utils._cloud import Cloud
from ..module_utils._firewall_keypair import apply_firewall, diff, firewall_as_dict, namesakes, plan_firewall
from ..module_utils._models import FirewallSpec
from ..module_utils._module import Outcome, argument_spec, run
from ..module_utils._options import FIREWALL, firewall_spec


def ensure(cloud: Cloud, spec: FirewallSpec, check: bool) -> Outcome:
    if spec.subnet:
        spec = dataclasses.replace(spec, network=cloud.network_of(spec.subnet))
    current = cloud.firewall(spec.project, spec.name, spec.network)
    plan = plan_firewall(spec, current)
    warnings = [namesakes(current)] if current and current.namesakes else []
    if not check:
        current = apply_firewall(plan, spec, current, cloud)
    return Outcome(plan.changed, diff(plan), {"firewall": firewall_as_dict(current) if current else None}, warnings)


def main() -> None:
    module = HavenModule(
        argument_spec=argument_spec(FIREWALL),
        mutually_exclusive=[("network", "subnet")],
        supports_check_mode=True,
    )
    run(module, firewall_spec, ensure)


if __name__ == "__main__":
    main()
