# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the sandbox itself share: a running sandbox, and guests in it reached as a researcher would."""

from __future__ import annotations

import ipaddress
import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.sandbox import internet
from tests.sandbox.client import MachinesClient
from tests.sandbox.keeper import Running
from tests.sandbox.paths import Paths, read_env

ROOT = Path(__file__).resolve().parents[2]
DICE = secrets.SystemRandom()


def command(*arguments: str, folder: Path | None = None, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """Run the sandbox's command line."""
    where = ["--dir", str(folder)] if folder else []
    verb, *rest = arguments
    full = [sys.executable, "-m", "tests.sandbox", verb, *where, *rest]
    return subprocess.run(full, cwd=ROOT, capture_output=True, text=True, check=False, timeout=timeout)


def wait_until(holds: Callable[[], bool], seconds: float = 20.0) -> bool:
    """Poll; False when it did not come to hold in time."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def allow(direction: str, protocol: str, ports: tuple[int, int], *cidrs: str) -> dict[str, Any]:
    """A rule as Machines.set_rules takes it."""
    low, high = ports
    return {"direction": direction, "protocol": protocol, "from_port": low, "to_port": high, "cidrs": list(cidrs)}


def gate_hop(facts: Mapping[str, str]) -> dict[str, Any]:
    """The sandbox's jump host as this machine finds it: what haven_hops take."""
    return {
        "host": facts["HAVEN_SANDBOX_GATE_HOST"],
        "port": int(facts["HAVEN_SANDBOX_GATE_PORT"]),
        "user": facts["HAVEN_SANDBOX_GATE_USER"],
        "key": facts["HAVEN_SANDBOX_KEY"],
        "host_key": facts["HAVEN_SANDBOX_GATE_HOST_KEY"],
    }


class Sandbox:
    """A sandbox that is up."""

    def __init__(self, folder: Path) -> None:
        self.paths = Paths(folder)
        self.env = read_env(self.paths.env)
        self.machines = MachinesClient(self.paths.socket)
        self.subnet = ipaddress.IPv4Network(self.env["HAVEN_SANDBOX_SUBNET_CIDR"])
        self.gate = self.env["HAVEN_SANDBOX_GATE_ADDRESS"]

    @property
    def supervisor(self) -> int:
        """The supervisor's process id, as this machine sees it."""
        running = Running.read(self.paths.process)
        assert running is not None
        return running.supervisor.pid

    @contextmanager
    def guest(self, image: str = "bookworm", **options: Any) -> Iterator[Guest]:
        """A guest that the gate may reach, ready; destroyed at the end."""
        guest = Guest(self, image, **options)
        try:
            guest.start()
            yield guest
        finally:
            self.machines.destroy(guest.id)

    def inside(self, machine: str, script: str) -> subprocess.CompletedProcess[str]:
        """Run a script as root on a machine, past the network."""
        return command("shell", machine, "/bin/bash", "-c", script, folder=self.paths.dir)

    def on_gate(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run a script as root on the gate, past the network: who comes through its sshd gets no shell."""
        return self.inside("gate", script)

    def ssh(self, user: str, address: str, script: str, known_key: str) -> subprocess.CompletedProcess[str]:
        """Run a script on a host behind the gate, all host keys checked."""
        return self._run_ssh(self.ssh_config(user, address, known_key), "guest", "bash -s", given=script)

    def outside(self, *words: str, who: str = internet.LAPTOP, **options: Any) -> subprocess.Popen[str]:
        """Start a command on the laptop, or on the stranger's; it ends with the block that this is used in."""
        there = internet.Outside(self.paths)
        environment = there.environment({**os.environ, **options.pop("env", {})})
        return _Outside(there.command(who, words), cwd=ROOT, text=True, env=environment, **options)

    def on_laptop(self, *words: str, who: str = internet.LAPTOP, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a command on the laptop, or on the stranger's, to its end."""
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with self.outside(*words, who=who, env=env, **pipes) as there:
            said, complaint = there.communicate(timeout=600)
        return subprocess.CompletedProcess(words, there.returncode, said, complaint)

    def move_laptop(self, place: int) -> None:
        """Give the laptop its first (0) or second (1) address."""
        internet.Outside(self.paths).move(place)

    def ask_gate(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Ask the gate itself for something, its host key checked: options of ssh, and a command."""
        options = [argument for argument in arguments if argument.startswith("-")]
        return self._run_ssh(self.ssh_config("nobody", "gate", ""), *options, "gate", *arguments[len(options) :])

    def ssh_config(self, user: str, address: str, known_key: str) -> Path:
        """A configuration for the hosts "gate" and, behind it, "guest", all host keys checked."""
        folder = self.paths.dir / "test-ssh"
        folder.mkdir(exist_ok=True)
        name = secrets.token_hex(6)
        known, config = folder / f"{name}.known", folder / name
        known.write_text(f"gate {self.env['HAVEN_SANDBOX_GATE_HOST_KEY']}\nguest {known_key}\n")
        shared = f"IdentityFile {self.env['HAVEN_SANDBOX_KEY']}\nIdentitiesOnly yes\nStrictHostKeyChecking yes\n"
        shared += f"UserKnownHostsFile {known}\nGlobalKnownHostsFile /dev/null\nBatchMode yes\nConnectTimeout 10\n"
        config.write_text(
            f"Host gate\nHostName 127.0.0.1\nPort {self.env['HAVEN_SANDBOX_GATE_PORT']}\nHostKeyAlias gate\n"
            f"User {self.env['HAVEN_SANDBOX_GATE_USER']}\n{shared}"
            f"Host guest\nHostName {address}\nHostKeyAlias guest\nUser {user}\nProxyJump gate\n{shared}"
        )
        return config

    def _run_ssh(self, config: Path, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
        # Where the wire drops packets ssh waits for its jump, whatever ConnectTimeout says; timeout ends them both.
        full = ["timeout", "30", "ssh", "-F", str(config), *arguments]
        return subprocess.run(full, input=given, capture_output=True, text=True, check=False, timeout=60)


class _Outside(subprocess.Popen[str]):
    """A process that does not outlive the block it is used in."""

    def __exit__(self, *error: Any) -> None:
        self.terminate()
        super().__exit__(*error)


class Guest:
    """A guest made for a test, at an address the cloud's API does not give out soon."""

    def __init__(self, sandbox: Sandbox, image: str, address: str = "", **options: Any) -> None:
        """With an address given, its port (Machines.set_ports) says what passes; else the gate's ssh may come in."""
        self.sandbox = sandbox
        self.id = f"t-{secrets.token_hex(6)}"
        # Other processes make guests here, too.
        taken = {each["address"] for each in sandbox.machines.call("list")}
        free = [each for each in range(3000, 4090) if str(sandbox.subnet[each]) not in taken]
        self.address = address or str(sandbox.subnet[DICE.choice(free)])
        self._host_key = ""
        public_key = Path(sandbox.env["HAVEN_SANDBOX_KEY"] + ".pub").read_text().strip()
        asked: dict[str, Any] = {
            "user_data": b"",
            "public_keys": [public_key],
            "hostname": self.id,
            "volumes": [],
            **options,
        }
        sandbox.machines.create(self.id, image, self.address, **asked)
        if not address:
            self.set_rules()

    def set_rules(self, *rules: dict[str, Any], out: bool = True) -> None:
        """Let the gate's ssh in, and what else is given; everything may go out unless out is False."""
        always = [allow("in", "tcp", (22, 22), f"{self.sandbox.gate}/32")]
        if out:
            always.append(allow("out", "all", (0, 0), "0.0.0.0/0"))
        self.sandbox.machines.set_rules(self.id, [*always, *rules])

    def start(self, public_address: str = "") -> None:
        self.sandbox.machines.start(self.id, public_address)
        assert wait_until(lambda: self.state() != "booting", 60)
        assert self.state() == "ready", self.sandbox.machines.console(self.id)

    def state(self) -> str:
        return self.sandbox.machines.state(self.id)

    def host_key(self) -> str:
        """The ed25519 key the guest printed to its console at its first boot."""
        if not self._host_key:
            pattern = re.compile(r"^(ssh-ed25519 [A-Za-z0-9+/=]+) root@", re.MULTILINE)
            assert wait_until(lambda: bool(pattern.search(self.sandbox.machines.console(self.id))))
            found = pattern.search(self.sandbox.machines.console(self.id))
            assert found is not None
            self._host_key = found.group(1)
        return self._host_key

    def ssh(self, script: str, address: str = "") -> subprocess.CompletedProcess[str]:
        """Run a script as the login user, through the gate."""
        return self.sandbox.ssh("debian", address or self.address, script, self.host_key())

    def root(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run a script as root, past the network."""
        return self.sandbox.inside(self.id, script)

    def output(self, script: str) -> str:
        """What a script run as root printed; it must succeed."""
        done = self.root(script)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def serve(self, port: int = 8000) -> None:
        """Answer HTTP on a port until the guest is powered off, as a unit of its own."""
        self.output(f"systemd-run --quiet --unit=serve-{port} python3 -m http.server --directory /etc/ssh {port}")
        assert wait_until(lambda: self.root(f"curl -sf -o /dev/null http://127.0.0.1:{port}/").returncode == 0)

    def reaches(self, address: str, port: int = 8000, *, via: str = "") -> bool:
        """Does an HTTP request from this guest get an answer?"""
        source = f"--interface {via}" if via else ""
        return self.root(f"curl -sf -m 2 {source} -o /dev/null http://{address}:{port}/").returncode == 0


def up(folder: Path, cloud: str = "ec2") -> Sandbox:
    """Start a sandbox in this folder, with "ec2", "openstack" or "all"; what it is built from may be missing yet."""
    started = command("up", "--cloud", cloud, folder=folder, timeout=1800)
    assert started.returncode == 0, started.stderr
    return Sandbox(folder)


@contextmanager
def own_sandbox(folder: Path, cloud: str = "ec2") -> Iterator[Sandbox]:
    """A sandbox of the caller's own, as long as the block."""
    try:
        yield up(folder, cloud)
    finally:
        ended = command("down", folder=folder)
        assert ended.returncode == 0, ended.stderr


def running_sandbox() -> Path | None:
    """The folder of the sandbox the environment names, if it is up."""
    folder = os.environ.get("HAVEN_SANDBOX_DIR")
    return Path(folder) if folder and Paths(Path(folder)).env.exists() else None
