# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the sandbox's EC2 API share: a client with a few shorthands."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

DEBIAN = "ami-0debf12a20260101a"
ONCE = Config(retries={"total_max_attempts": 1}, max_pool_connections=20)


class Sandbox:
    """A running server, and calls to it."""

    def __init__(self, facts: dict[str, str]) -> None:
        self.facts = facts
        self.ec2 = self.client("ec2")

    def client(self, service: str, key: str = "", secret: str = "", region: str = "") -> Any:
        connect: Any = boto3.client  # typed service by service, which a variable name cannot meet
        return connect(
            service,
            endpoint_url=self.facts["AWS_ENDPOINT_URL"],
            region_name=region or self.facts["AWS_DEFAULT_REGION"],
            aws_access_key_id=key or self.facts["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=secret or self.facts["AWS_SECRET_ACCESS_KEY"],
            config=ONCE,
        )

    def control(self, name: str, asked: dict[str, Any] | None = None) -> Any:
        """POST with a body, GET without one."""
        url = f"{self.facts['HAVEN_SANDBOX_CONTROL_URL']}/{name}"
        body = None if asked is None else json.dumps(asked).encode()
        with urllib.request.urlopen(url, body) as answer:  # noqa: S310 - http, on this machine
            return json.load(answer)

    def run(self, **params: Any) -> dict[str, Any]:
        wanted = {"ImageId": DEBIAN, "InstanceType": "g5.xlarge", "MinCount": 1, "MaxCount": 1, **params}
        instance: dict[str, Any] = self.ec2.run_instances(**wanted)["Instances"][0]
        return instance

    def instance(self, id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ec2.describe_instances(InstanceIds=[id])["Reservations"][0]["Instances"][0]
        return found

    def until(self, id: str, state: str) -> dict[str, Any]:
        there: dict[str, Any] = wait_for(lambda: self.instance(id), lambda one: bool(one["State"]["Name"] == state))
        return there

    def running(self, **params: Any) -> dict[str, Any]:
        return self.until(self.run(**params)["InstanceId"], "running")

    def stopped(self, **params: Any) -> dict[str, Any]:
        id = self.running(**params)["InstanceId"]
        self.ec2.stop_instances(InstanceIds=[id])
        return self.until(id, "stopped")

    def machine(self, id: str) -> dict[str, Any]:
        found: dict[str, Any] = next(one for one in self.control("instances") if one["id"] == id)
        return found


def wait_for(look: Callable[[], Any], good: Callable[[Any], bool]) -> Any:
    end = time.monotonic() + 5
    while True:
        seen = look()
        if good(seen):
            return seen
        assert time.monotonic() < end, f"still {seen}"
        time.sleep(0.02)


def refusal(call: Callable[..., Any], **params: Any) -> str:
    """The code of the error a call is refused with."""
    with pytest.raises(ClientError) as refused:
        call(**params)
    return str(refused.value.response["Error"]["Code"])
