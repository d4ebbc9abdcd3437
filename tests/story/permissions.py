"""Identities that may do what the documentation says and nothing else, and what they did."""

from __future__ import annotations

import json
import os
import pathlib
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import boto3
import openstack
import yaml

from .conftest import Story, make_story, prepared

DOCS = pathlib.Path(__file__).resolve().parent.parent.parent / "docs"
EC2_POLICY = DOCS / "ec2-policy.json"
ACCESS_RULES = DOCS / "openstack-access-rules.yaml"
# The types of services as access rules name them, and the sandbox's names of the services.
SERVICES = {"compute": "nova", "image": "glance", "network": "neutron", "block-storage": "cinder"}


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
        asked = (entry for entry in log("HAVEN_SANDBOX_EC2_LOG") if entry["key"] == key)
        return {f"{entry['service']}:{entry['action']}" for entry in asked} - {"ec2:DescribeVpcs"}


class OpenStackUser:
    """An application credential with docs/openstack-access-rules.yaml. Permissions are rules such as
    `compute GET /v2.1/servers/detail`; a request that no rule covers stands for itself."""

    def __init__(self, name: str, folder: pathlib.Path) -> None:
        admin: Any = openstack.connect(cloud="haven-admin")
        project = admin.identity.find_project("haven", ignore_missing=False)
        password = secrets.token_urlsafe(16)
        user = admin.identity.create_user(name=name, password=password, default_project_id=project.id)
        role = admin.identity.find_role("member", ignore_missing=False)
        admin.identity.assign_project_role_to_user(project, user, role)
        itself: Any = openstack.connect(
            cloud="haven", auth={"auth_url": os.environ["HAVEN_SANDBOX_KEYSTONE_URL"], "username": name,
                                 "password": password, "project_id": project.id, "user_domain_id": user.domain_id},
        )  # fmt: skip
        credential = itself.identity.create_application_credential(
            user=user, name=name, access_rules=yaml.safe_load(ACCESS_RULES.read_text())
        )
        clouds = folder / "clouds.yaml"
        auth = {
            "auth_url": os.environ["HAVEN_SANDBOX_KEYSTONE_URL"],
            "application_credential_id": credential.id,
            "application_credential_secret": credential.secret,
        }
        cloud = {"auth_type": "v3applicationcredential", "auth": auth, "region_name": itself.config.region_name}
        clouds.write_text(yaml.safe_dump({"clouds": {"haven": cloud}}))
        clouds.chmod(0o600)
        self._user = user.id
        self.environment: Mapping[str, str] = {"OS_CLIENT_CONFIG_FILE": str(clouds)}

    def refused(self) -> bool:
        """Whether the cloud refuses what the rules do not allow."""
        clouds = yaml.safe_load(pathlib.Path(self.environment["OS_CLIENT_CONFIG_FILE"]).read_text())["clouds"]
        limited: Any = openstack.connect(**clouds["haven"])
        return bool(limited.compute.get("/limits").status_code == 401)

    @staticmethod
    def allowed() -> set[str]:
        return {_rule(rule) for rule in yaml.safe_load(ACCESS_RULES.read_text())}

    def used(self) -> set[str]:
        rules = yaml.safe_load(ACCESS_RULES.read_text())
        found = set()
        for entry in log("HAVEN_SANDBOX_OPENSTACK_LOG"):
            # What a service asks for the user goes under its own token as well, and takes no rule.
            if entry["user"] != self._user or not entry["agent"].startswith("openstacksdk"):
                continue
            path = entry["path"].partition("?")[0]
            if path.endswith(("/limits", "/application_credentials")):
                continue  # asked by refused(), and to make the credential
            found.add(next((_rule(rule) for rule in rules if _covers(rule, entry, path)), f"{entry['method']} {path}"))
        return found


def _rule(rule: Mapping[str, str]) -> str:
    return f"{rule['service']} {rule['method']} {rule['path']}"


def _covers(rule: Mapping[str, str], entry: Mapping[str, Any], path: str) -> bool:
    pattern = re.escape(rule["path"]).replace(r"\*", "[^/]+")
    same = SERVICES[rule["service"]] == entry["service"] and rule["method"] == entry["method"]
    return same and re.fullmatch(pattern, path) is not None


def log(variable: str) -> list[dict[str, Any]]:
    """The entries of the access log that this variable names."""
    return [json.loads(line) for line in pathlib.Path(os.environ[variable]).read_text(encoding="utf-8").splitlines()]


USERS: Mapping[str, type[Ec2User | OpenStackUser]] = {"ec2": Ec2User, "openstack": OpenStackUser}


@contextmanager
def with_documented_permissions(cloud: str, folder: pathlib.Path) -> Iterator[Story]:
    """A story whose user may do what the documentation says; once it is destroyed, nothing of that was too much."""
    own = folder / cloud[0]  # short: ssh puts a socket below it
    own.mkdir()
    name = f"least-{secrets.token_hex(3)}"
    user = USERS[cloud](name, own)
    assert user.refused(), "the sandbox lets this user do more, so the story would prove nothing"
    # Notebooks alone, without the environments: those ask nothing of the cloud.
    variables = {"haven_environments": [], "haven_instances": [prepared(cloud)]}
    story = make_story(own, name, variables, cloud=cloud, identity=user.environment)
    try:
        yield story
    finally:
        story.run("destroy", "-e", f"haven_destroy={story.project}")
    assert user.used() == user.allowed()
