# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The jump host's image: what the role jump_host makes of a plain guest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from . import gate, role_image
from .paths import repository
from .processes import run

if TYPE_CHECKING:
    from .guests import Guests

BASE = "gate-base"

_PLAYBOOK = Path(__file__).with_name("gate.yml")
# What belongs to the machine that the role was applied to, not to what it made: identity, logs, downloads, leftovers.
_LEFT_OUT = (
    role_image.APT,
    *("etc/machine-id", "etc/hostname", "etc/hosts", "etc/resolv.conf"),
    *("home/debian", "root", "run", "tmp", "var/cache", "var/lib/apt/lists", "var/lib/cloud"),
    *("var/lib/dbus/machine-id", "var/lib/systemd/random-seed", "var/lib/systemd/timers", "var/log", "var/tmp"),
)


def folder(cache: Path, base: Sequence[Path]) -> Path:
    """Where the layer lies; the name changes with all it is made of, so that a changed role is applied anew."""
    top = repository()
    plugins = [top / "plugins" / "modules" / "files.py", top / "plugins" / "filter" / "member_key_files.py"]
    sources = [top / "roles" / "jump_host", top / "roles" / "sshd", *plugins, _PLAYBOOK]
    sources += [Path(gate.__file__), Path(role_image.__file__), Path(__file__)]
    return cache / f"layer-gate-{role_image.digest(base, sources)}"


def make(guests: Guests, access: role_image.Access, layer: Path, work: Path) -> None:
    """Apply the role and keep what it changed as that layer; see role_image.applied."""
    making = role_image.Making(gate.NAME, BASE, _PLAYBOOK, gate.role_variables(access.public_key))
    with role_image.applied(guests, access, making, work) as changes:
        role_image.keep(changes, layer, _copy)


def _copy(changes: Path, draft: Path) -> None:
    run("cp", "-a", changes, draft, timeout=300)
    for name in _LEFT_OUT:
        run("rm", "-rf", draft / name)
    for host_key in (draft / "etc/ssh").glob("ssh_host_*"):
        host_key.unlink()
