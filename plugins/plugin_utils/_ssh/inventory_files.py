# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files of an inventory's SSH configurations, and when a connection with one last failed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable

from ...module_utils._ssh import files as _files
from ...module_utils._ssh.config import Machine, Paths
from ...module_utils._ssh.proxy_helper import FAILED
from .._settings import Settings


def folder_of(parent: str, inventory: str, settings: Settings) -> str:
    """Return the folder of one source in an inventory file. It is created if needed."""
    # The folder does not depend on looked-up hops, which change.
    hops = settings.looked_up or settings.hops
    source = (settings.name, settings.cloud, settings.projects, settings.regions, hops)
    asked = repr((os.path.abspath(inventory), *source))
    return _files.private_folder(os.path.join(parent, hashlib.sha256(asked.encode()).hexdigest()[:16]))


def write(
    parent: str, inventory: str, machines: Iterable[Machine], settings: Settings, *, note_failures: bool = False
) -> str:
    """Write the SSH configuration for these machines of one source in an inventory file, and return its path.

    ``note_failures``: record failed connections for :func:`last_failure`.
    """
    folder = folder_of(parent, inventory, settings)
    paths = Paths.of_this_run(folder, ssh=_files.own_ssh(), notes=note_failures)
    config = _files.write({settings.hops: list(machines)}, paths, host_keys=settings.host_keys)
    _await_failures(os.path.join(folder, FAILED))
    return config


def last_failure(folder: str) -> float:
    """When a connection with the configuration in this folder last failed, in seconds since 1970, or 0 for never."""
    try:
        return os.stat(os.path.join(folder, FAILED)).st_mtime
    except FileNotFoundError:
        return 0.0


def _await_failures(path: str) -> None:
    """Create the file whose time the helper updates when a connection fails."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _files.PRIVATE))
    except FileExistsError:
        return
    os.utime(path, (0, 0))
