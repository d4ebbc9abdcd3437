# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The requested state of an account, the state found, and the plan. Pure."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from .._errors import InvalidRequest
from .keys import read_keys

# The accounts that this collection made are members of this group. Whoever removes an account takes it out of its
# groups, too: one that is made anew under the same name or number is its maker's alone.
GROUP = "haven-accounts"
NAME = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
DEFAULT_SHELL = "/bin/bash"


@dataclass(frozen=True)
class Wanted:
    """``state`` is present, exists or absent; ``ssh_keys`` is None where keys are not to be looked at."""

    name: str
    state: str = "present"
    shell: str = ""
    ssh_keys: Optional[tuple[str, ...]] = None
    folders: tuple[str, ...] = ()
    remove_files: bool = False


@dataclass(frozen=True)
class Locked:
    """What this collection took from an account when it locked it, and gives back when its user returns."""

    uid: int
    expires: Optional[int] = None  # days since 1970
    password: bool = False  # whether it could be used before


@dataclass(frozen=True)
class Found:
    """An account as it is. ``keys`` is the text of its authorized_keys, ``elsewhere`` are other accounts they open."""

    uid: int
    gid: int
    home: str
    shell: str = DEFAULT_SHELL
    ours: bool = False
    expires: Optional[int] = None
    password: bool = False
    locked: Optional[Locked] = None
    keys: str = ""
    home_exists: bool = True
    processes: bool = False
    lingers: bool = False
    files: tuple[str, ...] = ()
    removable: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What is to be done to one account, each part of it empty where there is nothing to do."""

    create: bool = False
    make_home: bool = False
    # What usermod is to set.
    settings: Mapping[str, str] = field(default_factory=dict)
    remember: Optional[Locked] = None
    forget: bool = False
    # The new text of authorized_keys; None leaves it, and ``disable_keys`` puts it out of sshd's way.
    keys: Optional[str] = None
    disable_keys: bool = False
    end_sessions: bool = False
    end_lingering: bool = False
    remove: tuple[str, ...] = ()
    # Why an account that is to be absent is left as it is.
    left: str = ""
    warnings: tuple[str, ...] = ()
    # What is done, in the user's words.
    steps: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        return bool(self.steps)


def wanted_accounts(entries: Sequence[Mapping[str, Any]], folders: Sequence[str] = ()) -> list[Wanted]:
    """The options ``accounts`` and ``folders``, checked. Raises InvalidRequest, which names the account."""
    names = [entry["name"] for entry in entries]
    for name in names:
        if not NAME.fullmatch(name):
            raise InvalidRequest(
                f"{name!a} cannot be the name of an account: take at most 32 small letters, digits, dashes and "
                "underscores, and begin with a letter."
            )
        if names.count(name) > 1:
            raise InvalidRequest(f"The account {name} is listed more than once: keep one entry.")
    return [_wanted(entry, folders) for entry in entries]


def _wanted(entry: Mapping[str, Any], folders: Sequence[str]) -> Wanted:
    name, keys = entry["name"], entry.get("ssh_keys")
    if entry.get("remove_files") and entry["state"] != "absent":
        raise InvalidRequest(f"The files of {name} can be removed only with state: absent: leave remove_files out.")
    return Wanted(
        name=name,
        state=entry["state"],
        shell=entry.get("shell") or "",
        ssh_keys=None if keys is None else read_keys(keys, f"ssh_keys of {name}"),
        folders=tuple(os.path.join(folder, name) for folder in folders),
        remove_files=bool(entry.get("remove_files")),
    )
