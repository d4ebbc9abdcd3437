# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Data disks: sparse files behind loop devices that exist only while their guest runs.

The kernel takes a loop device away when its last user closes it (autoclear), so the supervisor's end leaves none.
Guests have no udev, whose links under /dev/disk people mount by: they are made here. So are the nodes of disks that
come and go while a guest runs.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import struct
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from .errors import SandboxError
from .machines import Volume
from .processes import run

# linux/loop.h
_LOOP_CTL_GET_FREE = 0x4C82
_LOOP_CONFIGURE = 0x4C0A
_LOOP_SET_CAPACITY = 0x4C07
_LO_FLAGS_AUTOCLEAR = 4
_LOOP_CONFIG = "=II" + "QQQQQIIII64s64s32sQQ" + "8Q"

# How the name of a disk of the host begins.
STORE = "AWS"

_GIB = 1 << 30
_LOOK_EVERY_S = 0.1
_SUPERBLOCK_SIZE = 2048


@dataclass(frozen=True)
class _Disk:
    """A connected disk: its name, its loop device's descriptor, its name in the guest and the guest's by-uuid."""

    name: str
    loop: int
    device: str
    by_uuid: Path

    def link(self) -> None:
        """Link the file system's UUID, if there is a file system, to the device."""
        found = filesystem_uuid(os.pread(self.loop, _SUPERBLOCK_SIZE, 0))
        for link in self.by_uuid.iterdir():
            if str(link.readlink()) == self.target and link.name != found:
                link.unlink()
        if found and not (self.by_uuid / found).is_symlink():
            (self.by_uuid / found).symlink_to(self.target)

    @property
    def target(self) -> str:
        """Where the links under /dev/disk point."""
        return f"../..{self.device.removeprefix('/dev')}"


class Volumes:
    """The data disks of all guests. folder: one file each; links: the guests' folders /dev/disk."""

    def __init__(self, folder: Path, links: Path) -> None:
        self._folder = folder
        self._links = links
        self._changed = threading.Condition()
        self._disks: dict[str, list[_Disk]] = {}
        threading.Thread(target=self._keep_linked, name="volumes", daemon=True).start()

    def open(self, guest: str, volumes: list[Volume]) -> list[str]:
        """Connect the disks, made when they are new, of a guest about to boot; returns nspawn's options for them."""
        links = self._links / guest
        for folder in ("by-id", "by-uuid"):
            (links / folder).mkdir(parents=True, exist_ok=True)
        nodes = [(self._connect(guest, volume), volume.device) for volume in volumes]
        return [f"--bind={links}:/dev/disk", *(f"--bind={node}:{device}" for node, device in nodes)]

    def plug(self, guest: str, leader: str, volume: Volume) -> None:
        """Connect a disk to a guest that runs, or let one that it has grow. leader: the guest's first process."""
        disk = self._disk(guest, volume.name)
        if disk is not None:
            self._file(volume)
            fcntl.ioctl(disk.loop, _LOOP_SET_CAPACITY)
            return
        number = os.stat(self._connect(guest, volume)).st_rdev
        node = [volume.device, "b", str(os.major(number)), str(os.minor(number))]
        _in_guest(leader, "sh", "-c", 'umask 117 && exec mknod "$@"', "sh", *node)

    def unplug(self, guest: str, leader: str, name: str) -> None:
        """Disconnect a disk from a guest that runs; SandboxError while it is mounted there."""
        disk = self._disk(guest, name)
        if disk is None:
            return
        number = os.fstat(disk.loop).st_rdev
        if f" {os.major(number)}:{os.minor(number)} " in Path(f"/proc/{leader}/mountinfo").read_text(encoding="utf-8"):
            raise SandboxError(f"The volume {name} is mounted in {guest}: unmount it first.")
        _in_guest(leader, "umount", disk.device, may_fail=True)  # the bind mount it was given at boot, if it was
        _in_guest(leader, "rm", "-f", disk.device)
        with self._changed:
            self._disks[guest].remove(disk)
            if not self._disks[guest]:
                del self._disks[guest]
            for folder in (self._links / guest / "by-id", disk.by_uuid):
                for link in folder.iterdir():
                    if str(link.readlink()) == disk.target:
                        link.unlink()
        os.close(disk.loop)

    def _disk(self, guest: str, name: str) -> _Disk | None:
        with self._changed:
            return next((disk for disk in self._disks.get(guest, []) if disk.name == name), None)

    def _connect(self, guest: str, volume: Volume) -> str:
        """Put a loop device behind a guest's disk; returns the device's path."""
        loop, node = _attach_loop(self._file(volume))
        disk = _Disk(volume.name, loop, volume.device, self._links / guest / "by-uuid")
        with self._changed:
            self._disks.setdefault(guest, []).append(disk)
            disk.link()
            self._changed.notify()
        (self._links / guest / "by-id" / serial_name(volume.name)).symlink_to(disk.target)
        return node

    def close(self, guest: str) -> None:
        """Disconnect all disks of a guest that is powered off."""
        with self._changed:
            for disk in self._disks.pop(guest, []):
                os.close(disk.loop)
            shutil.rmtree(self._links / guest, ignore_errors=True)

    def delete(self, name: str) -> None:
        """Remove a disk and what is on it; nothing happens when there is none."""
        shutil.rmtree(self._folder / name, ignore_errors=True)

    def copy(self, name: str, copy: str) -> None:
        """Make another disk with the same content, if there is one."""
        if (self._folder / name).is_dir():
            run("cp", "-a", "--sparse=always", "--reflink=auto", "-T", self._folder / name, self._folder / copy)

    def _file(self, volume: Volume) -> Path:
        path = self._folder / volume.name / "disk"
        path.parent.mkdir(exist_ok=True, mode=0o700)
        with path.open("ab") as file:
            # Growing is all a cloud's disk can do.
            if file.seek(0, os.SEEK_END) < volume.size_gib * _GIB:
                file.truncate(volume.size_gib * _GIB)
        return path

    def _keep_linked(self) -> None:
        while True:
            with self._changed:
                while not self._disks:
                    self._changed.wait()
                for disks in self._disks.values():
                    for disk in disks:
                        disk.link()
            time.sleep(_LOOK_EVERY_S)


def _in_guest(leader: str, *command: str, may_fail: bool = False) -> None:
    """Run one of the guest's own programs among its files and processes."""
    try:
        run("nsenter", f"--target={leader}", "--mount", "--pid", "--root", "--wd", "--", *command)
    except SandboxError:
        if not may_fail:
            raise


def serial_name(volume: str) -> str:
    """What /dev/disk/by-id calls a volume on Amazon's instances, or on OpenStack's, where its name is a UUID."""
    if volume.startswith("vol-"):
        return f"nvme-Amazon_Elastic_Block_Store_{volume.replace('-', '')}"
    if volume.startswith(STORE):
        return f"nvme-Amazon_EC2_NVMe_Instance_Storage_{volume}"
    return f"virtio-{volume[:20]}"


def filesystem_uuid(superblock: bytes) -> str | None:
    """The UUID of the ext2, ext3, ext4 or XFS file system that begins so; None when it is neither."""
    if superblock[1080:1082] == b"\x53\xef":
        return str(uuid.UUID(bytes=superblock[1128:1144]))
    if superblock[:4] == b"XFSB":
        return str(uuid.UUID(bytes=superblock[32:48]))
    return None


def _attach_loop(backing: Path) -> tuple[int, str]:
    """An open descriptor and the path of a loop device backed by a file; closing the descriptor detaches it."""
    try:
        with backing.open("r+b") as file, open("/dev/loop-control", "rb") as control:
            for _ in range(32):  # somebody else may take the free one first
                node = f"/dev/loop{fcntl.ioctl(control, _LOOP_CTL_GET_FREE)}"
                loop = os.open(node, os.O_RDWR | os.O_CLOEXEC)
                try:
                    fcntl.ioctl(loop, _LOOP_CONFIGURE, _loop_config(file.fileno(), os.fsencode(backing)))
                except OSError as error:
                    os.close(loop)
                    if error.errno != errno.EBUSY:
                        raise
                else:
                    return loop, node
    except OSError as error:
        raise SandboxError(f"Connecting the data disk {backing.parent.name} failed: {error}.") from error
    raise SandboxError(f"Connecting the data disk {backing.parent.name} failed: all loop devices are busy.")


def _loop_config(backing: int, name: bytes) -> bytes:
    info = (0, 0, 0, 0, 0, 0, 0, 0, _LO_FLAGS_AUTOCLEAR, name[-63:], b"", b"", 0, 0)
    return struct.pack(_LOOP_CONFIG, backing, 512, *info, *(0,) * 8)
