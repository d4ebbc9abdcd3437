# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sandbox's clouds as tests on either of them see one: its API, its control endpoint, and where they differ."""

from __future__ import annotations

import base64
import functools
import json
import re
import time
import urllib.request
from dataclasses import dataclass, field
from typing import Any, ClassVar

import boto3
import openstack
import pytest

from ansible_collections.haven.gpu.plugins.module_utils._cloud import Cloud
from ansible_collections.haven.gpu.plugins.module_utils._clouds import connect

BASICS: dict[str, Any] = {"image": {"name": "haven-debian-12-*"}, "instance_type": "t3.micro"}
OPENSTACK_BASICS: dict[str, Any] = {"image": {"name": "haven-debian-12-2026*"}, "instance_type": "cpu.small"}


@dataclass
class Api:
    """A cloud's API in the sandbox: its environment, its control endpoint and its log."""

    environment: dict[str, str]
    began: float = field(default_factory=time.time)
    cloud: str = "ec2"
    control_url: str = "HAVEN_SANDBOX_CONTROL_URL"
    basics: dict[str, Any] = field(default_factory=lambda: BASICS)
    # The call that makes a machine, how many an unchanged one costs at most, and the library without which there is
    # none: its module and its package.
    creating: ClassVar[str] = "RunInstances"
    calls_unchanged: ClassVar[int] = 1
    library: ClassVar[tuple[str, str]] = ("botocore", "boto3")
    other_type: ClassVar[str] = "t3.small"
    gpu_type: ClassVar[str] = "g6.xlarge"
    gpu: ClassVar[dict[str, Any]] = {"model": "L4", "count": 1, "memory_gib": 22.4}
    # The newest of Debian 13.
    other_image: str = "ami-0debf13a20260101a"
    # What a machine has here and not on the other cloud, as options and as the names in its diff.
    own_options: ClassVar[dict[str, Any]] = {"shutdown_behavior": "terminate", "ec2": {"imdsv2": False}}
    own_changes: ClassVar[frozenset[str]] = frozenset({"shutdown_behavior", "imdsv2"})
    # OpenStack's listing shows no subnet.
    own_unchangeable: ClassVar[dict[str, Any]] = {
        "subnet": "subnet-0123456789abcdef0",
        "hibernation": True,
        "spot": {},
    }

    # Of our own, that have other values in tests, where machines are there sooner than anywhere else.
    constants: ClassVar[dict[str, Any]] = {}

    def at(self, url: str) -> dict[str, Any]:
        """The options that look for the API elsewhere."""
        return {"ec2": {"endpoint_url": url}}

    def fail(self, call: str, status: int, **more: Any) -> None:
        """Answer a call with a failure: one of any kind with "*", else a reading or a creating one."""
        code = "RequestLimitExceeded" if status == 503 else "InternalError"
        action = {"read": "DescribeInstances", "console": "GetConsoleOutput"}.get(call, call)
        self.control("fault", action=action, **{"code": code, "status": status, **more})

    def refuse_creation(self, times: int) -> str:
        """Let creations fail for lack of room; returns the reason they fail with."""
        code = "InsufficientInstanceCapacity"
        self.control("fault", action="RunInstances", code=code, status=500, message="None left.", times=times)
        return "no_capacity"

    def control(self, verb: str, **body: Any) -> Any:
        url = f"{self.environment[self.control_url]}/{verb}"
        request = urllib.request.Request(url, json.dumps(body).encode())  # noqa: S310 -- our own loopback address
        with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310
            return json.load(answer)

    def log(self, since: float) -> list[dict[str, Any]]:
        url = f"{self.environment[self.control_url]}/log?since={since}"
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310
            return list(json.load(answer))

    def write_tag(self, instance_id: str, key: str, value: str) -> None:
        """Set one; without a value, take it away."""
        client = boto3.client(
            "ec2",
            region_name=self.environment["AWS_DEFAULT_REGION"],
            endpoint_url=self.environment["AWS_ENDPOINT_URL"],
            aws_access_key_id=self.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.environment["AWS_SECRET_ACCESS_KEY"],
        )
        if value:
            client.create_tags(Resources=[instance_id], Tags=[{"Key": key, "Value": value}])
        else:
            client.delete_tags(Resources=[instance_id], Tags=[{"Key": key}])

    def user_data(self, instance_id: str) -> str:
        """What an instance was made with."""
        client = boto3.client(
            "ec2",
            region_name=self.environment["AWS_DEFAULT_REGION"],
            endpoint_url=self.environment["AWS_ENDPOINT_URL"],
            aws_access_key_id=self.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.environment["AWS_SECRET_ACCESS_KEY"],
        )
        found = client.describe_instance_attribute(InstanceId=instance_id, Attribute="userData")["UserData"]["Value"]
        return base64.b64decode(found).decode()

    def is_read(self, call: str) -> bool:
        """Whether a call changes nothing."""
        return call.startswith("Describe")


@dataclass
class OpenStackApi(Api):
    """The OpenStack services; a call is a method, a service and a path with its ids left out."""

    cloud: str = "openstack"
    control_url: str = "HAVEN_SANDBOX_OPENSTACK_CONTROL_URL"
    basics: dict[str, Any] = field(default_factory=lambda: OPENSTACK_BASICS)
    creating: ClassVar[str] = "POST nova /v2.1/servers"
    calls_unchanged: ClassVar[int] = 4
    library: ClassVar[tuple[str, str]] = ("openstack", "openstacksdk")
    other_type: ClassVar[str] = "cpu.medium"
    gpu_type: ClassVar[str] = "gpu.vgpu.1"
    gpu: ClassVar[dict[str, Any]] = {"model": "VGPU", "count": 1, "memory_gib": 0.0}
    own_options: ClassVar[dict[str, Any]] = {}
    own_changes: ClassVar[frozenset[str]] = frozenset()
    own_unchangeable: ClassVar[dict[str, Any]] = {}
    constants: ClassVar[dict[str, Any]] = {
        "_clouds.openstack.adapter.FIRST_LOOK": 0.3,
        "_clouds.openstack.adapter.SETTLED": 0.4,
        "_clouds.openstack.access.SETTLED": 0.1,
        "_clouds.openstack.adapter.OpenStack.pacing": {"first": 0.2, "then": 0.3},
    }

    def __post_init__(self) -> None:
        # Ids differ from sandbox to sandbox.
        self.other_image = self.sdk().image.find_image("haven-debian-13-20260101").id

    def at(self, url: str) -> dict[str, Any]:
        auth = {"auth_url": f"{url}/v3", "username": "haven", "password": "x", "project_name": "haven"}
        domains = {"user_domain_name": "Default", "project_domain_name": "Default"}
        return {"openstack": {"auth": {**auth, **domains}}}

    def fail(self, call: str, status: int, **more: Any) -> None:
        which: dict[str, Any] = {
            "*": {},
            "read": {"service": "nova", "method": "GET", "path": "/servers/detail"},
            "console": {"service": "nova", "method": "POST", "path": "/action$"},
        }[call]
        more.pop("code", None)
        if call == "*":
            # Each service counts for itself, and the first call meets two: it needs a token.
            more["times"] //= 2
        self.control("fault", status=status, agent="^openstacksdk", **which, **more)

    def refuse_creation(self, times: int) -> str:
        which = {"service": "nova", "method": "POST", "path": "/servers$", "agent": "^openstacksdk"}
        message = "Quota exceeded for instances: None left."
        self.control("fault", **which, status=403, message=message, times=times)
        return "quota"

    def log(self, since: float) -> list[dict[str, Any]]:
        # What the services ask each other is none of ours.
        entries = [each for each in super().log(since) if each["agent"].startswith("openstacksdk")]
        return [{**each, "action": self._action(each)} for each in entries]

    @staticmethod
    def _action(entry: dict[str, Any]) -> str:
        path = re.sub(r"/[0-9a-f]{8}-[0-9a-f-]{27}", "/ID", entry["path"].partition("?")[0])
        return f"{entry['method']} {entry['service']} {path}"

    def write_tag(self, instance_id: str, key: str, value: str) -> None:
        compute, path = self.sdk().compute, f"/servers/{instance_id}/metadata"
        if value:
            compute.post(path, json={"metadata": {key: value}}).raise_for_status()
        else:
            compute.delete(f"{path}/{key}").raise_for_status()

    def is_read(self, call: str) -> bool:
        return call.startswith("GET ") or call == "POST keystone /v3/auth/tokens"

    def connected(self) -> Cloud:
        """A new adapter of ours, in this process, whose own environment may name another cloud."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("OS_CLIENT_CONFIG_FILE", self.environment["OS_CLIENT_CONFIG_FILE"])
            return connect("openstack", {"cloud": "haven"})

    @functools.cached_property
    def adapter(self) -> Any:
        """One that knows its token already."""
        return self.connected()

    @functools.cached_property
    def aside(self) -> Any:
        """One connection of the SDK's to look again and again."""
        return self.sdk()

    def sdk(self, cloud: str = "haven") -> Any:
        """The SDK's own connection, to look from aside."""
        file = self.environment["OS_CLIENT_CONFIG_FILE"]
        config = openstack.config.OpenStackConfig(config_files=[file], load_envvars=False)
        return openstack.connection.Connection(config=config.get_one(cloud))
