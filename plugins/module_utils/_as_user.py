# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs a function as another user, for work in that user's folders."""

from __future__ import annotations

import multiprocessing
import os
import pwd
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Any, Callable

from ._errors import HavenError


class WorkError(HavenError):
    """The work failed, with its own message."""


def as_user(user: pwd.struct_passwd, work: Callable[[], Any], environment: Callable[[], Mapping[str, str]]) -> Any:
    """Run ``work`` in a child process that has dropped root for good, and return its result.

    Root never runs a program, follows a link, or writes a file in a folder that the user can change. No session is
    opened and no account is checked, so that this also works for a locked account. ``environment`` is prepared before
    root is dropped.
    """
    if os.geteuid() not in (0, user.pw_uid):
        raise WorkError(f"Only root and {user.pw_name} can do the work of {user.pw_name}; add become: true.")
    receiver, sender = multiprocessing.Pipe(duplex=False)
    # fork: the module's own code lies in a folder of root's, out of reach once the user has been changed
    child = multiprocessing.get_context("fork").Process(target=_child, args=(sender, user, work, environment))
    child.start()
    sender.close()
    try:
        good, value = receiver.recv()
    except EOFError:
        child.join()
        raise WorkError(f"The work done as {user.pw_name} ended with status {child.exitcode} and no answer.") from None
    child.join()
    if not good:
        raise WorkError(value)
    return value


def _child(
    answer: Connection,
    user: pwd.struct_passwd,
    work: Callable[[], Any],
    environment: Callable[[], Mapping[str, str]],
) -> None:
    try:
        variables = environment()
        if os.geteuid() == 0:
            os.initgroups(user.pw_name, user.pw_gid)
            os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
            os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)
        os.environ.clear()
        os.environ.update(variables)
        os.umask(0o022)
        os.chdir("/")
        answer.send((True, work()))
    except HavenError as error:
        answer.send((False, str(error)))
    except OSError as error:
        answer.send((False, f"{error.strerror}: {error.filename}."))
    except Exception as error:  # the parent learns of it only through this answer
        answer.send((False, f"The work done as {user.pw_name} failed: {type(error).__name__}: {error}."))
