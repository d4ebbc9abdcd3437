# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A control group for each guest: nspawn makes its own below the one it is started in, so no two may share it."""

from __future__ import annotations

import errno
import hashlib
import os
import time
from pathlib import Path

from .errors import SandboxError

_EMPTY_WITHIN_S = 5.0
_FROZEN_WITHIN_S = 5.0


def folders(sandbox: Path) -> list[Path]:
    """Where the sandbox in that folder keeps its control groups, one in each hierarchy that systemd uses.

    Below this process's own group, so that whoever manages this machine's groups finds nothing at the top.
    """
    name = f"haven-{hashlib.sha256(str(sandbox).encode()).hexdigest()[:10]}"
    own = parse_own(Path("/proc/self/cgroup").read_text(encoding="ascii"))
    mounts = parse_mounts(Path("/proc/self/mountinfo").read_text(encoding="utf-8"))
    return [Path(f"{mount}{own[kind]}", name) for kind, mount in mounts.items() if kind in own]


def parse_own(text: str) -> dict[str, str]:
    """/proc/self/cgroup as the group's path by hierarchy: '' is the unified one, 'name=systemd' systemd's own."""
    found = {}
    for line in text.splitlines():
        _, kind, path = line.split(":", 2)
        found[kind] = "" if path == "/" else path
    return found


def parse_mounts(text: str) -> dict[str, str]:
    """/proc/self/mountinfo as mount points by hierarchy, for the hierarchies that systemd puts processes into."""
    found = {}
    for line in text.splitlines():
        fields, _, rest = line.partition(" - ")
        kind, _, options = rest.split(" ", 2)
        point = fields.split(" ")[4]
        if kind == "cgroup2":
            found[""] = point
        elif kind == "cgroup" and "name=systemd" in options.split(" ")[-1].split(","):
            found["name=systemd"] = point
    return found


def make(parents: list[Path], guest: str) -> list[Path]:
    """A guest's groups; to join one, a process writes 0 to its cgroup.procs."""
    made = [parent / guest for parent in parents]
    for group in made:
        group.mkdir(parents=True, exist_ok=True)
    return made


def set_frozen(groups: list[Path], frozen: bool) -> None:
    """Halt every process of a guest, or let all go on; returns when that is so. SandboxError without a freezer."""
    for group in groups:
        if (group / "cgroup.freeze").exists():
            (group / "cgroup.freeze").write_text(f"{frozen:d}", encoding="ascii")
            _await_frozen(group, frozen)
            return
    raise SandboxError("This machine's kernel cannot halt a guest: it has no unified control groups.")


def _await_frozen(group: Path, frozen: bool) -> None:
    deadline = time.monotonic() + _FROZEN_WITHIN_S
    while f"frozen {frozen:d}" not in (group / "cgroup.events").read_text(encoding="ascii").splitlines():
        if time.monotonic() > deadline:
            raise SandboxError(f"The processes in {group} were not halted within {_FROZEN_WITHIN_S:.0f} s.")
        time.sleep(0.01)


def remove(groups: list[Path]) -> None:
    """Remove groups, and all below them, whose processes have ended; their files are the kernel's and go with them."""
    for group in groups:
        for folder, _, _ in os.walk(group, topdown=False):
            _remove_when_empty(folder)


def _remove_when_empty(folder: str) -> None:
    # A process is in its group for a moment after everybody has heard of its end.
    deadline = time.monotonic() + _EMPTY_WITHIN_S
    while True:
        try:
            os.rmdir(folder)
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return
