# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules as Ansible runs them, in a process of their own (see forks), against the sandbox's clouds.

A test runs on both clouds; one that is marked ``only("ec2")`` or ``only("openstack")`` runs on that one, since it is
about something the other has not, counts that API's calls, or makes that API fail in its own way.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.integration.clouds import Api, OpenStackApi
from tests.integration.forks import Forks, Run, anew
from tests.integration.sandbox_guests import wait_until

# For tests of how often something is tried again, not of how long the pauses are.
SHORT_PAUSES = {"_retry._FIRST_PAUSE": 0.02}


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
class Account:
    """One test's project in the sandbox's account."""

    api: Api
    project: str
    forks: Forks
    calls: list[str] = field(default_factory=list)
    wrote: bool = False

    def run(self, module: str, **options: Any) -> Answer:
        """Run a module, see start(); the API actions it called are in ``calls`` afterwards."""
        began, before = time.time(), self.wrote
        process = self.start(module, **options)
        out, err = process.communicate(timeout=120)
        self.calls = [entry["action"] for entry in self.api.log(began)]
        self.wrote = before or bool(self.touched)
        return Answer(json.loads(out), err, time.time() - began)

    def start(
        self,
        module: str,
        *,
        check: bool = False,
        env: dict[str, str] | None = None,
        constants: dict[str, Any] | None = None,
        **options: Any,
    ) -> Run | subprocess.Popen[str]:
        """Let a module run; constants are those that are to pass faster, as Forks.start() takes them.

        Left out, they are the cloud's own of these tests; {} leaves all as they are.
        """
        constants = self.api.constants if constants is None else constants
        self.wrote = True
        arguments = {"cloud": self.api.cloud, "project": self.project, **options, "_ansible_check_mode": check}
        environment = {**os.environ, **self.api.environment, **(env or {})}
        given = json.dumps({"ANSIBLE_MODULE_ARGS": arguments})
        if env and "PYTHONPATH" in env:
            # It is about what can be imported.
            return anew(module, given, environment)
        return self.forks.start(module, given, environment, constants)

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
        self.api.write_tag(instance_id, key, value)

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


@pytest.fixture(scope="session")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    """What modules are copies of."""
    one = Forks(tmp_path_factory.mktemp("forks"))
    yield one
    one.close()


@pytest.fixture
def account(api: Api, forks: Forks, request: pytest.FixtureRequest) -> Iterator[Account]:
    """A project of its own for each test, on an API without faults."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower())[:40].strip("-")
    account = Account(api, f"{name}-{os.urandom(3).hex()}", forks)
    yield account
    _end(account, api)


@pytest.fixture
def neighbour(account: Account, api: Api) -> Iterator[Account]:
    """Another project beside the test's own, whose name begins with that one's."""
    other = Account(api, f"{account.project}-x", account.forks)
    yield other
    _end(other, api)


def _end(account: Account, api: Api) -> None:
    api.control("reset")
    if isinstance(api, OpenStackApi) and account.wrote:
        _leave_nothing(account, api)


def _leave_nothing(account: Account, api: OpenStackApi) -> None:
    """What a test left is removed, and that nothing stays is part of every test."""
    left = api.adapter.resources(account.project)
    machines = [each.id for each in left if each.kind == "instance"]
    if machines:
        gone = account.run("instance", id=machines, state="absent", termination_protection=False)
        assert gone.ok, gone.message
    if left:
        gone = account.run("project", state="absent")
        assert gone.ok, gone.message
    assert not left or api.adapter.resources(account.project) == []
    # What is being deleted counts as gone there; here it has to get there.
    if not wait_until(lambda: not servers_of(account.project, api)):
        # A nova that was killed has forgotten what it was asked: its messages live in its memory here.
        for server in servers_of(account.project, api):
            api.aside.compute.delete_server(server)
        assert wait_until(lambda: not servers_of(account.project, api), 60), servers_of(account.project, api)


def servers_of(project: str, api: OpenStackApi) -> list[Any]:
    """All that nova knows of a project's servers, whatever their state."""
    return [each for each in api.aside.compute.servers() if each.metadata.get("haven:project") == project]
