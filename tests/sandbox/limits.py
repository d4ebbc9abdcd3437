# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's limit that guests meet first: inotify instances, counted over all of root's processes on the machine.

A systemd that gets none boots half and says nothing anyone would look for, so it is asked for beforehand.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from .errors import SandboxError

_A_GUEST_TAKES = 6
_LIMIT = Path("/proc/sys/fs/inotify/max_user_instances")

_libc = ctypes.CDLL(None, use_errno=True)


def require_room_for_a_guest() -> None:
    """Raise SandboxError when another guest would not get the inotify instances it needs."""
    taken = [_libc.inotify_init1(os.O_CLOEXEC) for _ in range(_A_GUEST_TAKES)]
    for descriptor in taken:
        if descriptor >= 0:
            os.close(descriptor)
    if min(taken) < 0:
        raise SandboxError(
            "Another guest cannot boot, because this machine's inotify instances are used up "
            f"(fs.inotify.max_user_instances is {_LIMIT.read_text().strip()}): stop a guest, or raise it with sysctl."
        )
