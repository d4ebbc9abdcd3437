# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a machine still does after its first boot, when its sshd already answers: cloud-init, and updates of packages.

cloud-init writes its stage and its result to /run/cloud-init. apt and dpkg lock files with fcntl(2), which flock(1)
does not see; the kernel tells who holds such a lock (F_GETLK), without taking it.
"""

from __future__ import annotations

import fcntl
import json
import os
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from ._errors import TimedOut, shown
from ._progress import progress

# In the order in which apt takes them; a holder of several is named for the first.
LOCKS = (
    "var/lib/dpkg/lock-frontend",
    "var/lib/dpkg/lock",
    "var/lib/apt/lists/lock",
    "var/cache/apt/archives/lock",
)
# struct flock of 64-bit Linux: l_type, l_whence, l_start, l_len, l_pid.
_FLOCK = "hhqqi4x"
_INTERPRETERS = ("python", "perl", "sh", "bash", "dash")
_MOST_CHARACTERS = 80
_EVERY_S = 1.0

# Tells of a unit of systemd its ActiveState, and the number of its job ('' or 0 if none is queued).
UnitState = Callable[[str], tuple[str, str]]


@dataclass(frozen=True)
class Holder:
    """A process that holds a lock. ``unit`` is the unit of systemd that it belongs to, if any."""

    lock: str
    pid: int
    name: str
    unit: str

    def __str__(self) -> str:
        process = ", ".join(part for part in (f"process {self.pid}" if self.pid else "", self.unit) if part)
        return f"{self.name} ({process})" if process else self.name


@dataclass(frozen=True)
class Wait:
    """Something to wait for. ``what`` completes "waits for", ``advice`` says what to look at if it does not end."""

    what: str
    advice: str


def look(root: Path, unit_state: UnitState) -> list[Wait]:
    """Return what the machine whose files are at ``root`` is still busy with; an empty list if with nothing.

    Raises PermissionError for anyone but root, because only root may open the files of the locks.
    """
    waits = []
    for holder in lock_holders(root)[:1]:  # one holds all of them, as a rule, and the others are seen after it
        advice = f"systemctl status {holder.unit}" if holder.unit else "ps -ef"
        waits.append(Wait(f"the lock of apt and dpkg, held by {holder}", advice))
    if stage := cloud_init_stage(root, unit_state):
        waits.append(Wait(stage, "cloud-init status --long"))
    return waits


def cloud_init_stage(root: Path, unit_state: UnitState) -> Optional[str]:
    """Return what cloud-init is doing, or None if it has finished, failed, or does not run here."""
    folder = root / "run/cloud-init"
    if not folder.is_dir() or (folder / "disabled").exists() or (folder / "result.json").exists():
        return None
    state, job = unit_state("cloud-final.service")
    if state not in ("activating", "active", "reloading") and job in ("", "0"):
        # It was stopped, failed, or is not installed, so nothing will ever write a result.
        return None
    stage = shown(str(_read(folder / "status.json").get("stage") or ""))[:_MOST_CHARACTERS]
    return f"cloud-init, which is in its stage {stage}" if stage else "cloud-init, which is between two of its stages"


def cloud_init_errors(root: Path) -> int:
    """Return how many errors cloud-init noted in its result."""
    errors = _read(root / "run/cloud-init/result.json").get("errors")
    return len(errors) if isinstance(errors, list) else 0


def lock_holders(root: Path) -> list[Holder]:
    """Return who holds locks of apt and dpkg, without taking one."""
    found = []
    for name in LOCKS:
        pid = _holder_of(root / name)
        if pid is not None:
            found.append(Holder(name, pid, _name_of(pid), _unit_of(pid)))
    return found


def until_ready(
    looks: Callable[[], Sequence[Wait]],
    timeout_s: float,
    sleep: Callable[[float], Any] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> list[str]:
    """Wait until nothing is left to wait for. Return what was waited for, in order. Raises TimedOut."""
    began = clock()
    seen: list[str] = []
    while waits := looks():
        if waits[0].what not in seen[-1:]:
            seen.append(waits[0].what)
            progress.begins(f"waits for {waits[0].what}")
        if clock() - began >= timeout_s:
            names = " and for ".join(each.what for each in waits)
            raise TimedOut(
                f"After {timeout_s:.0f} s, this machine still waits for {names}. "
                f"Nothing was installed. Look at '{waits[0].advice}' there, and run this again when it has ended."
            )
        sleep(_EVERY_S)
    progress.ends()
    return seen


def _holder_of(path: Path) -> Optional[int]:
    """Return the process that holds the lock of a file, 0 if it is not visible here, or None if nobody holds it."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, _whence, _start, _length, pid = struct.unpack(_FLOCK, fcntl.fcntl(file, fcntl.F_GETLK, asked))
    finally:
        os.close(file)
    return None if kind == fcntl.F_UNLCK else max(int(pid), 0)


def _name_of(pid: int) -> str:
    """Return the name of a program; of a script, that of the script."""
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
    except OSError:
        return "another program"
    names = [os.path.basename(argument) for argument in arguments]
    script = len(names) > 1 and names[0].rstrip("0123456789.") in _INTERPRETERS and not arguments[1].startswith("-")
    return shown(names[1 if script else 0])[:_MOST_CHARACTERS] or "another program"


def _unit_of(pid: int) -> str:
    try:
        groups = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    last = [line.rpartition("/")[2] for line in groups]
    return next((shown(name)[:_MOST_CHARACTERS] for name in last if name.endswith(".service")), "")


def _read(path: Path) -> dict[str, Any]:
    """Return the part v1 of a file of cloud-init, empty if it cannot be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))["v1"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return content if isinstance(content, dict) else {}
