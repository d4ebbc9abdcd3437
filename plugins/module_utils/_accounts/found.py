# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads the state of an account: its entry, whether we created it, its keys, processes, and files."""

from __future__ import annotations

import grp
import json
import os
import pwd
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Optional

from .._as_user import as_user
from .keys import keys_in
from .models import GROUP, Found, Locked, Wanted
from .plan import is_apart

RECORDS = "/var/lib/haven/accounts"
LINGER = "/var/lib/systemd/linger"
# By default, sshd also reads the second one.
KEY_FILES = (".ssh/authorized_keys", ".ssh/authorized_keys2")
DISABLED = ".haven-left"
_LONGEST = 1 << 20


def look(wanted: Wanted) -> Optional[Found]:
    """Return the account, or None if it does not exist."""
    try:
        user = pwd.getpwnam(wanted.name)
    except KeyError:
        return None
    leaves = wanted.state == "absent"
    expires, password = _shadow(wanted.name)
    reads_keys = leaves or wanted.ssh_keys is not None
    current, disabled = as_user(user, lambda: _read_keys(user.pw_dir), dict) if reads_keys else ("", "")
    files = tuple(path for path in _paths(user, wanted.folders) if os.path.lexists(path)) if leaves else ()
    return Found(
        uid=user.pw_uid,
        gid=user.pw_gid,
        home=user.pw_dir,
        shell=user.pw_shell,
        ours=wanted.name in _made_here(),
        expires=expires,
        password=password,
        locked=_locked(wanted.name, user.pw_uid),
        keys=current,
        home_exists=os.path.isdir(user.pw_dir),
        processes=leaves and any(processes_of(user.pw_uid)),
        lingers=os.path.lexists(os.path.join(LINGER, wanted.name)),
        files=files,
        removable=tuple(path for path in files if _is_removable(path, user)),
        elsewhere=_opened_by(_known_keys(wanted, current, disabled), user) if leaves else (),
    )


def _made_here() -> list[str]:
    try:
        return grp.getgrnam(GROUP).gr_mem
    except KeyError:
        return []


def _shadow(name: str) -> tuple[Optional[int], bool]:
    """Return the expiry day and whether there is a password. Both are unknown for accounts that are not local."""
    with open("/etc/shadow", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            fields = line.rstrip("\n").split(":")
            if fields[0] == name:
                return (int(fields[7]) if fields[7] else None), bool(fields[1]) and fields[1][0] not in "!*"
    return None, False


def _locked(name: str, uid: int) -> Optional[Locked]:
    try:
        with open(record_of(name), encoding="utf-8") as file:
            locked = Locked(**json.load(file))
    except FileNotFoundError:
        return None
    # It may be an earlier account of the same name.
    return locked if locked.uid == uid else None


def record_of(name: str) -> str:
    return os.path.join(RECORDS, f"{name}.json")


def as_record(locked: Locked) -> str:
    return json.dumps(asdict(locked)) + "\n"


def _read_keys(home: str) -> tuple[str, str]:
    """Return the texts of the file that sshd reads and of the disabled one, each with the text of the second file."""
    current, second, *disabled = (
        _text(os.path.join(home, name + suffix)) for suffix in ("", DISABLED) for name in KEY_FILES
    )
    return current, "\n".join([second, *disabled])


def _text(path: str) -> str:
    """Return the text of a regular file of limited length, or an empty string for anything else."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return ""
    with open(descriptor, encoding="utf-8", errors="surrogateescape") as file:
        plain = stat.S_ISREG(os.fstat(descriptor).st_mode)
        return file.read(_LONGEST) if plain else ""


def _known_keys(wanted: Wanted, *texts: str) -> set[str]:
    return keys_in("\n".join([*texts, *(wanted.ssh_keys or ())]))


def _opened_by(keys: set[str], user: pwd.struct_passwd) -> tuple[str, ...]:
    """Return the other accounts on this machine that one of the keys opens."""
    others = [entry for entry in pwd.getpwall() if keys and entry.pw_uid != user.pw_uid]
    texts = {entry.pw_name: [_text(os.path.join(entry.pw_dir, name)) for name in KEY_FILES] for entry in others}
    return tuple(sorted(name for name, found in texts.items() if keys_in("\n".join(found)) & keys))


def processes_of(uid: int) -> Iterator[int]:
    """Return the processes that run as the user, or that the user started with another user's rights."""
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/status", encoding="utf-8", errors="replace") as file:
                lines = file.read().splitlines()
        except OSError:
            continue  # it has ended in the meantime
        fields = {key: value.split() for key, dummy, value in (line.partition(":") for line in lines)}
        if str(uid) in fields.get("Uid", [])[:2] and fields["State"][0] != "Z":
            yield int(name)


def _paths(user: pwd.struct_passwd, folders: Sequence[str]) -> list[str]:
    name = user.pw_name
    return [user.pw_dir, *folders, f"/var/mail/{name}", f"/var/spool/cron/crontabs/{name}"]


def _is_removable(path: str, user: pwd.struct_passwd) -> bool:
    if os.path.islink(path) or os.lstat(path).st_uid != user.pw_uid:
        return False
    others = [entry.pw_dir for entry in pwd.getpwall() if entry.pw_name != user.pw_name]
    return is_apart(path, [*_mount_points(), *others])


def _mount_points() -> Iterable[str]:
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        # A space in a path is written as an octal number.
        return [line.split()[4].replace("\\040", " ") for line in file]
