# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tunnels in the background, to a real socket through the sandbox's jump host: they open, come back, and end."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.haven.gpu.plugins.module_utils._models import Hop
from ansible_collections.haven.gpu.plugins.module_utils._ssh.config import Machine, Paths
from ansible_collections.haven.gpu.plugins.module_utils._ssh.files import write
from tests.integration.sandbox_guests import Guest, Sandbox, wait_until

SOCKET = "/run/answer.sock"
OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAr2m4Tn0f8P0mB4W7i6bq2y1lJt9o3m5Zk7h0s8Qx1d"
# It comes back with the machine, as a notebook does.
UNITS = f"""
cat >/etc/systemd/system/answer.socket <<'.'
[Socket]
ListenStream={SOCKET}
SocketUser=debian
SocketMode=0600
Accept=yes
[Install]
WantedBy=sockets.target
.
cat >/etc/systemd/system/answer@.service <<'.'
[Service]
StandardInput=socket
ExecStart=/bin/echo notebook
.
systemctl daemon-reload && systemctl --quiet enable --now answer.socket
"""


@dataclass
class Laptop:
    """Somebody's computer, with the generated configuration and a folder for what is open."""

    folder: Path
    guest: Guest

    def configure(self, host_key: str = "") -> None:
        """Write the configuration as the inventory does; with another host key it is a wrong one."""
        env = self.guest.sandbox.env
        key = env["HAVEN_SANDBOX_KEY"]
        port, user = int(env["HAVEN_SANDBOX_GATE_PORT"]), env["HAVEN_SANDBOX_GATE_USER"]
        hops = [Hop(env["HAVEN_SANDBOX_GATE_HOST"], port, user, key, env["HAVEN_SANDBOX_GATE_HOST_KEY"])]
        machine = Machine("box", self.guest.address, "debian", host_key or self.guest.host_key(), key)
        write({tuple(hops): [machine]}, Paths.of_this_run(str(self.folder)))

    def tunnel(self, name: str | None = "box", *, check: bool = False, **options: Any) -> dict[str, Any]:
        """Run the module; to its end also where it leaves a process behind, whose pipes none of ours must be."""
        wanted: dict[str, Any] = {"name": name, **options}
        if wanted.get("state") != "absent":
            wanted |= {"ssh_config": Paths(str(self.folder)).config, "host": "box", "user": "debian"}
        return self.run("tunnel", {**wanted, "_ansible_check_mode": check})

    def listed(self) -> list[tuple[str, bool, int]]:
        """Name, whether it is connected, and port of each tunnel."""
        found = self.run("tunnel_info", {})["tunnels"]
        return [(each["name"], each["connected"], each["forwards"][0]["local_port"]) for each in found]

    def run(self, module: str, options: dict[str, Any]) -> dict[str, Any]:
        where = {"project": "tests", "folder": str(self.folder / "state")}
        done = subprocess.run(
            [sys.executable, "-m", f"ansible_collections.haven.gpu.plugins.modules.{module}"],
            input=json.dumps({"ANSIBLE_MODULE_ARGS": {**where, **options}}),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def open(self, port: int, name: str = "box", **options: Any) -> dict[str, Any]:
        return self.tunnel(name, forwards=[{"port": port, "socket": SOCKET}], **options)

    def files(self) -> dict[str, int]:
        """What is noted, with the modes."""
        state = self.folder / "state" / "tests"
        found = [state, *state.iterdir()] if state.exists() else []
        return {path.name: path.stat().st_mode & 0o777 for path in found}


@pytest.fixture(scope="module")
def guest(sandbox: Sandbox) -> Iterator[Guest]:
    with sandbox.guest() as one:
        one.output(UNITS)
        yield one


@pytest.fixture
def laptop(guest: Guest, tmp_path: Path) -> Iterator[Laptop]:
    one = Laptop(tmp_path, guest)
    one.configure()
    yield one
    one.tunnel(None, state="absent")


@pytest.fixture
def port() -> int:
    """A port that nobody has."""
    with socket.create_server(("127.0.0.1", 0)) as trial:
        found: int = trial.getsockname()[1]
        return found


def answer(port: int) -> str:
    """What comes over a port of this computer; '' where nobody listens, or nobody answers."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as link:
            return link.recv(100).decode().strip()
    except OSError:
        return ""


def listening(port: int) -> set[str]:
    """The addresses that somebody listens at on that port."""
    told = subprocess.check_output(["ss", "-Hltn", f"sport = :{port}"], text=True)
    return {line.split()[3].rpartition(":")[0] for line in told.splitlines()}


def local_port(result: dict[str, Any]) -> int:
    assert not result.get("failed"), result
    (forward,) = result["forwards"]
    return int(forward["local_port"])


def test_it_stays_open_after_the_module_has_ended_and_a_second_run_changes_nothing(laptop: Laptop, port: int) -> None:
    assert laptop.open(port, check=True)["changed"]
    assert laptop.files() == {}
    first = laptop.open(port)
    assert first["changed"]
    assert local_port(first) == port
    assert answer(port) == "notebook"
    assert listening(port) <= {"127.0.0.1", "[::1]"}
    second = laptop.open(port)
    assert (second["changed"], local_port(second)) == (False, port)
    assert laptop.open(port, check=True)["changed"] is False
    modes = laptop.files()
    assert modes.pop("tests") == 0o700
    assert set(modes.values()) == {0o600}


def test_what_is_asked_for_anew_replaces_what_was_there(laptop: Laptop, port: int) -> None:
    laptop.open(port)
    again = laptop.tunnel(forwards=[{"port": port, "socket": "/run/another.sock"}])
    assert again["changed"]
    assert local_port(again) == port
    assert answer(port) == ""


def test_the_next_free_port_is_taken_by_a_second_machine_and_where_somebody_has_it(laptop: Laptop, port: int) -> None:
    with socket.create_server(("127.0.0.1", port)):
        first = laptop.open(port)
        assert str(os.getpid()) in first["forwards"][0]["taken_by"]
        one = local_port(first)
        other = local_port(laptop.open(port, "other"))
    assert port < one < other
    assert [answer(one), answer(other)] == ["notebook", "notebook"]


def test_it_comes_back_when_the_jump_host_loses_it(laptop: Laptop, sandbox: Sandbox, port: int) -> None:
    laptop.open(port)
    # Of all who pass this gate, only whoever connects to this guest.
    passing = f"ss -Htnp dst {laptop.guest.address} | grep -o 'pid=[0-9]*' | cut -d= -f2 | sort -u"
    assert sandbox.on_gate(f"kill -KILL $({passing})").returncode == 0
    assert wait_until(lambda: answer(port) == "")
    assert wait_until(lambda: answer(port) == "notebook", 120)
    assert laptop.open(port)["changed"] is False


def test_it_comes_back_when_the_machine_was_stopped_and_started(laptop: Laptop, guest: Guest, port: int) -> None:
    laptop.open(port)
    assert laptop.listed() == [("box", True, port)]
    guest.sandbox.machines.stop(guest.id)
    assert answer(port) == ""
    assert wait_until(lambda: laptop.listed() == [("box", False, port)], 90)
    guest.start()
    assert wait_until(lambda: answer(port) == "notebook", 180)
    assert laptop.open(port)["changed"] is False


def test_a_port_of_the_users_own_for_all_hosts_that_another_ssh_has_is_no_obstacle(
    laptop: Laptop, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = laptop.folder / "own"
    with socket.create_server(("127.0.0.1", 0)) as other:
        config.write_text(f"Host *\n  DynamicForward {other.getsockname()[1]}\n")
        # ssh takes the home from the system's user data base.
        program = laptop.folder / "bin/ssh"
        program.parent.mkdir()
        real = shutil.which("ssh")
        program.write_text(
            '#!/bin/sh\nif [ "$1" = -o ]; then exec ' + f"{real} -F {config} " + '"$@"; fi\n' + f'exec {real} "$@"\n'
        )
        program.chmod(0o755)
        generated = Path(Paths(str(laptop.folder)).config)
        generated.write_text(generated.read_text().replace("Include ~/.ssh/config", f"Include {config}"))
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
        opened = laptop.open(port)
        assert answer(local_port(opened)) == "notebook"


def test_closing_ends_every_process_and_removes_what_was_noted(laptop: Laptop, port: int) -> None:
    laptop.open(port)
    laptop.open(port, "other")
    assert laptop.tunnel(None, state="absent", check=True)["closed"] == ["box", "other"]
    assert answer(port) == "notebook"
    assert laptop.tunnel(state="absent")["closed"] == ["box"]
    assert wait_until(lambda: not listening(port))
    assert laptop.tunnel(None, state="absent")["closed"] == ["other"]
    assert laptop.tunnel(None, state="absent")["changed"] is False
    assert wait_until(
        lambda: str(laptop.folder) not in subprocess.check_output(["ps", "axww", "-o", "args"], text=True)
    )
    assert not [name for name in laptop.files() if re.match("box|other", name)]


def test_one_that_cannot_open_says_why_and_leaves_nothing(laptop: Laptop, port: int) -> None:
    laptop.configure(OTHER_KEY)
    refused = laptop.open(port)
    assert refused["failed"]
    assert "haven.gpu refuses" in refused["msg"]
    assert refused["msg"].count("SHA256:") == 2
    assert not [name for name in laptop.files() if name.startswith("box")]
    assert str(laptop.folder) not in subprocess.check_output(["ps", "axww", "-o", "args"], text=True)
    assert not os.path.exists(laptop.folder / "state" / "tests" / "box.json")
