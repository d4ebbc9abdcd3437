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
    type: str
    choices: [ec2, openstack]
    required: true
  project:
    description:
      - What everything made here belongs to. It becomes the tag C(haven:project), and together with the name it says
        what is meant; nothing without the tag is ever changed or removed.
      - On OpenStack it is one word inside the cloud's own project, which C(openstack) settles. Tags are the metadata
        of servers and volumes; security groups, ports and floating IPs carry it at the end of their description, key
        pairs in the comment of their public key.
      - 1 to 63 letters, digits, dots, dashes or underscores.
      - Taken from the environment variable E(HAVEN_PROJECT) when it is not given.
    type: str
    required: true
  api_via:
    description:
      - How the calls reach the cloud's API. V(jump_host) is for an API that can be reached from the inside only. The
        calls go through one SSH connection to the last of the O(hops), which lasts as long as the task.
      - The SDK gets a proxy on this computer's loopback address for that, with a credential of its own for each task.
        TLS is between the SDK and the API, whose certificate has to be right for its real name, and an address without
        TLS is refused. The jump host has to permit connections to the API, all of the SDK's services included.
    type: str
    choices: [direct, jump_host]
    default: direct
    version_added: "0.1.0"
  hops:
    description:
      - The jump hosts between the controller and the cloud's private network, outermost first. They are used for
        O(api_via=jump_host), and by M(haven.gpu.instance) to reach the machines, by their private addresses then.
    type: list
    elements: dict
    version_added: "0.1.0"
    suboptions:
      host:
        description: The name or address.
        type: str
      instance:
        description:
          - Instead of O(hops[].host), the name of an instance of the project that runs. Its address is looked up and
            its host key is the recorded one. Not for O(api_via=jump_host).
        type: str
      tag:
        description:
          - Instead of O(hops[].host), tags and their values, all of which such an instance carries. Of several the
            first by name is taken.
        type: dict
      port:
        description: The port.
        type: int
        default: 22
      user:
        description: The user.
        type: str
      key:
        description: The file of the private key. Without it, ssh asks the agent and tries the usual files.
        type: path
      host_key:
        description: The host key, such as C(ssh-ed25519 AAAA...). Without it, the user's own known_hosts decides.
        type: str
      inside_address:
        description:
          - The address that the machines behind it see. It is not used to reach them; M(haven.gpu.firewall) may let in
            no other.
        type: str
  openstack:
    description:
      - How to reach OpenStack, and what only OpenStack has. What is not given comes from where openstacksdk looks
        anyway, which is C(clouds.yaml) with C(secure.yaml), and the C(OS_*) variables of an openrc file.
      - The oldest release supported is 2023.1 (Antelope), with version 2.95 of the compute API.
    type: dict
    suboptions:
      cloud:
        description: The name of the cloud in C(clouds.yaml).
        type: str
      region:
        description: The region.
        type: str
      auth:
        description:
          - What the authentication takes, as in C(clouds.yaml), such as C(auth_url), C(username), C(password),
            C(project_name), C(user_domain_name) and C(project_domain_name), or C(application_credential_id) and
            C(application_credential_secret).
          - Nothing of it is logged. C(clouds.yaml) keeps it out of variables.
        type: dict
      auth_type:
        description:
          - The way to authenticate, such as C(password) or C(v3applicationcredential).
        type: str
      interface:
        description: Which of the catalogue's addresses to use.
        type: str
        choices: [public, internal, admin]
      ca_cert:
        description: A file with the certificate authorities to trust instead of the SDK's.
        type: path
      verify:
        description: Whether certificates are checked. V(false) is for trials only.
        type: bool
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
  - openstacksdk (for O(cloud=openstack))
notes:
  - The common options can be set once, with C(module_defaults) for the action group C(group/haven.gpu.cloud). A task
    that gives O(ec2) or O(openstack) itself replaces the default's dictionary as a whole.
  - Failures carry C(reason), a stable word to test in a playbook, which is one of C(invalid_request), C(not_found),
    C(refused), C(bad_credentials), C(denied), C(quota), C(no_capacity), C(throttled), C(unreachable), C(timeout),
    C(unsupported), C(untrusted), C(missing_library) and C(cloud_failure).
"""

_ONLY_OPENSTACK_INSTANCES = r"""
      boot_from_volume:
        description:
          - Whether the root disk is a volume. It is when O(root_volume) asks for a size, a type, encryption, or that it
            stays; else the flavor's own disk is used.
        type: bool
      config_drive:
        description: Whether cloud-init's data comes on a drive beside the metadata service. It cannot be changed later.
        type: bool
      floating_ip:
        description:
          - An address this OpenStack project has, to give to the instance. It is taken off when the instance is removed
            and stays allocated. It can be changed later.
        type: str
      floating_ip_pool:
        description:
          - The name or id of the network that O(public_address=true) takes a new address from. Needed where there are
            several.
        type: str
      former_name:
        description:
          - The name an instance had. When there is none of the new name and one of this, it is renamed.
        type: str
      key_name:
        description: The name of one of the user's key pairs that was not made by M(haven.gpu.keypair).
        type: str
      networks:
        description:
          - Names or ids of the networks of a new instance, in order. Needed where there are several; it is not compared
            later.
        type: list
        elements: str
      ports:
        description: Ids of ports to use for a new instance instead of networks. They stay when it is removed.
        type: list
        elements: str
      scheduler_hints:
        description: Hints for nova's scheduler for a new instance, such as C(group), the id of a server group.
        type: dict
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
    """haven.gpu.cloud, and haven.gpu.cloud.instance with what each cloud has for instances only."""

    DOCUMENTATION: ClassVar[str] = _CONNECTION + _NOTES
    INSTANCE: ClassVar[str] = (
        _CONNECTION.replace("  ec2:\n", _ONLY_OPENSTACK_INSTANCES.lstrip("\n") + "  ec2:\n")
        + _ONLY_INSTANCES.lstrip("\n")
        + _NOTES
    )
    ATTRIBUTES: ClassVar[str] = _ATTRIBUTES + "    support: full\n"
    ATTRIBUTES_INFO: ClassVar[str] = _ATTRIBUTES + "    support: N/A\n    details: This module changes nothing.\n"
