# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Unix sockets by path, also where the path is longer than the 107 bytes an address can hold."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def _short(path: Path) -> Iterator[str]:
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def connect(path: Path, timeout: float | None) -> socket.socket:
    """A stream socket connected to a path; OSError when nobody listens."""
    link = socket.socket(socket.AF_UNIX)
    link.settimeout(timeout)
    try:
        with _short(path) as address:
            link.connect(address)
    except OSError:
        link.close()
        raise
    return link


def listen(path: Path) -> socket.socket:
    """A listening stream socket at a path, for its owner only; one left by an earlier process is replaced."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    with _short(path) as address:
        listener.bind(address)
    path.chmod(0o600)
    listener.listen(64)
    return listener
