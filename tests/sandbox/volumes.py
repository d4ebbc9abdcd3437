# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Data disks: sparse files behind loop devices that exist only while their guest runs.

The kernel takes a loop device away when its last user closes it (autoclear), so the supervisor's end leaves none behind.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import struct
import threading
from pathlib import Path

from .errors import SandboxError
from .machines import Volume

# linux/loop.h
_LOOP_CTL_GET_FREE = 0x4C82
_LOOP_CONFIGURE = 0x4C0A
_LO_FLAGS_AUTOCLEAR = 4
_LOOP_CONFIG = "=II" + "QQQQQIIII64s64s32sQQ" + "8Q"
_GIB = 1 << 30


class Volumes:
    """The data disks of all guests; `folder` holds one file each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._open: dict[str, list[int]] = {}

    def open(self, guest: str, volume: Volume) -> list[str]:
        """Connect a disk, made when it is new, for a guest about to boot; returns nspawn's options for it."""
        descriptor, node = _attach_loop(self._file(volume))
        with self._lock:
            self._open.setdefault(guest, []).append(descriptor)
        return [f"--bind={node}:{volume.device}"]

    def close(self, guest: str) -> None:
        """Disconnect all disks of a guest that is powered off."""
        with self._lock:
            for descriptor in self._open.pop(guest, []):
                os.close(descriptor)

    def delete(self, name: str) -> None:
        """Remove a disk and what is on it."""
        shutil.rmtree(self._folder / name, ignore_errors=True)

    def _file(self, volume: Volume) -> Path:
        path = self._folder / volume.name / "disk"
        path.parent.mkdir(exist_ok=True, mode=0o700)
        with path.open("ab") as file:
            # Growing is all a cloud's disk can do.
            if file.seek(0, os.SEEK_END) < volume.size_gib * _GIB:
                file.truncate(volume.size_gib * _GIB)
        return path


def _attach_loop(backing: Path) -> tuple[int, str]:
    """An open descriptor and the path of a loop device backed by a file; closing the descriptor detaches it."""
    with backing.open("r+b") as file, contextlib.ExitStack() as stack:
        control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
        stack.callback(os.close, control)
        for _ in range(32):  # somebody else may take the free one first
            number = fcntl.ioctl(control, _LOOP_CTL_GET_FREE)
            node = f"/dev/loop{number}"
            device = os.open(node, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.ioctl(device, _LOOP_CONFIGURE, _loop_config(file.fileno(), os.fsencode(backing)))
            except OSError as error:
                os.close(device)
                if error.errno != errno.EBUSY:
                    raise SandboxError(f"Connecting a data disk failed: {error}.") from error
            else:
                return device, node
    raise SandboxError("Connecting a data disk failed: all loop devices are busy.")


def _loop_config(backing: int, name: bytes) -> bytes:
    info = (0, 0, 0, 0, 0, 0, 0, 0, _LO_FLAGS_AUTOCLEAR, name[-63:], b"", b"", 0, 0)
    return struct.pack(_LOOP_CONFIG, backing, 512, *info, *(0,) * 8)
