# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What guests are called in their clouds: their own names are ids."""

from __future__ import annotations

from collections.abc import Mapping


def instance_names(variables: Mapping[str, str]) -> dict[str, str]:
    """The name of each instance by its id, of every cloud that answers. variables: those of <dir>/env."""
    names = {}
    if "AWS_ENDPOINT_URL" in variables:
        names.update(_ec2(variables))
    if "OS_CLIENT_CONFIG_FILE" in variables:
        names.update(_openstack(variables))
    return names


def _ec2(variables: Mapping[str, str]) -> dict[str, str]:
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    ec2 = boto3.client(
        "ec2",
        endpoint_url=variables["AWS_ENDPOINT_URL"],
        region_name=variables["AWS_DEFAULT_REGION"],
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
    )
    try:
        pages = list(ec2.get_paginator("describe_instances").paginate())
    except (BotoCoreError, ClientError):
        return {}
    return {
        instance["InstanceId"]: tag["Value"]
        for page in pages
        for reservation in page["Reservations"]
        for instance in reservation["Instances"]
        for tag in instance.get("Tags", [])
        if tag["Key"] == "Name"
    }


def _openstack(variables: Mapping[str, str]) -> dict[str, str]:
    from keystoneauth1.exceptions import ClientException
    from openstack.config import OpenStackConfig
    from openstack.connection import Connection
    from openstack.exceptions import SDKException

    config = OpenStackConfig(config_files=[variables["OS_CLIENT_CONFIG_FILE"]], load_envvars=False)
    try:
        cloud = Connection(config=config.get_one("haven-admin"))
        return {server.id: server.name for server in cloud.compute.servers(details=False, all_projects=True)}
    except (ClientException, SDKException):
        return {}
