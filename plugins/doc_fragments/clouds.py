# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of what each cloud has. Made by `make generated`: changes are overwritten."""

from __future__ import annotations

from typing import ClassVar


class ModuleDocFragment:
    """Options of the connection, the same with those of instances, and those of the inventory."""

    DOCUMENTATION: ClassVar[str] = r"""
options:
  cloud:
    description:
      - >-
        Which cloud to use. Taken from the environment variable E(HAVEN_CLOUD) when it is not given.
    type: str
    choices:
      - ec2
      - openstack
    required: true
  ec2:
    description:
      - >-
        How to reach EC2, and what only EC2 has. What is not given comes from where the AWS SDK looks
        anyway, which is the environment, C(~/.aws/config), C(~/.aws/credentials) and the metadata of
        the computer the module runs on.
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
    type: dict
  openstack:
    description:
      - >-
        How to reach OpenStack, and what only OpenStack has. What is not given comes from where openstacksdk
        looks anyway, which is C(clouds.yaml) with C(secure.yaml), and the C(OS_*) variables of an openrc
        file.
      - >-
        The oldest release supported is 2023.1 (Antelope), with version 2.95 of the compute API.
    suboptions:
      cloud:
        description: The name of the cloud in C(clouds.yaml).
        type: str
      region:
        description: The region.
        type: str
      auth:
        description:
          - >-
            What the authentication takes, as in C(clouds.yaml), such as C(auth_url), C(username), C(password),
            C(project_name), C(user_domain_name) and C(project_domain_name), or C(application_credential_id)
            and C(application_credential_secret).
          - Nothing of it is logged. C(clouds.yaml) keeps it out of variables.
        type: dict
      auth_type:
        description:
          - The authentication method, such as C(password) or C(v3applicationcredential).
        type: str
      interface:
        description: Which of the catalogue's addresses to use.
        type: str
        choices:
          - public
          - internal
          - admin
      ca_cert:
        description: A file with the certificate authorities to trust instead of the SDK's.
        type: path
      verify:
        description: Whether certificates are checked. V(false) is for trials only.
        type: bool
    type: dict
requirements:
  - boto3 (for O(cloud=ec2))
  - openstacksdk (for O(cloud=openstack))
"""

    INSTANCES: ClassVar[str] = r"""
options:
  cloud:
    description:
      - >-
        Which cloud to use. Taken from the environment variable E(HAVEN_CLOUD) when it is not given.
    type: str
    choices:
      - ec2
      - openstack
    required: true
  ec2:
    description:
      - >-
        How to reach EC2, and what only EC2 has. What is not given comes from where the AWS SDK looks
        anyway, which is the environment, C(~/.aws/config), C(~/.aws/credentials) and the metadata of
        the computer the module runs on.
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
      iam_instance_profile:
        description: The name or ARN of the IAM instance profile. It cannot be changed later.
        type: str
      imdsv2:
        description: Whether the metadata service requires a session token.
        type: bool
        default: true
      key_name:
        description: >-
          The name of one of the account's key pairs that was not made by M(haven.gpu.keypair).
        type: str
    type: dict
  openstack:
    description:
      - >-
        How to reach OpenStack, and what only OpenStack has. What is not given comes from where openstacksdk
        looks anyway, which is C(clouds.yaml) with C(secure.yaml), and the C(OS_*) variables of an openrc
        file.
      - >-
        The oldest release supported is 2023.1 (Antelope), with version 2.95 of the compute API.
    suboptions:
      cloud:
        description: The name of the cloud in C(clouds.yaml).
        type: str
      region:
        description: The region.
        type: str
      auth:
        description:
          - >-
            What the authentication takes, as in C(clouds.yaml), such as C(auth_url), C(username), C(password),
            C(project_name), C(user_domain_name) and C(project_domain_name), or C(application_credential_id)
            and C(application_credential_secret).
          - Nothing of it is logged. C(clouds.yaml) keeps it out of variables.
        type: dict
      auth_type:
        description:
          - The authentication method, such as C(password) or C(v3applicationcredential).
        type: str
      interface:
        description: Which of the catalogue's addresses to use.
        type: str
        choices:
          - public
          - internal
          - admin
      ca_cert:
        description: A file with the certificate authorities to trust instead of the SDK's.
        type: path
      verify:
        description: Whether certificates are checked. V(false) is for trials only.
        type: bool
      boot_from_volume:
        description:
          - >-
            Whether the root disk is a volume. It is when O(root_volume) asks for a size, a type, encryption,
            or that it stays; else the flavor's own disk is used.
        type: bool
      config_drive:
        description: >-
          Whether cloud-init's data comes on a drive beside the metadata service. It cannot be changed
          later.
        type: bool
      floating_ip:
        description:
          - >-
            An address this OpenStack project has, to give to the instance. It is taken off when the instance
            is removed and stays allocated. It can be changed later.
        type: str
      floating_ip_pool:
        description:
          - >-
            The name or id of the network that O(public_address=true) takes a new address from. Needed
            where there are several.
        type: str
      former_name:
        description:
          - >-
            The name an instance had. When there is none of the new name and one of this, it is renamed.
        type: str
      key_name:
        description: >-
          The name of one of the user's key pairs that was not made by M(haven.gpu.keypair).
        type: str
      networks:
        description:
          - >-
            Names or ids of the networks of a new instance, in order. Needed where there are several;
            it is not compared later.
        type: list
        elements: str
      ports:
        description: >-
          Ids of ports to use for a new instance instead of networks. They stay when it is removed.
        type: list
        elements: str
      scheduler_hints:
        description: >-
          Hints for nova's scheduler for a new instance, such as C(group), the id of a server group.
        type: dict
    type: dict
requirements:
  - boto3 (for O(cloud=ec2))
  - openstacksdk (for O(cloud=openstack))
"""

    INVENTORY: ClassVar[str] = r"""
options:
  cloud:
    description:
      - The cloud to list.
      - Default is the variable C(haven_cloud).
    type: str
    choices:
      - ec2
      - openstack
  ec2:
    description:
      - >-
        Where and as whom on EC2, as in M(haven.gpu.instance_info) (C(region), C(profile), C(endpoint_url),
        and so on).
      - Default is the variable C(haven_ec2).
    type: dict
  openstack:
    description:
      - >-
        Where and as whom on OpenStack, as in M(haven.gpu.instance_info) (C(cloud), C(region), C(auth),
        and so on).
      - Default is the variable C(haven_openstack).
    type: dict
requirements:
  - boto3 (for O(cloud=ec2))
  - openstacksdk (for O(cloud=openstack))
"""
