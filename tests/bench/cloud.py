# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The clouds of the benchmark without guests, and commands run against them with their time and calls."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from tests.sandbox.openstack import process as openstack_process

from .memory import descendants, watched
from .replay import Replay

ROOT = Path(__file__).resolve().parents[2]
START_TIMEOUT = 240.0
# Of clouds.yaml: the project without limits that matter.
CLOUD = "haven"
SIDE_BY_SIDE = 8


@dataclass(frozen=True)
class Measured:
    """One command: wall-clock seconds, the API calls it made by action, its exit status and output."""

    seconds: float
    calls: Counter[str]
    status: int
    output: str
    stopped: bool = False
    # Seconds from the first to the last API call.
    talking: float = 0.0
    # Calls that only ask whether it is done, and calls that write tags on what exists already.
    polls: int = 0
    tags: int = 0
    # At the peak, of all its processes.
    mib: float = 0.0
    # Seconds of processors, of all its processes.
    cpu: float = 0.0


@dataclass
class Cloud:
    """A cloud of the sandbox with machines that exist in memory only."""

    environment: dict[str, str]
    folder: Path
    settings: dict[str, str] = field(default_factory=dict)

    control_variable: ClassVar[str]

    def control(self, verb: str, **body: Any) -> None:
        url = f"{self.environment[self.control_variable]}/{verb}"
        request = urllib.request.Request(url, json.dumps(body).encode())  # noqa: S310 -- our own loopback address
        urllib.request.urlopen(request, timeout=30).close()  # noqa: S310

    def reset(self) -> None:
        """An empty cloud without faults, latency or delays."""
        raise NotImplementedError

    def calls(self, entries: list[dict[str, Any]]) -> tuple[Counter[str], int, int]:
        """What clients asked for: calls by action, how many of them were polls, and how many wrote tags."""
        raise NotImplementedError

    def entries(self, since: float) -> list[dict[str, Any]]:
        """The access log's entries of clients."""
        url = f"{self.environment[self.control_variable]}/log?since={since}"
        with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310
            return list(json.load(answer))

    def measure(self, command: list[str], limit: float = 120.0) -> Measured:
        """Run a command of the environment; it is stopped after ``limit`` seconds."""
        began = time.time()
        started = time.monotonic()
        spent = _of_processors()
        with (
            subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, **self.environment, **self.settings},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            ) as process,
            watched(process.pid) as peak,
        ):
            try:
                output, stopped = process.communicate(timeout=limit)[0], False
            except subprocess.TimeoutExpired:
                end(process.pid)
                output, stopped = "", True
            except BaseException:
                # Whoever ends the benchmark ends this, too: on the way out Popen would wait for it.
                end(process.pid)
                raise
        seconds = time.monotonic() - started
        entries = self.entries(began)
        talking = entries[-1]["t"] - entries[0]["t"] if entries else 0.0
        calls, polls, tags = self.calls(entries)
        return Measured(
            seconds,
            calls,
            process.returncode,
            output,
            stopped,
            talking,
            polls,
            tags,
            peak.mib,
            _of_processors() - spent,
        )

    def play(self, tasks: list[dict[str, Any]], limit: float = 120.0) -> Measured:
        """Run one play with these tasks on this computer."""
        file = self.folder / "play.yml"
        # JSON is YAML.
        file.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
        # No inventory, as for our own provision.yml: this computer is there without one, and its Python is known.
        return self.measure([program("ansible-playbook"), str(file)], limit)


class Ec2(Cloud):
    """moto as tests/sandbox/ec2 runs it."""

    control_variable = "HAVEN_SANDBOX_CONTROL_URL"

    def reset(self) -> None:
        self.control("reset", cloud=True)

    def calls(self, entries: list[dict[str, Any]]) -> tuple[Counter[str], int, int]:
        """Polls are listings beyond the first, and reads of the console."""
        calls = Counter(each["action"] for each in entries)
        polls = max(0, calls["DescribeInstances"] - 1) + calls["GetConsoleOutput"]
        return calls, polls, calls["CreateTags"]


class ReplayedEc2(Ec2):
    """The same, with answers that have been given before given at once; see :mod:`.replay`."""

    def __init__(self, cloud: Ec2, replay: Replay) -> None:
        environment = {**cloud.environment, "AWS_ENDPOINT_URL": replay.url}
        super().__init__(environment, cloud.folder, cloud.settings)
        self._replay = replay

    def entries(self, since: float) -> list[dict[str, Any]]:
        return [each for each in self._replay.asked if each["t"] >= since]

    def calls(self, entries: list[dict[str, Any]]) -> tuple[Counter[str], int, int]:
        """Pages and regions are no polls: nothing here waits for anything."""
        return Counter(each["action"] for each in entries), 0, 0

    @property
    def missed(self) -> int:
        """How often moto itself has been asked."""
        return self._replay.missed


class OpenStack(Cloud):
    """OpenStack's services as tests/sandbox/openstack runs them."""

    control_variable = "HAVEN_SANDBOX_OPENSTACK_CONTROL_URL"
    # What services ask each other carries other names.
    client = "openstacksdk"

    def reset(self) -> None:
        """Delete every server, and wait until they are gone."""
        self.control("reset")
        delete_servers(self.environment["OS_CLIENT_CONFIG_FILE"])

    def entries(self, since: float) -> list[dict[str, Any]]:
        return [each for each in super().entries(since) if each["agent"].startswith(self.client)]

    def calls(self, entries: list[dict[str, Any]]) -> tuple[Counter[str], int, int]:
        """Polls are reads of a server, of the servers or of a console that were made before in the same command."""
        calls = Counter(f"{each['method']} {each['service']} {template(each['path'])}" for each in entries)
        polls = sum(calls[action] - 1 for action in (_LISTING, _SERVER, _ACTION) if action in calls)
        return calls, polls, calls[f"POST nova {_OF_SERVER}/metadata"]


_OF_SERVER = "/v2.1/servers/{id}"
_LISTING = "GET nova /v2.1/servers/detail"
_SERVER = f"GET nova {_OF_SERVER}"
_ACTION = f"POST nova {_OF_SERVER}/action"


def template(path: str) -> str:
    """A request's path without its query and ids; pages of one listing are the same."""
    return re.sub(r"/[0-9a-f]{8}-[0-9a-f-]{27}", "/{id}", path.partition("?")[0])


def openstack_connection(clouds: str) -> Any:
    """The SDK's connection as the user of the benchmark."""
    import openstack

    return openstack.connection.Connection(config=openstack.config.OpenStackConfig([clouds]).get_one(CLOUD))


def delete_servers(clouds: str) -> None:
    compute = openstack_connection(clouds).compute
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        list(pool.map(compute.delete_server, [each.id for each in compute.servers(details=False)]))
    deadline = time.monotonic() + START_TIMEOUT
    while list(compute.servers(details=False, limit=1, paginated=False)):
        if time.monotonic() > deadline:
            raise SystemExit("nova does not delete the servers of the benchmark.")
        time.sleep(0.2)


def end(pid: int) -> None:
    """Ansible's workers have sessions of their own: what is left alive would go on calling the API."""
    for each in [pid, *descendants(pid)]:
        kill(each)


def _of_processors() -> float:
    """Seconds of processors that commands have taken so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def program(name: str) -> str:
    return str(Path(sys.executable).parent / name)


@contextmanager
def ec2(folder: Path) -> Iterator[Ec2]:
    """moto, as long as the block."""
    port, facts = folder / "port", folder / "facts"
    command = [sys.executable, "-m", "tests.sandbox.ec2.server", "--no-guests", "--dir", str(folder)]
    command += ["--port-file", str(port), "--facts", str(facts), "--log", str(folder / "log")]
    with running(command, folder, port):
        yield Ec2(json.loads(facts.read_text()), folder, settings(folder))


@contextmanager
def openstack(folder: Path) -> Iterator[OpenStack]:
    """OpenStack's services, as long as the block."""
    with openstack_process.serving(folder) as facts:
        yield OpenStack({**facts, "OS_CLOUD": CLOUD}, folder, settings(folder))


@contextmanager
def running(command: list[str], folder: Path, ready: Path) -> Iterator[None]:
    """A server, from the moment that it has written a file until the end of the block."""
    with (folder / "output").open("w") as output:
        server = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + START_TIMEOUT
        while not ready.exists():
            if server.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"The cloud does not start: {(folder / 'output').read_text()}")
            time.sleep(0.1)
        yield
    finally:
        server.terminate()
        server.wait(timeout=20)


def settings(folder: Path) -> dict[str, str]:
    """The same for both sides, whatever the user's own ansible.cfg says."""
    config = folder / "ansible.cfg"
    config.write_text(
        f"[defaults]\ncollections_path = {ROOT / '.cache'}\nlocalhost_warning = false\n"
        "[inventory]\ninventory_unparsed_warning = false\n"
    )
    return {"ANSIBLE_CONFIG": str(config), "ANSIBLE_HOME": str(folder / "home")}
