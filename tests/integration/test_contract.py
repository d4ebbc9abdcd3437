# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The contract of all clouds (tests/clouds/contract.py), kept by EC2 and by OpenStack."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from ansible_collections.haven.gpu.plugins.module_utils._cloud import Cloud
from ansible_collections.haven.gpu.plugins.module_utils._clouds import connect, package
from ansible_collections.haven.gpu.plugins.module_utils._models import ImageChoice
from tests.clouds.contract import Contract
from tests.clouds.world import OTHER_KEY, World
from tests.integration.clouds import Api, OpenStackApi

# Nothing listens there.
NOWHERE = "http://127.0.0.1:9"


class SandboxWorld(World):
    """A cloud of the sandbox."""

    def __init__(self, api: Api) -> None:
        super().__init__()
        self.api = api
        self.package = package(api.cloud)
        self.image = ImageChoice(**api.basics["image"])
        self.instance_type = api.basics["instance_type"]
        self.other_type = api.other_type
        self.strangers: list[tuple[str, str]] = []

    def unreachable(self) -> Cloud:
        return connect(self.api.cloud, self.api.at(NOWHERE)[self.api.cloud])

    def written(self, since: float) -> list[str]:
        return [each["action"] for each in self.api.log(since) if not self.is_read(each["action"])]

    def is_read(self, call: str) -> bool:
        return self.api.is_read(call)

    def stranger(self, kind: str, project: str, name: str) -> str:
        made = self.make_stranger(kind, project, name)
        self.strangers.append((kind, made))
        return made

    def make_stranger(self, kind: str, project: str, name: str) -> str:
        raise NotImplementedError

    def remove_stranger(self, kind: str, item_id: str) -> None:
        raise NotImplementedError

    def end(self) -> None:
        self.api.control("reset")
        super().end()
        for kind, item_id in self.strangers:
            self.remove_stranger(kind, item_id)


class Ec2World(SandboxWorld):
    unknown_id = "i-0123456789abcdef0"

    @property
    def _keys(self) -> dict[str, str]:
        environment = self.api.environment
        return {"access_key": environment["AWS_ACCESS_KEY_ID"], "secret_key": environment["AWS_SECRET_ACCESS_KEY"]}

    def cloud(self) -> Cloud:
        environment = self.api.environment
        where = {"region": environment["AWS_DEFAULT_REGION"], "endpoint_url": environment["AWS_ENDPOINT_URL"]}
        return connect("ec2", {**where, **self._keys})

    def unreachable(self) -> Cloud:
        where = {"region": self.api.environment["AWS_DEFAULT_REGION"], "endpoint_url": NOWHERE}
        return connect("ec2", {**where, **self._keys})

    def lose_an_answer(self) -> None:
        self.api.control("fault", action="RunInstances", after_success=True)

    def is_read(self, call: str) -> bool:
        return call.startswith(("Describe", "Get"))

    def unbounded(self, since: float) -> list[str]:
        listings = [each for each in self.api.log(since) if each["action"] == "DescribeInstances"]
        return [str(each) for each in listings if not {"instance-id", "tag:Name"} & set(each["params"].values())]

    @property
    def sdk(self) -> Any:
        environment = self.api.environment
        return boto3.client(
            "ec2",
            region_name=environment["AWS_DEFAULT_REGION"],
            endpoint_url=environment["AWS_ENDPOINT_URL"],
            aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        )

    def make_stranger(self, kind: str, project: str, name: str) -> str:
        if kind == "machine":
            tags = [{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": name}]}]
            image = self.cloud().image(self.image).id
            made = self.sdk.run_instances(
                ImageId=image, InstanceType=self.instance_type, MinCount=1, MaxCount=1, TagSpecifications=tags
            )
            return str(made["Instances"][0]["InstanceId"])
        if kind == "firewall":
            return str(self.sdk.create_security_group(GroupName=f"{project}/{name}", Description="mine")["GroupId"])
        made = self.sdk.import_key_pair(KeyName=f"{project}/{name}", PublicKeyMaterial=OTHER_KEY.encode())
        return str(made["KeyPairId"])

    def has(self, kind: str, item_id: str) -> bool:
        if kind == "machine":
            found = self.sdk.describe_instances(InstanceIds=[item_id])["Reservations"][0]["Instances"][0]
            return found["State"]["Name"] in ("pending", "running")
        if kind == "firewall":
            return bool(self.sdk.describe_security_groups(GroupIds=[item_id])["SecurityGroups"])
        return bool(self.sdk.describe_key_pairs(KeyPairIds=[item_id])["KeyPairs"])

    def remove_stranger(self, kind: str, item_id: str) -> None:
        if kind == "machine":
            self.sdk.terminate_instances(InstanceIds=[item_id])
        elif kind == "firewall":
            self.sdk.delete_security_group(GroupId=item_id)
        else:
            self.sdk.delete_key_pair(KeyPairId=item_id)


class OpenStackWorld(SandboxWorld):
    unknown_id = "00000000-0000-4000-8000-000000000000"
    api: OpenStackApi

    def cloud(self) -> Cloud:
        return self.api.connected()

    def lose_an_answer(self) -> None:
        which = {"service": "nova", "method": "POST", "path": "/servers$", "agent": "^openstacksdk"}
        self.api.control("fault", **which, status=503, after_success=True)

    def is_read(self, call: str) -> bool:
        # The console is asked for by an action.
        return super().is_read(call) or call == "POST nova /v2.1/servers/ID/action"

    def unbounded(self, since: float) -> list[str]:
        listings = [each["path"] for each in self.api.log(since) if "/servers/detail" in each["path"]]
        return [path for path in listings if "name=" not in path]

    def make_stranger(self, kind: str, project: str, name: str) -> str:
        sdk = self.api.aside
        if kind == "machine":
            image, flavor = self.cloud().image(self.image).id, sdk.compute.find_flavor(self.instance_type).id
            made = sdk.compute.create_server(name=name, image_id=image, flavor_id=flavor, networks="auto")
            return str(sdk.compute.wait_for_server(made).id)
        if kind == "firewall":
            return str(sdk.network.create_security_group(name=f"{project}/{name}", description="mine").id)
        body = {"keypair": {"name": f"{name}@{project}.haven", "public_key": f"{OTHER_KEY} me", "type": "ssh"}}
        # Older versions take fewer characters in names.
        sdk.compute.post("/os-keypairs", json=body, microversion="2.92").raise_for_status()
        return str(body["keypair"]["name"])

    def has(self, kind: str, item_id: str) -> bool:
        sdk = self.api.aside
        if kind == "machine":
            return bool(sdk.compute.get_server(item_id).status == "ACTIVE")
        if kind == "firewall":
            return sdk.network.find_security_group(item_id) is not None
        return sdk.compute.find_keypair(item_id) is not None

    def remove_stranger(self, kind: str, item_id: str) -> None:
        sdk = self.api.aside
        if kind == "machine":
            sdk.compute.delete_server(item_id)
            sdk.compute.wait_for_delete(sdk.compute.get_server(item_id))
        elif kind == "firewall":
            sdk.network.delete_security_group(item_id)
        else:
            sdk.compute.delete_keypair(item_id)


class TestEc2(Contract):
    @pytest.fixture(scope="class")
    @classmethod
    def world(cls, ec2_api: Api) -> Iterator[World]:
        one = Ec2World(ec2_api)
        yield one
        one.end()


class TestOpenStack(Contract):
    @pytest.fixture(scope="class")
    @classmethod
    def world(cls, openstack_api: OpenStackApi) -> Iterator[World]:
        # The SDK finds its cloud by it, also later: which regions may be used is looked up when it is asked.
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("OS_CLIENT_CONFIG_FILE", openstack_api.environment["OS_CLIENT_CONFIG_FILE"])
            one = OpenStackWorld(openstack_api)
            yield one
            one.end()
