# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that need no root, run as somebody who has none."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

USER = "nobody"


def command(*arguments: str | os.PathLike[str]) -> list[str]:
    """The command that runs another as a user who may change nothing that is not theirs.

    They may read everything, because this checkout and its interpreter may lie in somebody's home.
    """
    may_read = "dac_read_search"
    become = ["setpriv", f"--reuid={USER}", f"--regid={group()}", "--clear-groups", "--no-new-privs"]
    become += [f"--bounding-set=-all,+{may_read}", f"--inh-caps=-all,+{may_read}", f"--ambient-caps=-all,+{may_read}"]
    return [*become, *(os.fspath(argument) for argument in arguments)]


def group() -> int:
    """The user's group."""
    return pwd.getpwnam(USER).pw_gid


def give(path: Path) -> None:
    """Make that user the owner of a file or folder."""
    os.chown(path, pwd.getpwnam(USER).pw_uid, group())
