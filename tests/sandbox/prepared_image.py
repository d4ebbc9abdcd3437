# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prepared images: plain guests with the software that the roles jupyter and tensorboard install, and nothing else.

The same packages on every guest are most of what a test of a service waits for. A layer holds software alone, no
setting of a sandbox or a user (proxy, authority, key, hash): the role runs on it again and writes these.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from . import role_image
from .paths import repository
from .processes import run

if TYPE_CHECKING:
    from .guests import Guests

# Each by the plain image below it.
IMAGES = {"trixie-prepared": "trixie"}

_PLAYBOOK = Path(__file__).with_name("prepared.yml")
# What is kept; anything else, and /etc above all, may hold a setting.
_KEPT = ("opt/haven", "usr", "var/lib/dpkg")
# The egress role puts the proxy's authority into the first, and uv its cache into the other.
_LEFT_OUT = ("usr/local", "opt/haven/venvs")


def folder(cache: Path, name: str, base: Sequence[Path]) -> Path:
    """Where an image's layer lies; the name changes with the roles, their lock files and the modules that install."""
    top = repository()
    roles = [top / "roles" / role for role in ("egress", "jupyter", "tensorboard", "venv")]
    modules = [top / "plugins" / "modules" / f"{module}.py" for module in ("files", "venv")]
    sources = [*roles, *modules, top / "plugins" / "module_utils" / "_venvs", _PLAYBOOK]
    sources += [Path(role_image.__file__), Path(__file__)]
    return cache / f"layer-{name}-{role_image.digest(base, sources)}"


def make(guests: Guests, access: role_image.Access, name: str, layer: Path, work: Path) -> None:
    """Install the software and keep it as that layer; see role_image.applied."""
    variables = {"egress_proxy": {"url": access.proxy, "ca": str(access.proxy_ca)}}
    making = role_image.Making(name, IMAGES[name], _PLAYBOOK, variables)
    with role_image.applied(guests, access, making, work) as changes:
        role_image.keep(changes, layer, _copy, access.traces())


def _copy(changes: Path, draft: Path) -> None:
    # A role that finds all packages there changes nothing of dpkg's.
    for name in (each for each in _KEPT if (changes / each).exists()):
        (draft / name).parent.mkdir(parents=True, exist_ok=True)
        run("cp", "-a", changes / name, draft / name, timeout=300)
    for name in _LEFT_OUT:
        run("rm", "-rf", draft / name)
