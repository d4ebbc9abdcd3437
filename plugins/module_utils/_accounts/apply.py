# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Changes an account as planned, in an order that locks a removed user out even if the run is interrupted."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import tempfile
import time
from collections.abc import Sequence
from typing import Callable

from .._as_user import WorkError, as_user
from .._errors import HavenError
from .found import DISABLED, KEY_FILES, LINGER, RECORDS, as_record, processes_of, record_of
from .models import DEFAULT_SHELL, GROUP, Locked, Plan, Wanted

# Runs a program as root and returns its status and its output.
Run = Callable[[Sequence[str]], tuple[int, str]]
_PATIENCE_S = 20


class AccountError(HavenError):
    """A program that manages accounts failed. The message quotes it."""

    reason = "account_failed"


def apply(plan: Plan, wanted: Wanted, run: Run) -> None:
    """Apply the plan. Raises HavenError; what was done until then is kept, and the next run continues."""
    if plan.remember:
        _remember(wanted.name, plan.remember)
    if plan.create:
        _create(wanted, run)
    if plan.settings:
        _must(run, ["usermod", *_settings(plan), wanted.name])
    user = pwd.getpwnam(wanted.name)
    if plan.make_home:
        _make_home(user)
    if plan.end_lingering:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(LINGER, wanted.name))
    if plan.end_sessions:
        _end_sessions(user, run)
    if plan.disable_keys:
        as_user(user, lambda: _disable_keys(user.pw_dir), dict)
    if plan.keys is not None:
        _write_keys(user, plan.keys)
    for path in plan.remove:
        _remove(path)
    # Last, because after an interruption the next run must know what it still has to restore.
    if plan.forget:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(record_of(wanted.name))


def _must(run: Run, argv: Sequence[str]) -> None:
    code, said = run(argv)
    if code:
        raise AccountError(f"{argv[0]} refused to change the account {argv[-1]}: {said.strip() or f'status {code}'}.")


def _create(wanted: Wanted, run: Run) -> None:
    """Create the account together with its mark, so that no run can be interrupted between the two."""
    code, said = run(["groupadd", "--system", "--force", GROUP])
    if code:
        raise AccountError(f"groupadd refused to make the group {GROUP}: {said.strip() or f'status {code}'}.")
    # A home that others can read would show them the notebooks.
    private = ["--key", "UMASK=0077", "--key", "HOME_MODE=0700"]
    shell = ["--shell", wanted.shell or DEFAULT_SHELL]
    _must(run, ["useradd", "--create-home", *private, *shell, "--groups", GROUP, wanted.name])


def _settings(plan: Plan) -> list[str]:
    options = {"expires": "--expiredate", "shell": "--shell"}
    arguments = [
        word for name, option in options.items() if name in plan.settings for word in (option, plan.settings[name])
    ]
    return arguments + ([f"--{plan.settings['password']}"] if "password" in plan.settings else [])


def _make_home(user: pwd.struct_passwd) -> None:
    os.mkdir(user.pw_dir, 0o700)
    os.chown(user.pw_dir, user.pw_uid, user.pw_gid)


def _remember(name: str, locked: Locked) -> None:
    os.makedirs(RECORDS, mode=0o700, exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=RECORDS, prefix=".")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(as_record(locked))
    os.replace(draft, record_of(name))


def _end_sessions(user: pwd.struct_passwd, run: Run) -> None:
    """End the user's processes. The account is already locked, so no new ones can start."""
    # The units of this collection would restart. A machine without systemd-logind has no sessions to end.
    run(["systemctl", "stop", f"haven-*@{user.pw_name}.*"])
    run(["loginctl", "terminate-user", user.pw_name])
    deadline = time.monotonic() + _PATIENCE_S
    while left := list(processes_of(user.pw_uid)):
        if time.monotonic() > deadline:
            raise AccountError(
                f"Processes of {user.pw_name} did not end ({', '.join(map(str, left[:5]))}): the account is locked, "
                "restart the machine to end them."
            )
        for process in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.1)


def _disable_keys(home: str) -> None:
    for name in KEY_FILES:
        path = os.path.join(home, name)
        if not os.path.isfile(path):
            continue
        try:
            os.replace(path, path + DISABLED)
        except OSError:
            os.unlink(path)  # something of the user's is in the way


def _write_keys(user: pwd.struct_passwd, text: str) -> None:
    try:
        as_user(user, lambda: _write_text(user.pw_dir, text), dict)
    except WorkError as error:
        raise AccountError(
            f"The keys of {user.pw_name} cannot be written to {user.pw_dir}/{KEY_FILES[0]}: {error} "
            f"See that the home and its folder .ssh belong to {user.pw_name}."
        ) from error


def _write_text(home: str, text: str) -> None:
    # Done as the user, so that a link of theirs leads only to places where they can write anyway.
    path = os.path.realpath(os.path.join(home, KEY_FILES[0]))
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".haven-")
    with os.fdopen(handle, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)
    os.replace(draft, path)


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)
