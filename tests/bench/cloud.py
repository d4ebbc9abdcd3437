# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fake cloud of the benchmark, and commands run against it with their time and calls."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
START_TIMEOUT = 60.0


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

    @property
    def polls(self) -> int:
        """Calls that only ask whether it is done: listings beyond the first, and reads of the console."""
        return max(0, self.calls["DescribeInstances"] - 1) + self.calls["GetConsoleOutput"]

    @property
    def tags(self) -> int:
        """Calls that write tags on what exists already."""
        return self.calls["CreateTags"]


@dataclass
class Cloud:
    """moto as tests/sandbox/ec2 runs it, with machines that exist in memory only."""

    environment: dict[str, str]
    folder: Path
    settings: dict[str, str] = field(default_factory=dict)

    def control(self, verb: str, **body: Any) -> None:
        url = f"{self.environment['HAVEN_SANDBOX_CONTROL_URL']}/{verb}"
        request = urllib.request.Request(url, json.dumps(body).encode())  # noqa: S310 -- our own loopback address
        urllib.request.urlopen(request, timeout=30).close()  # noqa: S310

    def reset(self) -> None:
        """An empty cloud without faults, latency or delays."""
        self.control("reset", cloud=True)

    def entries(self, since: float) -> list[dict[str, Any]]:
        url = f"{self.environment['HAVEN_SANDBOX_CONTROL_URL']}/log?since={since}"
        with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310
            return list(json.load(answer))

    def measure(self, command: list[str], limit: float = 120.0) -> Measured:
        """Run a command of the environment; it is stopped after ``limit`` seconds."""
        began = time.time()
        started = time.monotonic()
        with subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **self.environment, **self.settings},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            try:
                output, stopped = process.communicate(timeout=limit)[0], False
            except subprocess.TimeoutExpired:
                # Ansible's workers have sessions of their own: what is left alive would go on calling the API.
                for pid in [process.pid, *descendants(process.pid)]:
                    kill(pid)
                output, stopped = "", True
        seconds = time.monotonic() - started
        entries = self.entries(began)
        talking = entries[-1]["t"] - entries[0]["t"] if entries else 0.0
        return Measured(
            seconds, Counter(each["action"] for each in entries), process.returncode, output, stopped, talking
        )

    def play(self, tasks: list[dict[str, Any]], limit: float = 120.0) -> Measured:
        """Run one play with these tasks on this computer."""
        file = self.folder / "play.yml"
        # JSON is YAML.
        file.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
        # No inventory, as for our own provision.yml: this computer is there without one, and its Python is known.
        return self.measure([program("ansible-playbook"), str(file)], limit)


def descendants(pid: int) -> list[int]:
    """The processes a process has started, and theirs."""
    children: dict[int, list[int]] = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # pid (name) state parent: the name may hold blanks and brackets.
            parent = int(file.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(file.parent.name))
    found = list(children.get(pid, []))
    for child in found:
        found.extend(children.get(child, []))
    return found


def kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def program(name: str) -> str:
    return str(Path(sys.executable).parent / name)


@contextmanager
def started(folder: Path) -> Iterator[Cloud]:
    """A cloud that lives as long as the block."""
    port, facts = folder / "port", folder / "facts"
    command = [sys.executable, "-m", "tests.sandbox.ec2.server", "--no-guests", "--dir", str(folder)]
    command += ["--port-file", str(port), "--facts", str(facts), "--log", str(folder / "log")]
    with (folder / "output").open("w") as output:
        server = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + START_TIMEOUT
        while not port.exists():
            if server.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"The fake cloud does not start: {(folder / 'output').read_text()}")
            time.sleep(0.1)
        # The same for both sides, whatever the user's own ansible.cfg says.
        config = folder / "ansible.cfg"
        config.write_text(
            f"[defaults]\ncollections_path = {ROOT / '.cache'}\nlocalhost_warning = false\n"
            "[inventory]\ninventory_unparsed_warning = false\n"
        )
        settings = {"ANSIBLE_CONFIG": str(config), "ANSIBLE_HOME": str(folder / "home")}
        yield Cloud(json.loads(facts.read_text()), folder, settings)
    finally:
        server.terminate()
        server.wait(timeout=20)
