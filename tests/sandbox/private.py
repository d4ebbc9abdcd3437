# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the supervisor changes in its own mount namespace: a /run of its own, and a place for overlays."""

from __future__ import annotations

from pathlib import Path

from .errors import SandboxError
from .paths import Paths
from .processes import run

FOLDER = Path("/run/haven")
OPENSTACK = FOLDER / "openstack"


def make_run(paths: Paths) -> Path:
    """Cover /run, so that namespaces, locks and sockets made there end with the supervisor.

    Returns the folder for guests: on the sandbox's disk, or in memory where that cannot hold an overlay's upper layer.
    """
    resolver = Path("/etc/resolv.conf").resolve()
    names = resolver.read_text(encoding="utf-8") if resolver.is_relative_to("/run") and resolver.is_file() else None
    run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    if names is not None:  # the proxy still has to resolve names
        resolver.parent.mkdir(parents=True, exist_ok=True)
        resolver.write_text(names, encoding="utf-8")
    guests = FOLDER / "guests"
    # The other two for those who are not root, and could not get into a sandbox in somebody's home.
    for folder, behind in ((guests, paths.guests), (FOLDER / "proxy", paths.proxy), (OPENSTACK, paths.openstack)):
        folder.mkdir(parents=True)
        run("mount", "--bind", behind, folder)
    if not _holds_overlays(guests):
        run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", guests)
    return guests


def _holds_overlays(folder: Path) -> bool:
    """Try it: what an upper layer needs of a file system is too long a list to ask for."""
    trial = folder / ".trial"
    parts = [trial / name for name in ("lower", "upper", "work", "root")]
    for part in parts:
        part.mkdir(parents=True, exist_ok=True)
    lower, upper, work, root = parts
    try:
        run("mount", "-t", "overlay", "overlay", "-o", f"lowerdir={lower},upperdir={upper},workdir={work}", root)
        run("umount", root)
    except SandboxError:
        return False
    finally:
        run("rm", "-rf", "--one-file-system", trial)
    return True
