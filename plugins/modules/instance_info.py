#!/usr/bin/python
# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""List instances and other resources of a project."""

from __future__ import annotations

DOCUMENTATION = r"""
module: instance_info
short_description: List instances and other resources of a project
version_added: "0.1.0"
description:
  - Lists the instances of a project, with the same values that M(haven.gpu.instance) returns.
extends_documentation_fragment:
  - haven.gpu.cloud
  - haven.gpu.clouds
  - haven.gpu.cloud.attributes_info
options:
  name:
    description: Only the instances of these names. By default, all of the project.
    type: list
    elements: str
    default: []
  states:
    description: Only instances in these states.
    type: list
    elements: str
    choices: [pending, running, stopping, stopped, shelved, failed, terminating, terminated]
    default: [pending, running, stopping, stopped, shelved, failed]
  resources:
    description:
      - Whether to also list everything else that carries the project's tag, and that may cost money.
    type: bool
    default: false
  elsewhere:
    description:
      - Whether to also look for the project in all other regions that the account can use. A region that cannot be
        asked, or does not answer within 10 seconds, is no error. On EC2, this needs the permission
        C(ec2:DescribeRegions).
    type: bool
    default: false
seealso:
  - module: haven.gpu.instance
author:
  - The haven.gpu contributors (@haven-gpu)
"""

EXAMPLES = r"""
- name: List the running instances
  haven.gpu.instance_info:
    cloud: ec2
    project: pathology
    states: [running]
  register: instances

- name: Check whether anything is left of the project
  haven.gpu.instance_info:
    cloud: ec2
    project: pathology
    resources: true
  register: left
"""

RETURN = r"""
elsewhere:
  description: What the project has in other regions, and which regions were asked.
  returned: when O(elsewhere=true)
  type: dict
  contains:
    regions:
      description: The regions that answered, the own region first.
      type: list
      elements: str
      sample: [eu-north-1, eu-west-1]
    resources:
      description: As RV(resources), each with its C(region), without those in the own region.
      type: list
      elements: dict
      sample: [{region: eu-west-1, kind: instance, id: i-0ad3b8c1f5e6a7b90, name: jupyter-demo, state: running}]
    not_asked:
      description: The reason for each region that could not be asked. An empty name stands for all other regions.
      type: dict
      sample: {}
resources:
  description: Everything in the region that carries the project's tag. Only with O(resources=true).
  returned: when O(resources=true)
  type: list
  elements: dict
  contains:
    kind:
      description: One of C(instance), C(volume), C(firewall), C(key_pair), C(address), and C(port).
      type: str
      sample: volume
    id:
      description: The cloud's id.
      type: str
      sample: vol-0ad3b8c1f5e6a7b90
    name:
      description: Its name in the project.
      type: str
      sample: jupyter-demo
    state:
      description: Its state, if it has one.
      type: str
      sample: available
    used:
      description: Whether something uses it, if that is known. Unused resources can still cost money.
      type: bool
      sample: false
instances:
  description: The instances, ordered by name.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: The cloud's id.
      type: str
      sample: i-0ad3b8c1f5e6a7b90
    name:
      description: The name in the project.
      type: str
      sample: jupyter-demo
    project:
      description: The project.
      type: str
      sample: pathology
    cloud:
      description: The cloud.
      type: str
      sample: ec2
    region:
      description: The region.
      type: str
      sample: eu-north-1
    availability_zone:
      description: The availability zone.
      type: str
      sample: eu-north-1a
    state:
      description:
        - One of C(pending), C(running), C(stopping), C(stopped), C(shelved), C(failed), C(terminating), and
          C(terminated). Only OpenStack has C(shelved) and C(failed), which means a server in ERROR.
      type: str
      sample: running
    instance_type:
      description: The instance type.
      type: str
      sample: g6.xlarge
    gpu:
      description:
        - Its GPUs, with the memory of each, or V(none). On OpenStack, model and memory are known only from the names
          that the operator chose, so that the model may be C(GPU) or C(VGPU), and the memory 0. If the cloud does not
          say how many GPUs there are, if any, the count is 0, and the model may be C(unknown).
      type: dict
      sample: {model: L4, count: 1, memory_gib: 22.4}
    image:
      description: The id of the image that it was created from.
      type: str
      sample: ami-0ad3b8c1f5e6a7b90
    private_address:
      description: The private address.
      type: str
      sample: 10.0.0.20
    public_address:
      description: The public address. It can change when the instance is stopped and started.
      type: str
      sample: null
    subnet:
      description: The id of the subnet.
      type: str
      sample: subnet-0ad3b8c1f5e6a7b90
    key_pair:
      description: The key pair that it was created with.
      type: str
      sample: alice
    firewalls:
      description: The names of its firewalls.
      type: list
      elements: str
      sample: [notebooks]
    launched_at:
      description: When it was last started, in UTC.
      type: str
      sample: "2026-03-01T09:00:00Z"
    spot:
      description: Whether it is a spot instance.
      type: bool
      sample: false
    host_key:
      description: Its ed25519 host key, as recorded in its tags, or V(none) if it is not known.
      type: str
      sample: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAr2m4Tn0f8P0mB4W7i6bq2y1lJt9o3m5Zk7h0s8Qx1d
    login_user:
      description: The user to log in as, as recorded in its tags.
      type: str
      sample: ubuntu
    volumes:
      description:
        - Its disks. C(size_gib), C(type), and C(encrypted) are V(none) if they were not read, which takes another
          call.
      type: list
      elements: dict
      sample:
        - id: vol-0ad3b8c1f5e6a7b90
          device: /dev/xvda
          root: true
          delete_with_instance: true
          size_gib: 100
          type: gp3
          encrypted: true
    tags:
      description: All its tags.
      type: dict
      sample: {Name: jupyter-demo, "haven:project": pathology, "haven:generation": "1"}
"""

from typing import Any, NamedTuple

from ..module_utils._ansible_module import HavenModule
from ..module_utils._cloud import Cloud
from ..module_utils._module import Outcome, argument_spec, run
from ..module_utils._options import INSTANCE_INFO, checked_name, project_of


class Question(NamedTuple):
    project: str
    names: list[str]
    states: list[str]
    resources: bool
    elsewhere: bool


def question(params: dict[str, Any]) -> Question:
    names = [checked_name(name, "The name of an instance") for name in params["name"]]
    return Question(project_of(params), names, params["states"], params["resources"], params["elsewhere"])


def gather(cloud: Cloud, asked: Question, _check: bool) -> Outcome:
    found = cloud.with_volumes(cloud.instances(asked.project, asked.names, states=asked.states))
    values: dict[str, Any] = {
        "instances": [each.as_dict() for each in sorted(found, key=lambda each: (each.name, each.id))]
    }
    if asked.resources:
        values["resources"] = [each.as_dict() for each in cloud.resources(asked.project)]
    if asked.elsewhere:
        # Imported here, because most runs do not need it.
        from ..module_utils._elsewhere import look_elsewhere

        values["elsewhere"] = look_elsewhere(cloud, asked.project).as_dict()
    return Outcome(values=values)


def main() -> None:
    run(HavenModule(argument_spec=argument_spec(INSTANCE_INFO), supports_check_mode=True), question, gather)


if __name__ == "__main__":
    main()
