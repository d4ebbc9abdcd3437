# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The process that makes the supervisor's namespaces, waits for its end, and removes its files.

It stays in the machine's own namespaces, in a session of its own. When it is killed, so is the supervisor (by the
kernel); then the next `up` or `down` removes the files.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from . import cgroups
from .paths import Paths
from .processes import outer_children, start_time


@dataclass(frozen=True)
class Process:
    """A process, named for good: numbers are used again, so the time it started belongs to its name."""

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> Process | None:
        """The living process of that number."""
        started = start_time(pid)
        return None if started is None else cls(pid, started)

    def alive(self) -> bool:
        """Is it still there?"""
        return start_time(self.pid) == self.started

    def kill(self, signal_number: int) -> None:
        """Send it a signal, unless it has gone."""
        if self.alive():
            try:
                os.kill(self.pid, signal_number)
            except ProcessLookupError:  # it went meanwhile
                return


@dataclass(frozen=True)
class Running:
    """The two processes that matter of a running sandbox."""

    keeper: Process
    supervisor: Process

    @classmethod
    def read(cls, path: Path) -> Running | None:
        """The sandbox whose processes a file names, if it still runs; None otherwise."""
        try:
            data = json.loads(path.read_text(encoding="ascii"))
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        found = cls(Process(**data["keeper"]), Process(**data["supervisor"]))
        return found if found.keeper.alive() or found.supervisor.alive() else None

    def write(self, path: Path) -> None:
        """Note the processes for later commands, in one step."""
        draft = path.with_name(path.name + ".draft")
        draft.write_text(json.dumps(asdict(self)) + "\n", encoding="ascii")
        draft.rename(path)


def keep(paths: Paths, supervisor_arguments: list[str], descriptors: list[int]) -> int:
    """Run the supervisor in namespaces of its own until it ends, then remove what it left in its folder."""
    # setpriv asks the kernel to kill unshare when this process dies; unshare asks the same for the supervisor.
    command = [
        "setpriv",
        "--pdeathsig",
        "KILL",
        "unshare",
        "--mount",
        "--pid",
        "--net",
        "--ipc",
        "--fork",
        "--kill-child",
    ]
    command += ["--mount-proc", sys.executable, "-m", "tests.sandbox.supervisor", *supervisor_arguments]
    outer = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=descriptors)
    for descriptor in descriptors:
        os.close(descriptor)
    signal.signal(signal.SIGTERM, lambda *_: outer.kill())
    _note(paths, outer)
    outer.wait()
    clear(paths)
    return 0


def clear(paths: Paths) -> None:
    """Remove what a sandbox that has ended left: its control groups and its files, but its log."""
    cgroups.remove(cgroups.folders(paths.dir))
    paths.clear()


def _note(paths: Paths, outer: subprocess.Popen[bytes]) -> None:
    keeper = Process.of(os.getpid())
    while outer.poll() is None and keeper is not None:
        for child in outer_children(outer.pid):
            supervisor = Process.of(child)
            if supervisor is not None:
                Running(keeper, supervisor).write(paths.process)
                return
        time.sleep(0.01)


def main() -> int:
    """Entry point; lifecycle.py starts it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--gate-listener", type=int, required=True)
    parser.add_argument("--ready", type=int, required=True)
    options = parser.parse_args()
    machine_net = os.open("/proc/self/ns/net", os.O_RDONLY)
    arguments = ["--dir", str(options.dir), "--cache", str(options.cache), "--machine-net", str(machine_net)]
    arguments += ["--gate-listener", str(options.gate_listener), "--ready", str(options.ready)]
    return keep(Paths(options.dir), arguments, [machine_net, options.gate_listener, options.ready])


if __name__ == "__main__":
    sys.exit(main())
