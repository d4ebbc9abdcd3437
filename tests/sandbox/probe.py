# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Can this machine run a sandbox? Every thing that is missing is named at once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from .errors import UnsuitableMachineError
from .openstack import environment

# Programs by the Debian package that has them.
_PACKAGES = {
    "ip": "iproute2",
    "mmdebstrap": "mmdebstrap",
    "mount": "mount",
    "nft": "nftables",
    "nsenter": "util-linux",
    "openssl": "openssl",
    "setpriv": "util-linux",
    "squid": "squid-openssl",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "systemd-nspawn": "systemd-container",
    "umount": "mount",
    "unshare": "util-linux",
}
_FREE_GIB = 6


def require(folder: Path, clouds: Sequence[str] = ()) -> None:
    """Raise UnsuitableMachineError naming all that this machine lacks."""
    problems = missing(folder, clouds)
    if problems:
        raise UnsuitableMachineError("The sandbox cannot run here: " + "; ".join(problems) + ".")


def missing(folder: Path, clouds: Sequence[str] = ()) -> list[str]:
    """What this machine lacks, each in a few words with what to do about it."""
    problems = []
    if os.geteuid() != 0:
        problems.append("it needs root (namespaces, mounts and guests): run it with sudo")
    problems += _programs() + _features()
    if "openstack" in clouds:
        problems += _interpreter()
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(existing).free / (1 << 30)
    if free < _FREE_GIB:
        problems.append(
            f"{existing} has {free:.1f} GiB free and {_FREE_GIB} are needed: make room or choose another --dir"
        )
    if folder.is_relative_to("/run"):
        problems.append("its folder cannot be below /run, which it covers: choose another --dir")
    return problems


def _programs() -> list[str]:
    packages = {package for program, package in _PACKAGES.items() if shutil.which(program) is None}
    if not Path("/usr/lib/squid/security_file_certgen").exists():
        packages.add("squid-openssl")
    if not Path("/usr/share/keyrings/debian-archive-keyring.gpg").exists():
        packages.add("debian-archive-keyring")
    if not packages:
        return []
    return [f"programs are missing: apt-get install --no-install-recommends {' '.join(sorted(packages))}"]


def _interpreter() -> list[str]:
    try:
        environment.python()
    except UnsuitableMachineError as error:
        return [str(error).rstrip(".")]
    return []


def _features() -> list[str]:
    problems = []
    if not Path("/proc/self/ns/net").exists() or not Path("/proc/self/ns/pid").exists():
        problems.append("the kernel has no PID or network namespaces: use one that has")
    if (
        "overlay" not in Path("/proc/filesystems").read_text(encoding="ascii").split()
        and not Path("/sys/module/overlay").exists()
    ):
        problems.append("the kernel has no overlay file system loaded: modprobe overlay")
    return problems
