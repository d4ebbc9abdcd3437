# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Root disks: an overlay's upper layer on an image's tree. One goes with its guest, or is kept under a name.

Kept are snapshots, from which guests are made like from an image, and root volumes, which guests use in turn. A copy
has its own upper layer on the same tree, so that no disk depends on another.
"""

from __future__ import annotations

import re
import shutil
import threading
from dataclasses import dataclass
from pathlib import Path

from . import images
from .errors import SandboxError
from .processes import run

_PARTS = ("upper", "work")


@dataclass(frozen=True)
class Disk:
    """The folder of the upper layer, and the layers below it, topmost first."""

    folder: Path
    layers: tuple[Path, ...]

    def mount(self, target: Path) -> None:
        """Mount it."""
        target.mkdir(parents=True, exist_ok=True)
        lower = ":".join(str(layer) for layer in self.layers)
        options = f"lowerdir={lower},upperdir={self.folder / 'upper'},workdir={self.folder / 'work'}"
        run("mount", "-t", "overlay", "overlay", "-o", options, target)


class Disks:
    """All root disks. folder: on a file system that overlays may have their upper layers on; cache: of the images."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self._folder = folder
        self._cache = cache
        self._lock = threading.Lock()
        self._kept: dict[str, Disk] = {}

    def make(self, folder: Path, image: str) -> Disk:
        """A disk in that folder, of an image or a kept disk's content."""
        with self._lock:
            source = self._kept.get(image)
        if source is not None:
            return _copy(source, folder)
        disk = Disk(folder, images.locate(self._cache, image))
        for part in _PARTS:
            (folder / part).mkdir(parents=True)
        return disk

    def keep(self, name: str, image: str) -> None:
        """Make a disk under a name, of an image or a kept disk's content."""
        self._add(name, self.make(self._new(name), image))

    def keep_copy(self, name: str, source: Disk) -> None:
        """Keep the content of a disk under a name."""
        self._add(name, _copy(source, self._new(name)))

    def get(self, name: str) -> Disk:
        """A kept disk; SandboxError when there is none."""
        with self._lock:
            if name not in self._kept:
                raise SandboxError(f"There is no root disk {name}.")
            return self._kept[name]

    def has(self, name: str) -> bool:
        """Is there a kept disk of that name?"""
        with self._lock:
            return name in self._kept

    def names(self) -> list[str]:
        """The names of all kept disks."""
        with self._lock:
            return sorted(self._kept)

    def delete(self, name: str) -> None:
        """Remove a kept disk; nothing happens when there is none."""
        with self._lock:
            disk = self._kept.pop(name, None)
        if disk is not None:
            shutil.rmtree(disk.folder, ignore_errors=True)

    def _new(self, name: str) -> Path:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", name) or self.has(name):
            raise SandboxError(f"A disk cannot be kept as {name!r}: there is one, or that is no name.")
        return self._folder / name

    def _add(self, name: str, disk: Disk) -> None:
        with self._lock:
            self._kept[name] = disk


def _copy(source: Disk, folder: Path) -> Disk:
    """Owners, modes and the attributes by which overlays note what was deleted come along."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        run("cp", "-a", "--reflink=auto", source.folder / "upper", folder / "upper", timeout=300)
    except SandboxError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    (folder / "work").mkdir()
    return Disk(folder, source.layers)
