# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Child processes of the module: their user and their environment."""

from __future__ import annotations

import functools
import os
import pwd
import shlex
import subprocess
from typing import Any, Callable

from .. import _as_user

HAVEN_ENVIRONMENT = "/etc/haven/egress.env"  # written by haven.gpu.egress
ENVIRONMENT_FILES = ("/etc/environment", HAVEN_ENVIRONMENT)  # a later file wins
# The variables that a play may set with `environment:`. Nothing else of root's environment is used.
PASSED_ON = ("UV_", "PIP_", "SSL_CERT_", "REQUESTS_CA_BUNDLE", "GIT_SSL_CAINFO")


@functools.cache
def read_environment_file(path: str) -> dict[str, str]:
    """Read KEY=VALUE lines as systemd and PAM do, without a shell. A missing file is empty.

    A process reads it once, because with a proxy password only root can read the files, and a child drops root.
    """
    values: dict[str, str] = {}
    try:
        # Bytes that are not UTF-8 are handed on as they are.
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        return values
    for line in lines:
        key, equals, value = line.strip().removeprefix("export ").partition("=")
        if equals and key.isidentifier():
            try:
                words = shlex.split(value, comments=False)
            except ValueError:  # a single quotation mark
                words = []
            values[key] = words[0] if len(words) == 1 else value
    return values


def egress_environment() -> dict[str, str]:
    """The host's proxy and CA settings."""
    values: dict[str, str] = {}
    for path in ENVIRONMENT_FILES:
        values.update(read_environment_file(path))
    for name in ("PATH", "LANGUAGE"):
        values.pop(name, None)
    return values


def child_environment(user: pwd.struct_passwd) -> dict[str, str]:
    """A clean environment for `user` with the proxy settings, which sudo and su would not include."""
    values = egress_environment()
    for key, value in os.environ.items():
        if key.startswith(PASSED_ON) or key.lower().endswith("_proxy"):
            values[key] = value
    values.update(
        HOME=user.pw_dir,
        USER=user.pw_name,
        LOGNAME=user.pw_name,
        PATH="/usr/local/bin:/usr/bin:/bin",
        LANG="C.UTF-8",
        LC_ALL="C.UTF-8",  # what programs say is read here, and an image may speak another language
        NO_COLOR="1",
        GIT_TERMINAL_PROMPT="0",
        PIP_NO_INPUT="1",
        PIP_DISABLE_PIP_VERSION_CHECK="1",
        UV_NO_PROGRESS="1",
    )
    return values


def as_user(user: pwd.struct_passwd, work: Callable[[], Any]) -> Any:
    """Run ``work`` in a child process as the user, in a clean environment, and return its result; see _as_user."""
    return _as_user.as_user(user, work, functools.partial(child_environment, user))


def run(argv: list[str], cwd: str = "/") -> subprocess.CompletedProcess[str]:
    """Run the program and return the finished process, whatever its status is, with its output as text."""
    # AnsibleModule.run_command belongs to the parent, and its errors would end the wrong process
    return subprocess.run(  # pylint: disable=ansible-bad-function
        argv, cwd=cwd, check=False, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL
    )


def run_heard(argv: list[str], hear: Callable[[str], None], cwd: str = "/") -> subprocess.CompletedProcess[str]:
    """Like :func:`run`, but each line is given to ``hear`` when the program writes it. All output is in ``stderr``."""
    lines = []
    with subprocess.Popen(  # pylint: disable=ansible-bad-function
        argv,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        for line in process.stdout or ():
            lines.append(line)
            hear(line.rstrip())
    return subprocess.CompletedProcess(argv, process.returncode, "", "".join(lines))
