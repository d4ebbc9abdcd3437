# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plans the changes to an account. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Optional

from .keys import keys_in, with_keys
from .models import Found, Locked, Plan, Wanted

# The second day of 1970, as usermod(8) recommends for an account that must not be used.
EXPIRED = 1


def plan(wanted: Wanted, found: Optional[Found], protected: Collection[str], today: int) -> Plan:
    """Plan one account. ``protected`` accounts are never locked. ``today`` is in days since 1970."""
    if wanted.state == "absent":
        return Plan() if found is None else _leave(wanted, found, protected, today)
    if found is None:
        keys = with_keys("", wanted.ssh_keys or ())
        return Plan(create=True, keys=keys or None, steps=("make the account", *(["add keys"] if keys else [])))
    return Plan() if wanted.state == "exists" else _stay(wanted, found, today)


def _stay(wanted: Wanted, found: Found, today: int) -> Plan:
    steps: list[str] = []
    settings: dict[str, str] = {}
    back = found.locked if found.ours else None
    if back and found.expires == EXPIRED:
        settings["expires"] = "" if back.expires is None else str(back.expires)
    if back and back.password and not found.password:
        settings["password"] = "unlock"  # noqa: S105 -- what is done to it
    if settings:
        steps.append("unlock the account")
    if wanted.shell and wanted.shell != found.shell:
        steps.append(f"set the shell to {wanted.shell}")
        settings["shell"] = wanted.shell
    make_home = found.ours and not found.home_exists
    if make_home:
        steps.append(f"make {found.home}")
    keys = with_keys(found.keys, wanted.ssh_keys) if wanted.ssh_keys is not None else found.keys
    if keys != found.keys:
        steps.append("change the keys")
    expired = "expires" not in settings and _expired(found, today)
    warning = (
        f"The account {wanted.name} has expired, and haven.gpu did not do that: extend it (chage -E) to let them in."
    )
    return Plan(
        settings=settings,
        make_home=make_home,
        forget=found.locked is not None,
        keys=keys if keys != found.keys else None,
        steps=tuple(steps),
        warnings=(warning,) if expired else (),
    )


def _expired(found: Found, today: int) -> bool:
    return found.expires is not None and 0 <= found.expires <= today


def _leave(wanted: Wanted, found: Found, protected: Collection[str], today: int) -> Plan:
    if found.uid == 0:
        return Plan(left="it is root")
    if wanted.name in protected:
        return Plan(left="Ansible connects as it")
    if not found.ours:
        keys = with_keys(found.keys, ())
        gone = keys != found.keys
        return Plan(
            left="it was there before haven.gpu",
            keys=keys if gone else None,
            steps=("remove the keys that haven.gpu added",) if gone else (),
            warnings=_still_opens(wanted, found),
        )
    return _lock(wanted, found, today)


def _lock(wanted: Wanted, found: Found, today: int) -> Plan:
    lock = Plan(
        settings={
            **({} if _expired(found, today) else {"expires": str(EXPIRED)}),
            **({"password": "lock"} if found.password else {}),
        },
        disable_keys=bool(keys_in(found.keys)),
        end_sessions=found.processes,
        end_lingering=found.lingers,
        remove=found.removable if wanted.remove_files else (),
    )
    said = (
        (lock.settings, "lock the account"),
        (lock.disable_keys, "disable its keys"),
        (lock.end_sessions, "end its processes, sessions, and tunnels"),
        (lock.end_lingering, "end its lingering"),
        *((path, f"remove {path}") for path in lock.remove),
    )
    before = found.locked or Locked(found.uid, found.expires)
    if lock.settings:
        expires = found.expires if "expires" in lock.settings else before.expires
        lock = replace(lock, remember=Locked(found.uid, expires, found.password or before.password))
    kept = sorted(set(found.files) - set(found.removable)) if wanted.remove_files else []
    warning = (
        f"Not removed, because they are not the files of {wanted.name} alone or a file system is mounted there: "
        f"{', '.join(kept)}. Remove by hand what is to go."
    )
    warnings = (*((warning,) if kept else ()), *_still_opens(wanted, found))
    return replace(lock, steps=tuple(text for there, text in said if there), warnings=warnings)


def _still_opens(wanted: Wanted, found: Found) -> tuple[str, ...]:
    # Not removed, because Ansible may be using this very key.
    return tuple(
        f"A key of {wanted.name} also opens the account {other}: remove it from the authorized_keys there."
        for other in found.elsewhere
    )


def is_apart(path: str, others: Collection[str]) -> bool:
    """Whether a folder can be deleted as a whole, because it contains none of the other homes and mount points."""
    inside = path.rstrip("/") + "/"
    return path.count("/") > 1 and not any(f"{other}/".startswith(inside) for other in others)
