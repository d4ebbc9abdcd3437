"""Identities that may do what the documentation says and nothing else, and what they did."""

from __future__ import annotations

import json
import os
import pathlib
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import boto3

from tests.access_rules import AccessRulesUser, documented_rules
from tests.environment import control

from .conftest import Story, make_story, prepared

DOCS = pathlib.Path(__file__).resolve().parent.parent.parent / "docs"
EC2_POLICY = DOCS / "ec2-policy.json"


class Ec2User:
    """A user with docs/ec2-policy.json and no more. Permissions are actions, such as ec2:RunInstances."""

    def __init__(self, name: str, folder: pathlib.Path) -> None:
        iam: Any = boto3.client("iam")
        iam.create_user(UserName=name)
        iam.put_user_policy(UserName=name, PolicyName="documented", PolicyDocument=EC2_POLICY.read_text())
        key = iam.create_access_key(UserName=name)["AccessKey"]
        self.environment: Mapping[str, str] = {
            "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        }

    def refused(self) -> bool:
        """Whether the cloud refuses what the policy does not allow."""
        client: Any = boto3.client(
            "ec2",
            aws_access_key_id=self.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.environment["AWS_SECRET_ACCESS_KEY"],
        )
        try:
            client.describe_vpcs()
        except client.exceptions.ClientError as error:
            return bool(error.response["Error"]["Code"] == "UnauthorizedOperation")
        return False

    @staticmethod
    def allowed() -> set[str]:
        statements = json.loads(EC2_POLICY.read_text())["Statement"]
        return {action for statement in statements for action in statement["Action"]}

    def used(self) -> set[str]:
        key = self.environment["AWS_ACCESS_KEY_ID"]
        # What the policy does not allow was not used: other regions are asked for, and do without.
        mine = (entry for entry in log("HAVEN_SANDBOX_EC2_LOG") if entry["key"] == key)
        asked = (entry for entry in mine if entry["code"] != "UnauthorizedOperation")
        return {f"{entry['service']}:{entry['action']}" for entry in asked} - {"ec2:DescribeVpcs"}


class OpenStackUser(AccessRulesUser):
    """An application credential with docs/openstack-access-rules.yaml."""

    def __init__(self, name: str, folder: pathlib.Path) -> None:
        super().__init__(os.environ, name, folder, documented_rules())


def log(variable: str) -> list[dict[str, Any]]:
    """The entries of the access log that this variable names."""
    return [json.loads(line) for line in pathlib.Path(os.environ[variable]).read_text(encoding="utf-8").splitlines()]


USERS: Mapping[str, type[Ec2User | OpenStackUser]] = {"ec2": Ec2User, "openstack": OpenStackUser}


@contextmanager
def _no_default_network() -> Iterator[None]:
    """Many organisations delete the default network of their EC2 accounts."""
    control("networks", default="none")
    try:
        yield
    finally:
        control("networks", default="own")


@contextmanager
def with_documented_permissions(cloud: str, folder: pathlib.Path) -> Iterator[Story]:
    """A story whose user may do what the documentation says; once it is destroyed, nothing of that was too much."""
    own = folder / cloud[0]  # short: ssh puts a socket below it
    own.mkdir()
    name = f"least-{secrets.token_hex(3)}"
    user = USERS[cloud](name, own)
    assert user.refused(), "the sandbox lets this user do more, so the story would prove nothing"
    # Notebooks alone, without the environments: those ask nothing of the cloud.
    instance = prepared(cloud)
    if cloud == "ec2":
        # As inventories/example_ec2 has it.
        kind = "prepared" if os.environ.get("HAVEN_SANDBOX_PREPARED") else "release"
        instance["image"] = {"parameter": f"/aws/service/debian/{kind}/13/latest/amd64"}
    variables = {"haven_environments": [], "haven_instances": [instance]}
    story = make_story(own, name, variables, cloud=cloud, identity=user.environment)
    with _no_default_network() if cloud == "ec2" else nullcontext():
        try:
            yield story
        finally:
            story.run("destroy", "-e", f"haven_destroy={story.project}")
    assert user.used() == user.allowed()


def assert_undone(story: Story) -> None:
    """On EC2, what somebody opened by hand is closed again, and sources that are not wanted any more are removed."""
    ec2: Any = boto3.client("ec2")
    condition = [{"Name": "tag:haven:project", "Values": [story.project]}]

    def opened() -> dict[int, set[str]]:
        (group,) = ec2.describe_security_groups(Filters=condition)["SecurityGroups"]
        return {rule["FromPort"]: {peer["CidrIp"] for peer in rule["IpRanges"]} for rule in group["IpPermissions"]}

    before = opened()
    assert list(before) == [22]
    wide = [*sorted(before[22]), "192.0.2.0/24"]
    story.run("provision", "-e", json.dumps({"haven_ssh_sources": wide}))
    assert opened() == {22: set(wide)}
    (group,) = ec2.describe_security_groups(Filters=condition)["SecurityGroups"]
    everybody = {"IpProtocol": "tcp", "FromPort": 8888, "ToPort": 8888, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    ec2.authorize_security_group_ingress(GroupId=group["GroupId"], IpPermissions=[everybody])
    story.run("provision")
    assert opened() == before
