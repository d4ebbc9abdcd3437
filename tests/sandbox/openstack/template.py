# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The prepared state: a cloud of before its first start, in the cache, made anew when what it is made from changes."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

from .. import private, unprivileged
from ..errors import SandboxError
from ..paths import repository
from ..processes import run
from . import environment

_PARTS = ("prepare", "seed", "settings", "layout", "clouds", "schema", "applications")
_WITHIN_S = 900.0
# In a mount namespace of its own: where the sandbox has it, too, since services ask the kernel whether they may.
_BEHIND_RUN = 'mount -t tmpfs -o mode=755 tmpfs /run; mkdir -p "$2"; mount --bind "$1" "$2"; shift 2; exec "$@"'


def folder(cache: Path) -> Path:
    """Where the state made from this checkout's sources is kept."""
    digest = hashlib.sha256((repository() / "requirements/openstack-sandbox.lock").read_bytes())
    for part in _PARTS:
        digest.update(Path(__file__).with_name(f"{part}.py").read_bytes())
    return cache / f"state-{digest.hexdigest()[:12]}"


def prepare_missing(cache: Path, say: Callable[[str], None]) -> None:
    """Make the state unless it is there."""
    target = folder(cache)
    with environment.alone(cache):
        if target.is_dir():
            return
        say("Preparing OpenStack's databases")
        started = time.monotonic()
        draft = cache / "state.draft"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        try:
            run(*_command(draft, environment.folder(cache)), timeout=_WITHIN_S, cwd=repository())
        except SandboxError as error:
            shutil.rmtree(draft, ignore_errors=True)
            raise SandboxError(f"OpenStack's databases could not be prepared: {error}") from error
        draft.rename(target)
        say(f"Prepared after {time.monotonic() - started:.1f} s")


def _command(draft: Path, services: Path) -> list[str]:
    """Fill the folder, as the sandbox's user; as whoever asks where that is not root, for a cloud without guests."""
    program = [sys.executable, "-m", "tests.sandbox.openstack.prepare", "--environment", str(services), "--dir"]
    # Whatever ends this process ends unshare, and with it every process that the preparation started.
    alone = ["setpriv", "--pdeathsig", "KILL", "unshare", "--pid", "--mount-proc", "--fork", "--kill-child"]
    if os.geteuid() != 0:
        return [*alone, "--map-current-user", *program, str(draft)]
    unprivileged.give(draft)
    alone += ["sh", "-euc", _BEHIND_RUN, "sh", str(draft), str(private.OPENSTACK)]
    return [*alone, *unprivileged.command(*program, str(private.OPENSTACK))]
