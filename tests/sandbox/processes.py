# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run programs, and say in one sentence what went wrong when one fails."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from .errors import SandboxError


def run(
    *arguments: str | os.PathLike[str], stdin: str | None = None, timeout: float = 60.0, cwd: Path | None = None
) -> str:
    """Run a program and return its standard output; SandboxError holds the end of what it said when it fails."""
    command = [os.fspath(argument) for argument in arguments]
    try:
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, timeout=timeout, check=False, cwd=cwd
        )
    except subprocess.TimeoutExpired as error:
        raise SandboxError(f"{command[0]} did not end within {timeout:.0f} s.") from error
    except FileNotFoundError as error:
        raise SandboxError(f"{command[0]} is not installed.") from error
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip() or "it said nothing")[-600:]
        raise SandboxError(f"'{' '.join(command[:6])}' failed with {done.returncode}: {said}")
    return done.stdout


def outer_children(pid: int) -> list[int]:
    """The process ids of the direct children of a process, as this process sees them."""
    try:
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    except FileNotFoundError:  # the kernel lacks CONFIG_PROC_CHILDREN, or the process has gone
        return [child for child in _all_processes() if _parent(child) == pid]
    return [int(child) for child in listed.split()]


def start_time(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None when there is no such process or it is a zombie.

    Together with its number this names a process for good: numbers are used again.
    """
    fields = _stat(pid)
    return None if fields is None or fields[0] in {"Z", "X"} else int(fields[19])


def _all_processes() -> Sequence[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def _parent(pid: int) -> int | None:
    fields = _stat(pid)
    return None if fields is None else int(fields[1])


def _stat(pid: int) -> list[str] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()
