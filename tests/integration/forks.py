# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules in processes of their own that need not import everything anew: copies of one that has imported it.

`python -m tests.integration.forks FD` is that one. It is asked on a socket, a message for each run: JSON of the module,
its variables and constants that it has other values of, with the files that become its stdin, stdout and stderr, and a
pipe to which the process id goes and later the exit status.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
MODULES = "ansible_collections.haven.gpu.plugins.modules"
UTILS = "ansible_collections.haven.gpu.plugins.module_utils"
# What modules import, some of it late.
IMPORTED = (
    "boto3",
    "botocore.handlers",
    "openstack.connection",
    "keystoneauth1.identity.generic.password",
    f"{UTILS}._module",
    f"{UTILS}._clouds.ec2.adapter",
    f"{UTILS}._clouds.openstack.adapter",
)
_LONGEST_MESSAGE = 1 << 20


class Run:
    """A module that runs, much as a subprocess.Popen."""

    def __init__(self, pid: int, status: int, out: Path, err: Path) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._status = status
        self._out, self._err = out, err

    def poll(self) -> int | None:
        """The exit status, None while it runs."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        """The exit status, negative for a signal; subprocess.TimeoutExpired when it does not end."""
        if self.returncode is None:
            ready, _, _ = select.select([self._status], [], [], timeout)
            if not ready:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
            self.returncode = int(os.read(self._status, 100))
            os.close(self._status)
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """All that it wrote, once it has ended."""
        self.wait(timeout)
        return self._out.read_text(), self._err.read_text()


def anew(module: str, given: str, env: Mapping[str, str]) -> subprocess.Popen[str]:
    """Run a module in a process that has imported nothing yet."""
    with tempfile.TemporaryFile("w+") as stdin:
        stdin.write(given)
        stdin.seek(0)
        command = [sys.executable, "-m", f"{MODULES}.{module}"]
        return subprocess.Popen(
            command, env=env, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )


class Forks:
    """Starts the one that has everything, and asks it for copies."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, "-m", "tests.integration.forks", str(theirs.fileno())]
            self._process = subprocess.Popen(command, cwd=ROOT, pass_fds=[theirs.fileno()])

    def start(self, module: str, given: str, env: Mapping[str, str], constants: Mapping[str, Any] | None = None) -> Run:
        """Run a module with this text on its stdin.

        constants: values by "module.NAME" below module_utils; of a dataclass, a dictionary of the fields that differ.
        """
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        (folder / "in").write_text(given)
        asked = {"module": module, "env": dict(env), "constants": dict(constants or {})}
        status, theirs = os.pipe()
        with (
            (folder / "in").open("rb") as stdin,
            (folder / "out").open("wb") as out,
            (folder / "err").open("wb") as err,
        ):
            files = [stdin.fileno(), out.fileno(), err.fileno(), theirs]
            socket.send_fds(self._socket, [json.dumps(asked).encode()], files)
        os.close(theirs)
        pid = os.read(status, 100)
        assert pid, "the process that modules are copies of has ended"
        return Run(int(pid), status, folder / "out", folder / "err")

    def close(self) -> None:
        self._socket.close()
        self._process.wait(timeout=20)


def serve(channel: socket.socket) -> None:
    """Make copies until nobody can ask any more."""
    for name in IMPORTED:
        importlib.import_module(name)
    # By the process's descriptor, its id and the pipe to which its status goes.
    running: dict[int, tuple[int, int]] = {}
    while True:
        ready, _, _ = select.select([channel, *running], [], [])
        for each in ready:
            if each is not channel:
                pid, pipe = running.pop(each)
                _, status = os.waitpid(pid, 0)
                _tell(pipe, os.waitstatus_to_exitcode(status))
                os.close(each)
                os.close(pipe)
        if channel in ready:
            message, files, _, _ = socket.recv_fds(channel, _LONGEST_MESSAGE, 4)
            if not message:
                return
            pid = os.fork()
            if pid == 0:
                channel.close()
                _become(json.loads(message), files)
            for file in files[:3]:
                os.close(file)
            running[os.pidfd_open(pid)] = pid, files[3]
            _tell(files[3], pid)


def _tell(pipe: int, number: int) -> None:
    try:
        os.write(pipe, str(number).encode())
    except BrokenPipeError:
        # Nobody waits for it.
        return


def _become(asked: dict[str, Any], files: list[int]) -> None:
    """Be the module, to the end of this process."""
    status = 1
    try:
        for number, file in enumerate(files):
            if number < 3:
                os.dup2(file, number)
            os.close(file)
        os.environ.clear()
        os.environ.update(asked["env"])
        time.tzset()
        for path, value in asked["constants"].items():
            _set(path, value)
        sys.argv = [asked["module"]]
        runpy.run_module(f"{MODULES}.{asked['module']}", run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _set(path: str, value: Any) -> None:
    owner, _, name = path.rpartition(".")
    holder = pkgutil.resolve_name(f"{UTILS}.{owner}")
    known = getattr(holder, name)
    setattr(holder, name, dataclasses.replace(known, **value) if dataclasses.is_dataclass(known) else value)


def main() -> None:
    """Entry point."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    serve(socket.socket(fileno=int(sys.argv[1])))


if __name__ == "__main__":
    main()
