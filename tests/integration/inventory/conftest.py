# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The inventory as ansible-core runs it, in a process and a home of its own, against both of the sandbox's clouds.

As in modules: a test runs on both clouds, one that is marked ``only`` on that one.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import boto3
import pytest

from tests.controller import Controller
from tests.integration.clouds import Api, OpenStackApi
from tests.integration.sandbox_guests import wait_until

ROOT = Path(__file__).resolve().parents[3]
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGtQkg2pJ0Q1m1GZ1h6dXqg8xW6gQq3Yk8Qx2u8ZqQ0n"


class Ec2Machines:
    """Machines that exist in the API's memory only."""

    most = 100
    type, gpu, group = "g4dn.xlarge", {"model": "T4", "count": 1, "memory_gib": 16.0}, "haven_gpu_T4"
    region, image = "us-east-1", "ami-0debf12a20260101a"
    listing = ("DescribeInstances",)

    def __init__(self, api: Api) -> None:
        facts = api.environment
        self.client = boto3.client(
            "ec2",
            endpoint_url=facts["AWS_ENDPOINT_URL"],
            region_name=facts["AWS_DEFAULT_REGION"],
            aws_access_key_id=facts["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=facts["AWS_SECRET_ACCESS_KEY"],
        )
        self.secret = facts["AWS_SECRET_ACCESS_KEY"]

    def make(self, name: str | None, tags: dict[str, str]) -> str:
        named = {"Name": name} if name else {}
        listed = [{"Key": key, "Value": value} for key, value in {**named, **tags}.items()]
        answer = self.client.run_instances(
            ImageId=self.image,
            InstanceType=self.type,
            MinCount=1,
            MaxCount=1,
            TagSpecifications=[{"ResourceType": "instance", "Tags": listed}],
        )
        return str(answer["Instances"][0]["InstanceId"])

    def stop(self, id: str) -> None:
        soon = {"Delay": 1, "MaxAttempts": 30}
        self.client.get_waiter("instance_running").wait(InstanceIds=[id], WaiterConfig=soon)
        self.client.stop_instances(InstanceIds=[id])
        self.client.get_waiter("instance_stopped").wait(InstanceIds=[id], WaiterConfig=soon)

    def start(self, id: str) -> None:
        self.client.start_instances(InstanceIds=[id])
        soon = {"Delay": 1, "MaxAttempts": 30}
        self.client.get_waiter("instance_running").wait(InstanceIds=[id], WaiterConfig=soon)

    def clear(self) -> None:
        """Machines of other projects are in nobody's way."""

    def close(self) -> None:
        """The API goes with them."""

    def wrong_credentials(self, _folder: Path) -> dict[str, str]:
        return {"AWS_SECRET_ACCESS_KEY": "not-the-secret"}

    no_credentials: ClassVar[dict[str, str]] = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    denied: ClassVar[dict[str, Any]] = {"action": "DescribeInstances", "code": "UnauthorizedOperation", "times": 20}
    permission = "DescribeInstances"


class OpenStackMachines:
    """Servers are dear: a test takes those that an earlier one had, under another name."""

    most = 4
    type, gpu, group = "gpu.vgpu.1", {"model": "VGPU", "count": 1, "memory_gib": 0.0}, "haven_gpu_VGPU"
    region = "RegionOne"
    listing = ("POST keystone /v3/auth/tokens", "GET nova /v2.1/servers/detail")

    def __init__(self, api: OpenStackApi) -> None:
        self.cloud = api.sdk()
        self.file = Path(api.environment["OS_CLIENT_CONFIG_FILE"])
        self.secret = json.loads(self.file.read_text())["clouds"]["haven"]["auth"]["password"]
        self.image = self.cloud.image.find_image("haven-debian-12-20260101").id
        self.flavor = self.cloud.compute.find_flavor(self.type).id
        self.network = self.cloud.network.find_network("private").id
        self.free: list[str] = []
        self.taken: list[str] = []

    def make(self, name: str, tags: dict[str, str]) -> str:
        id = self.free.pop(0) if self.free else self._new()
        self.taken.append(id)
        self.cloud.compute.put(f"/servers/{id}", json={"server": {"name": name}}).raise_for_status()
        self.cloud.compute.put(f"/servers/{id}/metadata", json={"metadata": tags}).raise_for_status()
        return id

    def _new(self) -> str:
        wanted = {"image_id": self.image, "flavor_id": self.flavor, "networks": [{"uuid": self.network}]}
        server = self.cloud.compute.create_server(name="spare", **wanted)
        self._wait(server.id, "ACTIVE")
        return str(server.id)

    def _wait(self, id: str, status: str) -> None:
        assert wait_until(lambda: self.cloud.compute.get_server(id).status == status, 60)

    def stop(self, id: str) -> None:
        self.cloud.compute.stop_server(id)
        self._wait(id, "SHUTOFF")

    def start(self, id: str) -> None:
        self.cloud.compute.start_server(id)
        self._wait(id, "ACTIVE")

    def clear(self) -> None:
        """Let go of what the test had."""
        for id in self.taken:
            if self.cloud.compute.get_server(id).status == "SHUTOFF":
                self.start(id)
            self.cloud.compute.put(f"/servers/{id}/metadata", json={"metadata": {}}).raise_for_status()
        self.free += self.taken
        self.taken = []

    def close(self) -> None:
        for id in self.free:
            self.cloud.compute.delete_server(id)
        assert wait_until(lambda: not {each.id for each in self.cloud.compute.servers()} & set(self.free), 60)

    def wrong_credentials(self, folder: Path) -> dict[str, str]:
        file = folder / "clouds.yaml"
        file.write_text(self.file.read_text().replace(self.secret, "not-the-secret"))
        return {"OS_CLIENT_CONFIG_FILE": str(file)}

    no_credentials: ClassVar[dict[str, str]] = {"OS_CLIENT_CONFIG_FILE": "/nonexistent", "OS_CLOUD": ""}
    permission = "os_compute_api:servers:detail"
    denied: ClassVar[dict[str, Any]] = {
        "service": "nova",
        "path": "/servers/detail",
        "status": 403,
        "message": f"Policy doesn't allow {permission} to be performed.",
        "agent": "^openstacksdk",
        "times": 20,
    }


Machines = Ec2Machines | OpenStackMachines


class Project:
    """One test's project in the account, and its inventory folder."""

    def __init__(self, api: Api, name: str, folder: Path, machines: Machines | None = None) -> None:
        self.api = api
        self.name = name
        self.cloud = api.cloud
        self._machines = machines
        self.home = folder / "home"
        # In a home of their own for ssh, too, which does not ask the environment.
        self.on = Controller(self.home).command
        self.inventory = folder / "inventory"
        self.environment = {
            "ANSIBLE_NOCOLOR": "1",
            "HOME": str(self.home),
            "ANSIBLE_HOME": str(self.home / ".ansible"),
        }
        self.home.mkdir()
        self.inventory.mkdir()
        self.write("haven.yml", "plugin: haven.gpu.instances\n")
        self.write("group_vars/all.yml", f"haven_project: {name}\nhaven_cloud: {self.cloud}\n")

    def write(self, name: str, text: str) -> Path:
        file = self.inventory / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    @property
    def machines(self) -> Machines:
        assert self._machines
        return self._machines

    def machine(self, name: str = "one", **tags: str) -> str:
        """A running machine; in the names of further tags "__" stands for ":" and "_" for "-". Returns its id."""
        named = {key.replace("__", ":").replace("_", "-"): value for key, value in tags.items()}
        return self.machines.make(name, {"haven:project": self.name, **named})

    def calls(self, since: float) -> list[str]:
        """What the API was asked by clients."""
        return [entry["action"] for entry in self.api.log(since)]

    def ansible(self, program: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run one of ansible-core's programs on the inventory. Names and values in capitals are environment."""
        return subprocess.run(
            self.on([str(Path(sys.executable).with_name(program)), "-i", str(self.inventory), *arguments]),
            cwd=ROOT,
            env={**os.environ, **self.api.environment, **self.environment, **environment},
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def encrypt(self, file: Path) -> Path:
        """Put the file into a vault. Returns the file that holds its password."""
        password = self.home / "vault-password"
        password.write_text("sesame")
        program = Path(sys.executable).with_name("ansible-vault")
        subprocess.run(
            [str(program), "encrypt", "--vault-password-file", str(password), str(file)],
            check=True,
            capture_output=True,
            env={**os.environ, **self.environment},
        )
        return password

    def listed(self, *arguments: str, **environment: str) -> dict[str, Any]:
        """The output of ansible-inventory --list, core's marks of untrusted strings taken off."""
        done = self.ansible("ansible-inventory", "--list", *arguments, **environment)
        assert done.returncode == 0, done.stderr
        unmarked: dict[str, Any] = json.loads(
            done.stdout, object_hook=lambda found: found.get("__ansible_unsafe", found)
        )
        return unmarked

    def hosts(self, *arguments: str, **environment: str) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = self.listed(*arguments, **environment)["_meta"]["hostvars"]
        return found


def asked(variables: dict[str, Any]) -> dict[str, str]:
    """What ssh makes of the generated configuration for the host with these variables."""
    answer = subprocess.run(
        ["ssh", "-G", "-F", variables["haven_ssh_config"], variables["ansible_host"]],
        check=True,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    return dict(line.partition(" ")[::2] for line in answer.stdout.splitlines())


def fingerprint(key: str) -> str:
    """As the real ssh writes it."""
    done = subprocess.run(["ssh-keygen", "-l", "-f", "-"], input=key, capture_output=True, text=True, check=True)
    return done.stdout.split()[1]


def refusal(name: str, shown: str, known: str) -> str:
    """What is said of a machine with a wrong key."""
    return f"haven.gpu refuses {name}: it shows the host key {fingerprint(shown)}, and {fingerprint(known)} is known"


@pytest.fixture(scope="module")
def ec2_machines(ec2_api: Api) -> Ec2Machines:
    return Ec2Machines(ec2_api)


@pytest.fixture(scope="module")
def openstack_machines(openstack_api: OpenStackApi) -> Iterator[OpenStackMachines]:
    machines = OpenStackMachines(openstack_api)
    yield machines
    machines.close()


@pytest.fixture
def project(api: Api, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Project]:
    """A project, a home and an inventory for each test, on an API without faults."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower())[:40].strip("-")
    machines: Machines = request.getfixturevalue(f"{api.cloud}_machines")
    yield Project(api, f"{name}-{os.urandom(3).hex()}", tmp_path, machines)
    api.control("reset")
    machines.clear()
