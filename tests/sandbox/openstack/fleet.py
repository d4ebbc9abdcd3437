# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The services' processes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import SandboxError
from ..paths import repository
from .layout import HOST, SERVICES, Layout

_READY_WITHIN_S = 200.0
_EVERY_S = 0.05
_LAST_LINES = 60
_TO_SERVICES = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def reserve_port() -> socket.socket:
    """A socket that keeps a loopback port for those who ask to share it; while they do not listen it refuses."""
    reserved = socket.socket()
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    reserved.bind((HOST, 0))
    return reserved


@dataclass
class Fleet:
    """Starts and ends services. environment: the folder they are installed in; machines: the supervisor's socket,
    '' for none."""

    layout: Layout
    environment: Path
    machines: str = ""
    _reserved: dict[str, socket.socket] = field(default_factory=lambda: {name: reserve_port() for name in SERVICES})
    _processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def ports(self) -> dict[str, int]:
        """Where each service answers, by name."""
        return {name: reserved.getsockname()[1] for name, reserved in self._reserved.items()}

    def run(self, *arguments: str, stdin: str | None = None) -> None:
        """Run a program of the services' environment; SandboxError, with what it said, when it fails."""
        command = [str(self.environment / "bin" / arguments[0]), *arguments[1:]]
        done = subprocess.run(
            command,
            input=stdin,
            env=self._variables(),
            cwd=self.layout.dir,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            said = (done.stdout + done.stderr).strip()[-1500:]
            raise SandboxError(f"'{' '.join(arguments[:5])}' failed with {done.returncode}: {said}")

    def start(self, service: str) -> None:
        """Start a service, unless it runs; returns at once."""
        with self._lock:
            process = self._processes.get(service)
            if process is not None and process.poll() is None:
                return
            program = [str(self.environment / "bin/python"), "-m", "tests.sandbox.openstack.serve", service]
            program += ["--dir", str(self.layout.dir), "--port", str(self.ports[service])]
            with (self.layout.logs / f"{service}.out").open("ab") as out:
                self._processes[service] = subprocess.Popen(
                    program,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                    env=self._variables(),
                    cwd=self.layout.dir,
                )

    def kill(self, service: str) -> None:
        """End a service where it stands; returns when it has gone, and its port refuses connections."""
        with self._lock:
            process = self._processes.pop(service, None)
            if process is not None:
                process.kill()
                process.wait()

    def await_ready(self, services: Iterable[str]) -> None:
        """Wait until services answer; SandboxError when one ends or takes too long."""
        deadline = time.monotonic() + _READY_WITHIN_S
        for service in services:
            while not self._answers(service):
                process = self._processes.get(service)
                if process is None or process.poll() is not None:
                    raise SandboxError(f"{service} ended: {self._said(service)}")
                if time.monotonic() > deadline:
                    raise SandboxError(
                        f"{service} did not answer within {_READY_WITHIN_S:.0f} s: {self._said(service)}"
                    )
                time.sleep(_EVERY_S)

    def states(self) -> dict[str, dict[str, Any]]:
        """Each service's port, process id (as this process sees it; null when it does not run)."""
        running = {name: process.pid for name, process in self._processes.items() if process.poll() is None}
        return {name: {"port": port, "pid": running.get(name)} for name, port in self.ports.items()}

    def ask(self, service: str, verb: str, asked: Mapping[str, Any]) -> Any:
        """Ask a service's own control endpoint; ValueError with its words when it refuses or is not there."""
        url = f"http://{HOST}:{self.ports[service]}/_control/{verb}"
        request = urllib.request.Request(url, json.dumps(asked).encode(), method="POST")
        try:
            with _TO_SERVICES.open(request, timeout=10) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise ValueError(json.load(error)["error"]) from error
        except OSError as error:
            raise ValueError(f"{service} does not answer: {error}") from error

    def errors(self) -> str:
        """The last lines that the services logged as errors."""
        lines: list[str] = []
        for log in sorted(self.layout.logs.glob("*.log")):
            said = log.read_text(encoding="utf-8", errors="replace").splitlines()
            lines += [line for line in said if " ERROR " in line or " CRITICAL " in line][-_LAST_LINES:]
        return "\n".join(lines)

    def _answers(self, service: str) -> bool:
        with socket.socket() as trial:
            return trial.connect_ex((HOST, self.ports[service])) == 0

    def _said(self, service: str) -> str:
        try:
            return (self.layout.logs / f"{service}.out").read_text(encoding="utf-8", errors="replace")[-3000:]
        except FileNotFoundError:
            return "it never started"

    def _variables(self) -> dict[str, str]:
        etc = str(self.layout.etc)
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.layout.dir),
            "LANG": "C.UTF-8",
            "PYTHONPATH": os.pathsep.join([str(repository()), str(self.layout.entry_points)]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
            "HAVEN_MACHINES_SOCKET": self.machines,
            "OS_NEUTRON_CONFIG_FILES": "neutron.conf",
            "OS_NOVA_DISABLE_EVENTLET_PATCHING": "true",
            "OS_CINDER_DISABLE_EVENTLET_PATCHING": "true",
            **{f"OS_{name.upper()}_CONFIG_DIR": etc for name in SERVICES},
        }
