# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules as Ansible runs them, in a process of their own, against the sandbox's clouds.

A test runs on both clouds; one that is marked ``only("ec2")`` or ``only("openstack")`` runs on that one, since it is
about something the other has not, counts that API's calls, or makes that API fail in its own way.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import openstack
import pytest

from tests.integration.sandbox_guests import Sandbox, command, running_sandbox

COLLECTION = "ansible_collections.haven.gpu.plugins.modules"
START_TIMEOUT = 60.0


@dataclass
class Answer:
    """How a module ended: its return value, what it wrote to stderr, and how long it took."""

    values: dict[str, Any]
    stderr: str
    seconds: float

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    @property
    def ok(self) -> bool:
        return not self.values.get("failed")

    @property
    def message(self) -> str:
        return str(self.values.get("msg"))

    @property
    def instances(self) -> dict[str, dict[str, Any]]:
        return {each["name"]: each for each in self.values.get("instances", [])}


@dataclass
class Api:
    """A cloud's API in the sandbox: its environment, its control endpoint and its log."""

    environment: dict[str, str]
    began: float = field(default_factory=time.time)
    cloud: str = "ec2"
    control_url: str = "HAVEN_SANDBOX_CONTROL_URL"
    basics: dict[str, Any] = field(default_factory=lambda: BASICS)

    def control(self, verb: str, **body: Any) -> Any:
        url = f"{self.environment[self.control_url]}/{verb}"
        request = urllib.request.Request(url, json.dumps(body).encode())  # noqa: S310 -- our own loopback address
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return json.load(answer)

    def log(self, since: float) -> list[dict[str, Any]]:
        url = f"{self.environment[self.control_url]}/log?since={since}"
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310
            return list(json.load(answer))

    def is_read(self, call: str) -> bool:
        """Whether a call changes nothing."""
        return call.startswith("Describe")


@dataclass
class OpenStackApi(Api):
    """The OpenStack services; a call is a method, a service and a path with its ids left out."""

    cloud: str = "openstack"
    control_url: str = "HAVEN_SANDBOX_OPENSTACK_CONTROL_URL"
    basics: dict[str, Any] = field(default_factory=lambda: OPENSTACK_BASICS)

    def log(self, since: float) -> list[dict[str, Any]]:
        # What the services ask each other is none of ours.
        entries = [each for each in super().log(since) if each["agent"].startswith("openstacksdk")]
        return [{**each, "action": self._action(each)} for each in entries]

    @staticmethod
    def _action(entry: dict[str, Any]) -> str:
        path = re.sub(r"/[0-9a-f]{8}-[0-9a-f-]{27}", "/ID", entry["path"].partition("?")[0])
        return f"{entry['method']} {entry['service']} {path}"

    def is_read(self, call: str) -> bool:
        return call.startswith("GET ") or call == "POST keystone /v3/auth/tokens"

    def sdk(self, cloud: str = "haven") -> Any:
        """The SDK's own connection, to look from aside."""
        file = self.environment["OS_CLIENT_CONFIG_FILE"]
        config = openstack.config.OpenStackConfig(config_files=[file], load_envvars=False)
        return openstack.connection.Connection(config=config.get_one(cloud))


@dataclass
class Account:
    """One test's project in the sandbox's account."""

    api: Api
    project: str
    calls: list[str] = field(default_factory=list)

    def run(self, module: str, *, check: bool = False, env: dict[str, str] | None = None, **options: Any) -> Answer:
        """Run a module; the API actions it called are in ``calls`` afterwards."""
        began = time.time()
        process = self.start(module, check=check, env=env, **options)
        out, err = process.communicate(timeout=120)
        self.calls = [entry["action"] for entry in self.api.log(began)]
        return Answer(json.loads(out), err, time.time() - began)

    def start(
        self, module: str, *, check: bool = False, env: dict[str, str] | None = None, **options: Any
    ) -> subprocess.Popen[str]:
        arguments = {"cloud": self.api.cloud, "project": self.project, **options, "_ansible_check_mode": check}
        process = subprocess.Popen(
            [sys.executable, "-m", f"{COLLECTION}.{module}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **self.api.environment, **(env or {})},
        )
        assert process.stdin
        process.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": arguments}))
        process.stdin.close()
        process.stdin = None
        return process

    def instance(self, name: str | list[str] = "one", **options: Any) -> Answer:
        names = [name] if isinstance(name, str) else name
        return self.run("instance", name=names, **options)

    def make(self, name: str | list[str] = "one", **options: Any) -> Answer:
        """Make machines with what every one needs."""
        return self.instance(name, **{**self.api.basics, **options})

    @property
    def touched(self) -> list[str]:
        """The calls of the last run that change something."""
        return [call for call in self.calls if not self.api.is_read(call)]

    def write_tag(self, instance_id: str, key: str, value: str) -> None:
        """What somebody with the right to write tags could do."""
        environment = self.api.environment
        client = boto3.client(
            "ec2",
            region_name=environment["AWS_DEFAULT_REGION"],
            endpoint_url=environment["AWS_ENDPOINT_URL"],
            aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        )
        client.create_tags(Resources=[instance_id], Tags=[{"Key": key, "Value": value}])

    def living(self) -> list[str]:
        """The names of all machines of the project that are not gone."""
        answer = self.run("instance_info")
        assert answer.ok, answer.message
        return [each["name"] for each in answer["instances"]]

    def besides_polls(self) -> Counter[str]:
        """The calls of the last run without those that only ask again whether it is done."""
        counted = Counter(self.calls)
        # The first listing decides; every further one waits.
        counted["DescribeInstances"] = min(counted["DescribeInstances"], 1)
        return +counted


BASICS: dict[str, Any] = {"image": {"name": "haven-debian-12-*"}, "instance_type": "t3.micro"}
OPENSTACK_BASICS: dict[str, Any] = {"image": {"name": "haven-debian-12-2026*"}, "instance_type": "cpu.small"}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """On both clouds, unless the test says which."""
    if "api" in metafunc.fixturenames or "account" in metafunc.fixturenames:
        only = metafunc.definition.get_closest_marker("only")
        metafunc.parametrize("cloud", only.args if only else ("ec2", "openstack"), scope="session")


@pytest.fixture
def api(cloud: str, request: pytest.FixtureRequest) -> Api:
    """The API of the cloud this test runs on."""
    found: Api = request.getfixturevalue(f"{cloud}_api")
    return found


@pytest.fixture(scope="session")
def openstack_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenStackApi]:
    """The OpenStack services with guests: those that are up, else some for this session."""
    existing = running_sandbox()
    if existing is not None and "OS_CLIENT_CONFIG_FILE" in Sandbox(existing).env:
        yield OpenStackApi({**Sandbox(existing).env, "OS_CLOUD": "haven"})
        return
    folder = tmp_path_factory.mktemp("openstack")
    started = command("up", "--cloud", "openstack", folder=folder, timeout=900)
    assert started.returncode == 0, started.stderr
    yield OpenStackApi({**Sandbox(folder).env, "OS_CLOUD": "haven"})
    assert command("down", folder=folder).returncode == 0


@pytest.fixture(scope="session")
def ec2_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The EC2 API, one for each test process, with machines that exist in memory only."""
    folder = tmp_path_factory.mktemp("ec2")
    port, facts = folder / "port", folder / "facts"
    command = [sys.executable, "-m", "tests.sandbox.ec2.server", "--no-guests", "--dir", str(folder)]
    command += ["--port-file", str(port), "--facts", str(facts), "--log", str(folder / "log")]
    with (folder / "output").open("w") as output:
        server = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        _wait_for(port, server, folder / "output")
        yield Api(json.loads(facts.read_text()))
    finally:
        server.terminate()
        server.wait(timeout=20)


def _wait_for(file: Path, server: subprocess.Popen[bytes], output: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while not file.exists():
        assert server.poll() is None, f"the API ended: {output.read_text()}"
        assert time.monotonic() < deadline, f"the API does not start: {output.read_text()}"
        time.sleep(0.1)


@pytest.fixture
def account(api: Api, request: pytest.FixtureRequest) -> Iterator[Account]:
    """A project of its own for each test, on an API without faults."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower())[:40].strip("-")
    account = Account(api, f"{name}-{os.urandom(3).hex()}")
    yield account
    api.control("reset")
    if api.cloud == "openstack":
        _leave_nothing(account)


def _leave_nothing(account: Account) -> None:
    """Guests are real there: what a test left is removed, and that nothing stays is part of every test."""
    left = account.run("instance_info", resources=True)["resources"]
    machines = {each["name"] for each in left if each["kind"] not in ("firewall", "key_pair")}
    if machines:
        gone = account.instance(sorted(machines), state="absent", delete_volumes=True, termination_protection=False)
        assert gone.ok, gone.message
    for each in left:
        if each["kind"] in ("firewall", "key_pair"):
            account.run(each["kind"].replace("_", ""), name=each["name"], state="absent")
    assert account.run("instance_info", resources=True)["resources"] == []
