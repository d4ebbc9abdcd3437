"""The gates as their members see them."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from testinfra.utils.ansible_runner import AnsibleRunner

# What the tests of both gates import, failures explained as in their own files.
sys.path.insert(0, str(Path(__file__).parent / "tests"))
pytest.register_assert_rewrite("machine", "members")

FOLDER = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
INVENTORY = os.path.dirname(os.environ["MOLECULE_INVENTORY_FILE"])


class Gate:
    """One gate; a member is a name, a machine `jump-red` or `jump-blue`."""

    config = str(FOLDER / "ssh_config")

    def __init__(self, host) -> None:
        self.host = host
        self.name = host.backend.get_hostname()

    def ssh(self, member: str, *arguments: str, machine: str = ""):
        """Run ssh as that member: to the machine through the gate, or to the gate itself. Options, then a command."""
        alias = "-".join(filter(None, (self.name, member, machine)))
        options = [part for part in arguments if part.startswith("-")]
        return self.run(["ssh", "-F", self.config, *options, alias, *arguments[len(options) :]])

    def run(self, command: list[str]):
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=60, check=False
        )

    def asked(self, member: str, target: str):
        """Ask the gate for a connection to `host:port`, and hang up."""
        return self.ssh(member, f"-W{target}")

    @contextmanager
    def tunnel(self, member: str, how: str, machine: str = "") -> Iterator[tuple[int, list[str]]]:
        """A forward (`L TARGET` or `D`) held open: the local port, and what ssh complained of once it is closed."""
        alias = "-".join(filter(None, (self.name, member, machine)))
        with forward(alias, how) as held:
            yield held

    def around(self, target: str):
        """A forward to `host:port` of the private network, around the gate."""
        return forward("sandbox", f"L {target}")

    def refusals(self) -> int:
        """How many packets of members the rules have refused."""
        rules = self.host.check_output("sudo nft list chain inet haven_jump_host refused")
        return int(re.search(r"counter packets (\d+)", rules)[1])


@contextmanager
def forward(alias: str, how: str) -> Iterator[tuple[int, list[str]]]:
    with socket.create_server(("127.0.0.1", 0)) as trial:
        port = trial.getsockname()[1]
    kind, target = how[0], how[2:]
    there = f"127.0.0.1:{port}" + (f":{target}" if target else "")
    command = ["ssh", "-F", Gate.config, "-N", "-oExitOnForwardFailure=yes", f"-{kind}", there, alias]
    complaints: list[str] = []
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 30
        while process.poll() is None and not _listens(port):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield port, complaints
    finally:
        process.terminate()
        complaints.append(process.communicate()[1])


def _listens(port: int) -> bool:
    """Whether somebody does, without a connection that would go through the forward."""
    with socket.socket() as trial:
        try:
            trial.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


@pytest.fixture
def gate(host) -> Gate:
    return Gate(host)


@pytest.fixture(scope="session")
def addresses() -> dict[str, str]:
    """The private address of each machine."""
    runner = AnsibleRunner(INVENTORY)
    return {name: runner.get_variables(name)["haven_private_address"] for name in runner.get_hosts("haven")}


@pytest.fixture
def folder() -> Path:
    """Where the scenario keeps its files on this machine."""
    return FOLDER
