# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of the options of each cloud. Written by `make generated`; do not edit."""

from __future__ import annotations

from typing import ClassVar


class ModuleDocFragment:
    """Options of the connection, the same with those of instances, and those of the inventory."""

    DOCUMENTATION: ClassVar[str] = r"""
options:
  cloud:
    description:
      - The cloud to use. The default is the environment variable E(HAVEN_CLOUD).
    type: str
    choices:
      - ec2
      - openstack
    required: true
  ec2:
    description:
      - >-
        The connection to EC2, and options that only EC2 has. Settings that are not given come from where
        the AWS SDK finds them: environment variables, C(~/.aws/config), C(~/.aws/credentials), and the
        metadata of the computer that the module runs on.
    suboptions:
      region:
        description: The region.
        type: str
      profile:
        description: The profile in C(~/.aws/config).
        type: str
      endpoint_url:
        description: Another endpoint of the API, such as a VPC endpoint or the sandbox.
        type: str
      access_key:
        description: The access key ID.
        type: str
      secret_key:
        description: The secret access key. With a profile, it need not be in a variable.
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
        The connection to OpenStack, and options that only OpenStack has. Settings that are not given
        come from where openstacksdk finds them: C(clouds.yaml) with C(secure.yaml), and the C(OS_*) variables
        of an openrc file.
      - >-
        The oldest supported release is 2023.1 (Antelope), with version 2.95 of the compute API.
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
            The authentication settings, as in C(clouds.yaml), such as C(auth_url), C(username), C(password),
            C(project_name), C(user_domain_name), and C(project_domain_name), or C(application_credential_id)
            and C(application_credential_secret).
          - They are never logged. With C(clouds.yaml), they need not be in variables.
        type: dict
      auth_type:
        description:
          - The authentication method, such as C(password) or C(v3applicationcredential).
        type: str
      interface:
        description: Which of the endpoints in the catalog to use.
        type: str
        choices:
          - public
          - internal
          - admin
      ca_cert:
        description: A file with the certificate authorities to trust instead of the SDK's.
        type: path
      verify:
        description: Whether to check certificates. V(false) is for experiments only.
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
      - The cloud to use. The default is the environment variable E(HAVEN_CLOUD).
    type: str
    choices:
      - ec2
      - openstack
    required: true
  ec2:
    description:
      - >-
        The connection to EC2, and options that only EC2 has. Settings that are not given come from where
        the AWS SDK finds them: environment variables, C(~/.aws/config), C(~/.aws/credentials), and the
        metadata of the computer that the module runs on.
    suboptions:
      region:
        description: The region.
        type: str
      profile:
        description: The profile in C(~/.aws/config).
        type: str
      endpoint_url:
        description: Another endpoint of the API, such as a VPC endpoint or the sandbox.
        type: str
      access_key:
        description: The access key ID.
        type: str
      secret_key:
        description: The secret access key. With a profile, it need not be in a variable.
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
          The name of a key pair in the account that was not created by M(haven.gpu.keypair).
        type: str
    type: dict
  openstack:
    description:
      - >-
        The connection to OpenStack, and options that only OpenStack has. Settings that are not given
        come from where openstacksdk finds them: C(clouds.yaml) with C(secure.yaml), and the C(OS_*) variables
        of an openrc file.
      - >-
        The oldest supported release is 2023.1 (Antelope), with version 2.95 of the compute API.
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
            The authentication settings, as in C(clouds.yaml), such as C(auth_url), C(username), C(password),
            C(project_name), C(user_domain_name), and C(project_domain_name), or C(application_credential_id)
            and C(application_credential_secret).
          - They are never logged. With C(clouds.yaml), they need not be in variables.
        type: dict
      auth_type:
        description:
          - The authentication method, such as C(password) or C(v3applicationcredential).
        type: str
      interface:
        description: Which of the endpoints in the catalog to use.
        type: str
        choices:
          - public
          - internal
          - admin
      ca_cert:
        description: A file with the certificate authorities to trust instead of the SDK's.
        type: path
      verify:
        description: Whether to check certificates. V(false) is for experiments only.
        type: bool
      boot_from_volume:
        description:
          - >-
            Whether the root disk is a volume. It always is if O(root_volume) sets a size, a type, encryption,
            or that the disk is kept. Otherwise the flavor's own disk is used.
        type: bool
      config_drive:
        description: >-
          Whether cloud-init also gets its data from a drive, besides the metadata service. It cannot
          be changed later.
        type: bool
      floating_ip:
        description:
          - >-
            An existing floating IP of the OpenStack project to give to the instance. When the instance
            is deleted, it stays allocated. It can be changed later.
        type: str
      floating_ip_pool:
        description:
          - >-
            The name or id of the network that O(public_address=true) takes a new address from. Required
            if there are several.
        type: str
      former_name:
        description:
          - >-
            The previous name of the instance. If no instance has the new name and one has this name,
            it is renamed.
        type: str
      key_name:
        description: The name of a key pair of the user that was not created by M(haven.gpu.keypair).
        type: str
      networks:
        description:
          - >-
            Names or ids of the networks of a new instance, in order. Required if there are several. Not
            compared later.
        type: list
        elements: str
      ports:
        description: >-
          Ids of ports to use for a new instance instead of networks. They are kept when it is deleted.
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
      - The default is the variable C(haven_cloud).
    type: str
    choices:
      - ec2
      - openstack
  ec2:
    description:
      - >-
        The region and credentials on EC2, as in M(haven.gpu.instance_info) (C(region), C(profile), C(endpoint_url),
        ...).
      - The default is the variable C(haven_ec2).
    type: dict
  openstack:
    description:
      - >-
        The region and credentials on OpenStack, as in M(haven.gpu.instance_info) (C(cloud), C(region),
        C(auth), ...).
      - The default is the variable C(haven_openstack).
    type: dict
requirements:
  - boto3 (for O(cloud=ec2))
  - openstacksdk (for O(cloud=openstack))
"""
