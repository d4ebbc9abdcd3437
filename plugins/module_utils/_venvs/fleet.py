# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes all environments of one call: root creates the folders, and all work is done as each user."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
from typing import Any, Optional

from .converge import Outcome, converge, remove
from .models import Plan, Spec, VenvError, spec_from
from .process import as_user
from .requirements import refuse_unlocked


def bring_all(entries: list[dict[str, Any]], root: str, python_downloads: bool, check: bool) -> dict[str, Any]:
    """Bring every entry of `environments` to its state, in order, and return the module's result."""
    wanted = [(spec_from(entry, root), entry["state"]) for entry in entries]
    paths = [spec.path for spec, state in wanted]
    twice = {path for path in paths if paths.count(path) > 1}
    if twice:
        raise VenvError(f"More than one environment is to be at {', '.join(sorted(twice))}; give each its own name.")
    for spec, state in wanted:
        user = _find(spec.user)
        if state == "present" and user is not None and user.pw_uid == 0:
            refuse_unlocked(spec)
    result: dict[str, Any] = {"changed": False, "environments": [], "diff": []}
    for spec, state in wanted:
        outcome = _bring(spec, state, root, python_downloads, check)
        result["changed"] = result["changed"] or outcome.plan.changed
        result["diff"] += [outcome.plan.diff(spec.label)] if outcome.plan.changed else []
        result["environments"].append(
            {
                "name": spec.name,
                "user": spec.user,
                "path": spec.path,
                "state": state,
                "changed": outcome.plan.changed,
                "python_version": outcome.python_version,
                "packages": list(outcome.plan.packages),
                "kernel": spec.name.lower() if spec.display_name and state == "present" else None,
            }
        )
    return result


def _bring(spec: Spec, state: str, root: str, python_downloads: bool, check: bool) -> Outcome:
    user = _find(spec.user)
    if state == "absent":
        return _remove(spec, user, check)
    if user is None:
        if check:
            return Outcome(Plan(rebuild="it does not exist"))
        raise VenvError(f"There is no user {spec.user} to own the environment {spec.name}; create the user first.")
    if not check:
        _make_home(spec.home, root, user)
    outcome: Outcome = as_user(user, lambda: converge(spec, check, python_downloads))
    return outcome


def _find(name: str) -> Optional[pwd.struct_passwd]:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _make_home(home: str, root: str, user: pwd.struct_passwd) -> None:
    os.makedirs(root, mode=0o755, exist_ok=True)
    if not os.path.lexists(home):
        os.mkdir(home, mode=0o700)
        os.chown(home, user.pw_uid, user.pw_gid)
    found = os.lstat(home)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != user.pw_uid:
        raise VenvError(f"{home} is not a folder of {user.pw_name}, maybe one of an earlier account; move it away.")


def _remove(spec: Spec, user: Optional[pwd.struct_passwd], check: bool) -> Outcome:
    if user is None:
        # the files belong to nobody now and are below a folder of root's: no link in it is followed
        outcome = Outcome(Plan(remove=(spec.path,) if os.path.lexists(spec.path) else ()))
        if outcome.plan.changed and not check:
            shutil.rmtree(spec.path)
    else:
        outcome = as_user(user, lambda: remove(spec, check))
    if outcome.plan.changed and not check and _only_caches(spec.home):
        shutil.rmtree(spec.home)
        root = os.path.dirname(spec.home)
        if not os.listdir(root):
            os.rmdir(root)
    return outcome


def _only_caches(home: str) -> bool:
    return os.path.isdir(home) and all(name.startswith(".") for name in os.listdir(home))
