# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Shows what a module says while it runs (module_utils/_progress.py), in the ordinary output of ansible-playbook.

The action plugins are this class. It runs the module exactly as ansible-core would without them. A thread reads what
the module has said: on this computer from the file, elsewhere over a second session of the task's connection, which
takes no login if the connection is shared, as it is by default. A task that ends within QUIET seconds costs nothing.
"""

from __future__ import annotations

import copy
import json
import math
import shlex
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import gettempdir
from typing import Any, Optional

from ansible import constants, context
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action.normal import ActionModule as NormalAction
from ansible.utils.display import Display

from ..module_utils._errors import shown
from ..module_utils._progress import VARIABLE

# Seconds of a task without any line, and then between two lines about the same stage.
QUIET = 5.0
EVERY = 10.0
# Seconds between two looks at the file, on this computer and on another one.
HERE = 0.5
THERE = 5.0
# The folder for the file on another computer. Nobody can know its name before the module creates it.
FOLDER_THERE = "/tmp"  # noqa: S108
# Seconds that the end of a task waits for a look that is under way.
_PATIENCE = 1.0
# Bytes and lines of a look, characters of a text, and names in a line: what is read comes from another computer.
_MOST_BYTES = 1 << 16
_MOST_LINES = 50
_MOST_CHARACTERS = 300
_MOST_NAMES = 4
# The stdout callbacks whose output is for people. The output of any other may be read by a program.
_FOR_PEOPLE = frozenset(
    [
        "counter_enabled",
        "debug",
        "default",
        "default_without_diff",
        "diy",
        "minimal",
        "print_task",
        "profile_tasks",
        "selective",
        "tree",
        "unixy",
        "yaml",
    ]
)
_FOR_PROGRAMS = frozenset(["json", "jsonl", "junit"])


@dataclass
class _Stage:
    text: str
    began: float
    shown: Optional[float] = None


class Lines:
    """Decides what is shown and when. Times are seconds since the task began. Pure.

    Nothing in the first QUIET seconds. After that, each stage is shown when it begins, and every EVERY seconds as long
    as it lasts. ``who`` is the host, and ``what`` the name of the module, shown as long as it has not said anything.
    """

    def __init__(self, who: str, what: str) -> None:
        self._who = who
        self._idle = f"{what} is running"
        self._stages = {"": _Stage(self._idle, 0.0)}
        self._rest = ""

    def hear(self, text: str, now: float) -> list[str]:
        """Take in what the module wrote since the last time. Return the lines that are due."""
        *lines, self._rest = (self._rest + text)[-_MOST_BYTES:].split("\n")
        due: list[str] = []
        begun: list[str] = []
        for event, about, said, at in filter(None, map(_parsed, lines)):
            if about in begun:
                # A stage that began and ended between two looks is shown, too.
                due += self._show(begun, now)
                begun = []
            self._take_in(event, about, said, min(max(at, 0.0), now))
            if event == "begins" and at >= QUIET:
                begun.append(about)
        if not self._stages:
            self._stages[""] = _Stage(self._idle, 0.0, shown=now)
        late = [about for about, stage in self._stages.items() if about not in begun and self._is_due(stage, now)]
        return (due + self._show(begun, now) + self._show(late, now))[-_MOST_LINES:]

    def _take_in(self, event: str, about: str, text: str, at: float) -> None:
        if self._stages.get("", _Stage("", 0.0)).text == self._idle:
            del self._stages[""]
        if event == "ends":
            self._stages.pop(about, None)
        elif event == "begins" or about not in self._stages:
            self._stages[about] = _Stage(text, at)
        else:
            self._stages[about].text = text

    @staticmethod
    def _is_due(stage: _Stage, now: float) -> bool:
        return now >= QUIET if stage.shown is None else now - stage.shown >= EVERY

    def _show(self, abouts: list[str], now: float) -> list[str]:
        """One line for all things that are in the same stage."""
        alike: dict[str, list[str]] = {}
        for about in abouts:
            alike.setdefault(self._stages[about].text, []).append(about)
        lines = []
        for text, names in alike.items():
            age = now - min(self._stages[name].began for name in names)
            for name in names:
                self._stages[name].shown = now
            lines.append(self._line(text, [name for name in names if name], age))
        return lines

    def _line(self, text: str, names: list[str], age: float) -> str:
        some = ", ".join(_cut(name) for name in names[:_MOST_NAMES])
        more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
        subject = f"{some}{more}: " if names else ""
        since = f" ({age:.0f} s)" if age >= 1 else ""
        return f"progress: [{_cut(self._who)}] {subject}{_cut(text)}{since}"


def _parsed(line: str) -> Optional[tuple[str, str, str, float]]:
    """The event, what it is about, the text and the time, or None if it is not a line of ours."""
    try:
        said = json.loads(line)
        event, about, text, at = str(said["event"]), str(said["about"]), str(said["text"]), float(said["at"])
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None
    return (event, about, text, at) if math.isfinite(at) else None


def _cut(text: str) -> str:
    return shown(text)[:_MOST_CHARACTERS]


class Watch:
    """Shows the lines of a task while the context lasts.

    ``read`` returns what was written after that many bytes. It is called in a thread, every ``interval`` seconds.
    """

    def __init__(
        self, lines: Lines, read: Callable[[int], bytes], interval: float, show: Callable[[str], object]
    ) -> None:
        self._lines = lines
        self._read = read
        self._interval = interval
        self._show = show
        self._over = threading.Event()
        self._began = time.monotonic()
        self._place = 0
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(_PATIENCE)

    def _look(self) -> None:
        pause = QUIET
        while not self._over.wait(pause):
            pause = self._interval
            said = self._read(self._place)
            self._place += len(said)
            if self._over.is_set():
                return
            for line in self._lines.hear(said.decode(errors="replace"), time.monotonic() - self._began):
                self._show(line)


class ActionModule(NormalAction):  # type: ignore[misc]  # ansible-core has no types
    """Runs the module of the same name, and shows what it says. ``haven_progress: false`` turns it off."""

    def _execute_module(self, *args: Any, wrap_async: bool = False, **kwargs: Any) -> Any:
        run = partial(super()._execute_module, *args, wrap_async=wrap_async, **kwargs)
        variables = kwargs.get("task_vars") or {}
        if wrap_async or not self._is_wanted(variables):
            return run()
        local = self._connection.transport == "local"
        path = f"{gettempdir() if local else FOLDER_THERE}/.haven-progress-{uuid.uuid4().hex}"
        lines = Lines(self._host(variables), self._task.action.rpartition(".")[2])
        read = partial(_read_here if local else partial(_read_there, self._connection), path)
        before = self._task.environment
        # As ansible-core does it for async tasks.
        self._task.environment = [*(before or []), {VARIABLE: path}]
        try:
            with Watch(lines, read, HERE if local else THERE, Display().display):
                return run()
        finally:
            self._task.environment = before

    def _is_wanted(self, variables: dict[str, Any]) -> bool:
        wished = self._templar.template(variables.get("haven_progress", True))
        return (
            boolean(wished, strict=False)
            and not self._task.check_mode
            and not self._task.no_log
            and is_read_by_people()
        )

    def _host(self, variables: dict[str, Any]) -> str:
        host, delegate = str(variables.get("inventory_hostname", "")), self._task.delegate_to
        return f"{host} -> {delegate}" if delegate else host


def is_read_by_people() -> bool:
    """Whether the output of this run is for people, not for a program."""
    if context.CLIARGS.get("one_line"):
        return False
    callback = constants.DEFAULT_STDOUT_CALLBACK.rpartition(".")[2]
    others = {name.rpartition(".")[2] for name in constants.CALLBACKS_ENABLED}
    return callback in _FOR_PEOPLE and not others & _FOR_PROGRAMS


def _read_here(path: str, place: int) -> bytes:
    try:
        with Path(path).open("rb") as file:
            file.seek(place)
            return file.read(_MOST_BYTES)
    except OSError:
        return b""


def _read_there(connection: Any, path: str, place: int) -> bytes:
    look = f"tail -c +{place + 1} {shlex.quote(path)} 2>/dev/null | head -c {_MOST_BYTES}"
    # The user's own shell may be another kind of shell.
    command = f"/bin/sh -c {shlex.quote(look)}"
    try:
        # A second session of the task's connection, without becoming another user.
        second = copy.copy(connection)
        second.set_become_plugin(None)
        _status, said, _error = second.exec_command(command, sudoable=False)
    except Exception:  # pylint: disable=broad-exception-caught  # noqa: BLE001, RUF100 -- any plugin's
        # The task itself says what is wrong with the connection.
        return b""
    return bytes(said)
