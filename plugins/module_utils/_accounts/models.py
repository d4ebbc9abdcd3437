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

# The accounts that this collection created are members of this group. Deleting an account also removes it from its
# groups, so that a new account with the same name or ID is not one of ours.
GROUP = "haven-accounts"
NAME = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
DEFAULT_SHELL = "/bin/bash"


@dataclass(frozen=True)
class Wanted:
    """A requested account. ``state`` is present, exists, or absent. ``ssh_keys`` None means to leave keys alone."""

    name: str
    state: str = "present"
    shell: str = ""
    ssh_keys: Optional[tuple[str, ...]] = None
    folders: tuple[str, ...] = ()
    remove_files: bool = False


@dataclass(frozen=True)
class Locked:
    """What this collection changed when it locked an account, and restores when the user returns."""

    uid: int
    expires: Optional[int] = None  # days since 1970
    password: bool = False  # whether it was usable before


@dataclass(frozen=True)
class Found:
    """An existing account. ``keys`` is the text of authorized_keys; ``elsewhere`` are other accounts that they open."""

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
    """The planned changes to one account. Each field is empty if there is nothing to do."""

    create: bool = False
    make_home: bool = False
    # The options for usermod.
    settings: Mapping[str, str] = field(default_factory=dict)
    remember: Optional[Locked] = None
    forget: bool = False
    # The new text of authorized_keys, or None to keep it. ``disable_keys`` moves it away from sshd.
    keys: Optional[str] = None
    disable_keys: bool = False
    end_sessions: bool = False
    end_lingering: bool = False
    remove: tuple[str, ...] = ()
    # Why an account that should be absent is left alone.
    left: str = ""
    warnings: tuple[str, ...] = ()
    # The changes in words, for the user.
    steps: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        return bool(self.steps)


def wanted_accounts(entries: Sequence[Mapping[str, Any]], folders: Sequence[str] = ()) -> list[Wanted]:
    """Check the options ``accounts`` and ``folders``. Raises InvalidRequest, which names the account."""
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
