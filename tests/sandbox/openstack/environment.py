# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the services are installed: a virtual environment in the cache, made anew when the lock file changes."""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import SandboxError, UnsuitableMachineError
from ..paths import repository
from ..processes import run

_LOCK = repository() / "requirements/openstack-sandbox.lock"
_VERSIONS = ("3.12", "3.11")
_INSTALL_WITHIN_S = 900.0


def folder(cache: Path) -> Path:
    """The environment's folder; nothing else is in it."""
    return cache / "environment"


def is_current(cache: Path) -> bool:
    """Is what the lock file names installed?"""
    stamp = _stamp(cache)
    return stamp.exists() and stamp.read_bytes() == _LOCK.read_bytes()


def install_missing(cache: Path, say: Callable[[str], None]) -> None:
    """Install the services unless they are (a minute); whoever else wants to waits."""
    with alone(cache):
        if is_current(cache):
            return
        say("Installing OpenStack's services")
        shutil.rmtree(folder(cache), ignore_errors=True)
        uv = [sys.executable, "-m", "uv"]
        run(*uv, "venv", "--quiet", "--no-project", f"--python={python()}", folder(cache), timeout=_INSTALL_WITHIN_S)
        target = f"--python={folder(cache) / 'bin/python'}"
        # Compiled now, because those who run them may not write here and every start would compile them again.
        install = [*uv, "pip", "sync", "--quiet", "--require-hashes", "--compile-bytecode", target, str(_LOCK)]
        run(*install, timeout=_INSTALL_WITHIN_S)
        _stamp(cache).write_bytes(_LOCK.read_bytes())


def python() -> Path:
    """An interpreter the services run on; UnsuitableMachineError when there is none."""
    candidates = [shutil.which(f"python{version}") for version in _VERSIONS]
    candidates += [f"/usr/bin/python{version}" for version in _VERSIONS]
    homes = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    for version in _VERSIONS:
        candidates += [str(path) for path in sorted(homes.glob(f"{version}.*/bin/python3"), reverse=True)]
    candidates += [sys.executable]
    for candidate in candidates:
        if candidate and _is_usable(candidate):
            return Path(candidate)
    raise UnsuitableMachineError(
        f"OpenStack's services need Python {' or '.join(_VERSIONS)}, and none was found: "
        "apt-get install python3.11, or have pyenv install one."
    )


@contextmanager
def alone(cache: Path) -> Iterator[None]:
    """Hold the cache against other processes."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _is_usable(candidate: str) -> bool:
    try:
        version = run(candidate, "-c", "import sys; print('%d.%d' % sys.version_info[:2])", timeout=20)
    except SandboxError:
        return False
    return version.strip() in _VERSIONS


def _stamp(cache: Path) -> Path:
    return folder(cache) / "installed.lock"
