"""Identities that may do what the documentation says and nothing else, and what they did."""

from __future__ import annotations

import json
import os
import pathlib
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import boto3

from tests.access_rules import AccessRulesUser, documented_rules
from tests.controller import Controller
from tests.environment import control

from .conftest import Story
from .reader import Reader, reader

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
def following(cloud: str, folder: pathlib.Path, controller: Controller | None = None) -> Iterator[Reader]:
    """A reader of README who may do what it says and no more; once all is destroyed, nothing of that was too much.

    The network of an EC2 account is none that AWS has made.
    """
    with _reader_with_permissions(cloud, folder, controller) as (story, user):
        yield story
    assert user.used() <= user.allowed()


@contextmanager
def with_documented_permissions(cloud: str, folder: pathlib.Path) -> Iterator[Reader]:
    """The same with the shipped inventory filled in, whose whole story takes all of what the documentation says."""
    with _reader_with_permissions(cloud, folder) as (story, user):
        story.copy_and_fill_in()
        yield story
    assert user.used() == user.allowed()


@contextmanager
def _reader_with_permissions(
    cloud: str, folder: pathlib.Path, controller: Controller | None = None
) -> Iterator[tuple[Reader, Ec2User | OpenStackUser]]:
    own = folder / cloud[0]  # short: ssh puts a socket below it
    own.mkdir()
    name = f"reader-{secrets.token_hex(3)}"
    story = reader(own, cloud, "13", name, controller)
    user = USERS[cloud](name, own)
    assert user.refused(), "the sandbox lets this user do more, so the story would prove nothing"
    _write_access(cloud, story.home, user.environment)
    if cloud == "ec2":
        # Many organisations delete the default network of their accounts. Who tests beside this story keeps it.
        control("networks", default="none", key=user.environment["AWS_ACCESS_KEY_ID"])
    try:
        yield story, user
    finally:
        if story.inventory.exists():
            story.run("destroy", "-e", f"haven_destroy={story.project}")


def _write_access(cloud: str, home: pathlib.Path, given: Mapping[str, str]) -> None:
    """Put the credentials where README and the examples look for them."""
    if cloud == "openstack":
        folder = home / ".config/openstack"
        folder.mkdir(parents=True)
        shutil.copy(given["OS_CLIENT_CONFIG_FILE"], folder / "clouds.yaml")
        return
    aws = home / ".aws"
    aws.mkdir(mode=0o700)
    lines = [f"{name.lower()} = {value}" for name, value in given.items()]
    (aws / "credentials").write_text("\n".join(["[default]", *lines, ""]))
    # AWS has a name that every SDK knows.
    (aws / "config").write_text(f"[default]\nendpoint_url = {os.environ['AWS_ENDPOINT_URL']}\n")


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
