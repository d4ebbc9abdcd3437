# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files that are the user's alone."""

from __future__ import annotations

import os
import tempfile

PRIVATE = 0o600
# Bytes.
_PART = 1 << 16


def private_folder(path: str) -> str:
    """Make the folder, or make it the user's alone. Returns its path."""
    os.makedirs(path, mode=0o700, exist_ok=True)
    os.chmod(path, 0o700)
    return path


def write_private(path: str, text: str) -> bool:
    """Put the text into the file, whole or not at all, readable by its owner only. Returns whether it was changed.

    Another run may write the same file at the same time; readers see the old text or the new one.
    """
    content = text.encode()
    if _holds(path, content):
        return False
    # mkstemp makes files with mode 0600.
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".haven-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    return True


def _holds(path: str, content: bytes) -> bool:
    """Whether the file is private and has exactly this content; read in parts, as it may have that of thousands."""
    try:
        with open(path, "rb") as file:
            found = os.fstat(file.fileno())
            if found.st_mode & 0o777 != PRIVATE or found.st_size != len(content):
                return False
            starts = range(0, len(content), _PART)
            return all(file.read(_PART) == content[start : start + _PART] for start in starts)
    except FileNotFoundError:
        return False
