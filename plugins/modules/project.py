#!/usr/bin/python
# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Delete everything that belongs to a project."""

from __future__ import annotations

DOCUMENTATION = r"""
module: project
short_description: Delete everything that belongs to a project
version_added: "0.1.0"
description:
  - Deletes everything in the region that carries the project's tag, with all data. Instances are deleted first, then
    their disks and addresses, then firewalls and key pairs.
  - Everything is deleted by its id, so that renaming something in the cloud's console does not protect it.
  - If something cannot be deleted, such as an instance with termination protection, the rest is deleted all the same.
    The error at the end names what is left, and why.
  - Waits for instances that are already being terminated, because their disks cannot be deleted before.
extends_documentation_fragment:
  - haven.gpu.cloud
  - haven.gpu.clouds
  - haven.gpu.cloud.attributes
options:
  state:
    description: V(absent) deletes the project. There is no default, because data is lost.
    type: str
    choices: [absent]
    required: true
  wait_timeout:
    description: How long to wait until the instances are gone, in seconds.
    type: int
    default: 600
notes:
  - On EC2, an Elastic IP that carries the tag is kept and reported. haven.gpu allocates none.
seealso:
  - module: haven.gpu.instance_info
author:
  - The haven.gpu contributors (@haven-gpu)
"""

EXAMPLES = r"""
- name: Delete the project with all its data
  haven.gpu.project:
    cloud: ec2
    project: pathology
    state: absent
"""

RETURN = r"""
removed:
  description: What was deleted. In check mode, what would be deleted.
  returned: success
  type: list
  elements: dict
  contains: &resource
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
      description: Whether something used it, if that is known.
      type: bool
      sample: false
left:
  description: What could not be deleted.
  returned: when something could not be deleted
  type: list
  elements: dict
  contains: *resource
"""

from typing import Any, NamedTuple

from ..module_utils._ansible_module import HavenModule
from ..module_utils._cloud import Cloud
from ..module_utils._module import Outcome, argument_spec, run
from ..module_utils._options import PROJECT, project_of
from ..module_utils._teardown import tear_down


class Wanted(NamedTuple):
    project: str
    timeout: float


def read(params: dict[str, Any]) -> Wanted:
    return Wanted(project_of(params), params["wait_timeout"])


def ensure(cloud: Cloud, wanted: Wanted, check: bool) -> Outcome:
    removed = tear_down(cloud, wanted.project, wanted.timeout, check)
    before = {f"{each.kind} {each.id}": each.name for each in removed}
    return Outcome(bool(removed), {"before": before, "after": {}}, {"removed": [each.as_dict() for each in removed]})


def main() -> None:
    run(HavenModule(argument_spec=argument_spec(PROJECT), supports_check_mode=True), read, ensure)


if __name__ == "__main__":
    main()
