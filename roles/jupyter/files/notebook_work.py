#!/usr/bin/python3
# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Say what runs in the users' notebook servers, or restart one of them as soon as nothing does.

Without an option, prints a JSON list with an object for each running server: ``user``, ``work`` (a list of phrases,
empty if nothing runs), and ``pending`` (whether its restart is waiting). Whatever cannot be found out counts as work.
With ``--restart USER``, waits until that server's ``work`` is empty, restarts it, and ends.
Runs as root: the notebook servers answer root's question about kernels on their sockets. Python 3.9 and later.
"""

from __future__ import annotations

import argparse
import datetime
import http.client
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

UNIT = "haven-jupyter@{}.service"
WAITING_UNIT = "haven-jupyter-restart@{}.service"
# "Run all" leaves a kernel idle for a moment between two cells.
QUIET_S = 5
# A kernel that no page opened stays "starting" for good.
STARTING_S = 60
LOOK_EVERY_S = 5
ANSWER_TIMEOUT_S = 10
# Jupyter puts the connection file into a kernel's command line, also where a wrapper starts the kernel.
KERNEL = re.compile(r"kernel-[^/]*\.json$")
# Programs that stay beside an idle kernel.
HELPERS = ("multiprocessing.resource_tracker", "multiprocessing.forkserver", "loky.backend.resource_tracker", "debugpy")
Ask = Callable[[str], Any]


class NoAnswerError(Exception):
    """The notebook server did not answer the question."""


@dataclass(frozen=True)
class Server:
    """A running notebook server. ``invocation`` is systemd's ID of this start."""

    user: str
    pid: int
    control_group: str
    invocation: str

    @property
    def socket(self) -> str:
        return f"/run/haven/{self.user}/jupyter.sock"


@dataclass(frozen=True)
class Process:
    """What the kernel tells about a process. ``terminal`` is whether it has one."""

    pid: int
    parent: int
    state: str
    terminal: bool
    name: str
    arguments: tuple[str, ...]


# systemd -------------------------------------------------------------------------------------------------------------


def systemctl(*arguments: str) -> str:
    """Return the output of systemctl."""
    done = subprocess.run(["systemctl", *arguments], stdout=subprocess.PIPE, check=True, text=True)
    return done.stdout


def users() -> list[str]:
    """Return the users whose servers systemd has loaded."""
    lines = systemctl("list-units", "--all", "--plain", "--no-legend", UNIT.format("*")).splitlines()
    names = (re.match(r"haven-jupyter@(.+)\.service", line) for line in lines)
    return sorted(name.group(1) for name in names if name)


def server(user: str) -> Optional[Server]:
    """Return the user's server, or None if it does not run."""
    answer = systemctl("show", "--property=MainPID,ControlGroup,InvocationID", UNIT.format(user))
    found = dict(line.split("=", 1) for line in answer.splitlines())
    if found.get("MainPID", "0") == "0":
        return None
    return Server(user, int(found["MainPID"]), found["ControlGroup"], found["InvocationID"])


def is_pending(user: str) -> bool:
    """Whether the restart of the user's server is waiting."""
    state = systemctl("show", "--property=ActiveState", "--value", WAITING_UNIT.format(user)).strip()
    return state in ("active", "activating")  # the latter while it starts again after a failure


# What runs -----------------------------------------------------------------------------------------------------------


def processes(control_group: str, root: Path = Path("/")) -> list[Process]:
    """Return the processes of a unit. One that ends meanwhile is left out.

    They are found in /proc, which shows the unit with both versions of control groups, and inside a container.
    """
    found = []
    for folder in (root / "proc").glob("[0-9]*"):
        try:
            groups = (folder / "cgroup").read_text().splitlines()
            if not any(line.endswith(control_group) for line in groups):
                continue
            # The name is in brackets and may itself contain any character.
            start, dummy, fields = (folder / "stat").read_text(errors="replace").rpartition(")")
            arguments = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        state, parent, dummy, dummy, terminal = fields.split()[:5]
        name = start.partition("(")[2]
        found.append(Process(int(folder.name), int(parent), state, terminal != "0", name, tuple(arguments)))
    return found


def is_kernel(process: Process) -> bool:
    return any(KERNEL.search(argument) for argument in process.arguments)


def programs(main: int, found: list[Process]) -> list[str]:
    """Return phrases about what users started: in a terminal, from a notebook, or in the background of either.

    What the server itself starts is a kernel, a terminal's shell, or a helper.
    """
    work = []
    for process in found:
        helper = any(name in argument for name in HELPERS for argument in process.arguments)
        if main in (process.pid, process.parent) or process.state == "Z" or is_kernel(process) or helper:
            continue
        where = "in a terminal" if process.terminal else "in the background"
        work.append(f"the program {shown(process.name)} runs {where}")
    return sorted(set(work))


def kernels(ask: Ask, now: datetime.datetime) -> list[str]:
    """Return phrases about the kernels that compute. NoAnswerError: that is unknown."""
    paths = {session["kernel"]["id"]: session.get("path") for session in ask("/api/sessions") if session.get("kernel")}
    work = []
    for kernel in ask("/api/kernels"):
        state = kernel.get("execution_state")
        quiet_s = (now - when(kernel["last_activity"])).total_seconds()
        of = f"the kernel of {shown(paths[kernel['id']])}" if paths.get(kernel["id"]) else "a kernel without a notebook"
        if state == "busy":
            work.append(f"{of} is computing")
        elif quiet_s < QUIET_S:
            work.append(f"{of} was computing until a moment ago")
        elif state not in ("idle", "dead") and quiet_s < STARTING_S:
            work.append(f"{of} is {shown(state)}")
    return work


def when(text: str) -> datetime.datetime:
    """Return the time that the API wrote as ISO 8601, with a Z that Python 3.9 cannot read."""
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def work(running: Server, ask: Ask, now: datetime.datetime, root: Path = Path("/")) -> list[str]:
    """Return phrases about everything that a restart of the server would end."""
    found = processes(running.control_group, root)
    phrases = programs(running.pid, found)
    # Without a process beside the server there is no kernel to ask for, and perhaps nobody listening yet.
    if all(process.pid == running.pid for process in found):
        return phrases
    try:
        return kernels(ask, now) + phrases
    except NoAnswerError as error:
        return [f"whether a kernel is computing is unknown ({shown(error)})", *phrases]


def shown(text: Any) -> str:
    """Return text of a user's so that it can be printed: other characters as escapes, and cut."""
    plain = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))
    return plain if len(plain) <= 100 else f"{plain[:99]}…"


# The server's API ----------------------------------------------------------------------------------------------------


class Connection(http.client.HTTPConnection):
    """HTTP over a unix socket. The socket's folder shows whose server it is, so no certificate is checked."""

    def __init__(self, path: str, tls: bool) -> None:
        super().__init__("localhost", timeout=ANSWER_TIMEOUT_S)
        self._path, self._tls = path, tls

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(ANSWER_TIMEOUT_S)
        self.sock.connect(self._path)
        if self._tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            self.sock = context.wrap_socket(self.sock)


def asker(path: str) -> Ask:
    """Return a function that asks the server on that socket. Whether it uses TLS is found out by trying."""

    def ask(question: str) -> Any:
        errors = []
        for tls in (False, True):
            connection = Connection(path, tls)
            try:
                connection.request("GET", question)
                answer = connection.getresponse()
                if answer.status != 200:
                    raise NoAnswerError(f"the server answers {question} with status {answer.status}")
                return json.loads(answer.read())
            except (OSError, ValueError, http.client.HTTPException) as error:
                errors.append(f"{type(error).__name__}: {error}")
            finally:
                connection.close()
        raise NoAnswerError(f"the server does not answer {question}: {errors[0]}")

    return ask


def look(running: Server) -> list[str]:
    """Return what runs in this server now."""
    try:
        return work(running, asker(running.socket), datetime.datetime.now(datetime.timezone.utc))
    except OSError as error:
        return [f"what runs is unknown ({error.strerror}: {error.filename})"]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return [f"what runs is unknown (the server's answer is not understood: {type(error).__name__})"]


# What to do ----------------------------------------------------------------------------------------------------------


def restart_when_idle(
    user: str,
    find: Callable[[str], Optional[Server]] = server,
    looked: Callable[[Server], list[str]] = look,
    sleep: Callable[[float], None] = time.sleep,
    restart: Callable[[str], Any] = lambda user: systemctl("restart", UNIT.format(user)),
) -> str:
    """Restart the user's server when nothing runs in it. Ends as well when somebody else has done that."""
    said: list[str] = []
    first = find(user)
    while True:
        now = find(user)
        if first is None or now is None or now.invocation != first.invocation:
            return f"The notebook server of {user} was restarted or stopped meanwhile."
        found = looked(now)
        if not found:
            restart(user)
            return f"Restarted the notebook server of {user}."
        if found != said:
            print(f"The restart of the notebook server of {user} waits: {'; '.join(found)}.", flush=True)
            said = found
        sleep(LOOK_EVERY_S)


def main(arguments: list[str]) -> int:
    """Entry point; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--restart", metavar="USER", help="restart this user's server as soon as nothing runs in it")
    parser.add_argument("users", nargs="*", help="say only what runs in the servers of these users")
    wanted = parser.parse_args(arguments)
    if os.geteuid() != 0:
        parser.error("only root may ask all notebook servers: use sudo")
    if wanted.restart:
        print(restart_when_idle(wanted.restart))
        return 0
    report = []
    for user in wanted.users or users():
        running = server(user)
        if running is not None:
            report.append({"user": user, "work": look(running), "pending": is_pending(user)})
    print(json.dumps(report))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
