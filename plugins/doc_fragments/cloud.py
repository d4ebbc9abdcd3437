# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation that the modules share."""

from __future__ import annotations

from typing import ClassVar

_CONNECTION = r"""
options:
  cloud:
    description:
      - Which cloud to use. Taken from the environment variable E(HAVEN_CLOUD) when it is not given.
      - V(openstack) answers "not supported yet" in this release.
    type: str
    choices: [ec2, openstack]
    required: true
  project:
    description:
      - What everything made here belongs to. It becomes the tag C(haven:project), and together with the name it says
        what is meant; nothing without the tag is ever changed or removed.
      - 1 to 63 letters, digits, dots, dashes or underscores.
      - Taken from the environment variable E(HAVEN_PROJECT) when it is not given.
    type: str
    required: true
  openstack:
    description: How to reach OpenStack. Not used yet.
    type: dict
    suboptions:
      cloud:
        description: The name of the cloud in C(clouds.yaml).
        type: str
      region:
        description: The region.
        type: str
  ec2:
    description:
      - How to reach EC2, and what only EC2 has. What is not given comes from where the AWS SDK looks anyway, which is
        the environment, C(~/.aws/config), C(~/.aws/credentials) and the metadata of the computer the module runs on.
    type: dict
    suboptions:
      region:
        description: The region.
        type: str
      profile:
        description: The profile in C(~/.aws/config).
        type: str
      endpoint_url:
        description: Another address of the API, such as a VPC endpoint or the sandbox.
        type: str
      access_key:
        description: The id of the access key.
        type: str
      secret_key:
        description: The secret of the access key. A profile keeps it out of variables.
        type: str
      session_token:
        description: The session token of temporary credentials.
        type: str
      ca_bundle:
        description: A file with the certificate authorities to trust instead of the SDK's.
        type: path
"""

_NOTES = r"""
requirements:
  - boto3 (for O(cloud=ec2))
notes:
  - The common options can be set once, with C(module_defaults) for the action group C(group/haven.gpu.cloud). A task
    that gives O(ec2) itself replaces the default's dictionary as a whole.
  - Failures carry C(reason), a stable word to test in a playbook, which is one of C(invalid_request), C(not_found),
    C(refused), C(bad_credentials), C(denied), C(quota), C(no_capacity), C(throttled), C(unreachable), C(timeout),
    C(unsupported), C(missing_library) and C(cloud_failure).
"""

_ONLY_INSTANCES = r"""
      iam_instance_profile:
        description: The name or ARN of the IAM instance profile. It cannot be changed later.
        type: str
      imdsv2:
        description: Whether the metadata service requires a session token.
        type: bool
        default: true
      key_name:
        description: The name of one of the account's key pairs that was not made by M(haven.gpu.keypair).
        type: str
"""

# Ends where modules that change nothing go on differently.
_ATTRIBUTES = r"""
options: {}
attributes:
  check_mode:
    description: Can run in check mode and tell what a real run would do, without changing anything.
    support: full
  idempotent:
    description: A second run with the same options changes nothing.
    support: full
  diff_mode:
    description: Returns what changed, or would change in check mode.
"""


class ModuleDocFragment:
    """haven.gpu.cloud, and haven.gpu.cloud.instance with what EC2 has for instances only."""

    DOCUMENTATION: ClassVar[str] = _CONNECTION + _NOTES
    INSTANCE: ClassVar[str] = _CONNECTION + _ONLY_INSTANCES.lstrip("\n") + _NOTES
    ATTRIBUTES: ClassVar[str] = _ATTRIBUTES + "    support: full\n"
    ATTRIBUTES_INFO: ClassVar[str] = _ATTRIBUTES + "    support: N/A\n    details: This module changes nothing.\n"
