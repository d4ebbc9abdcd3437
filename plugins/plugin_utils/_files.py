# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files that are the user's alone."""

from __future__ import annotations

import os
import tempfile

PRIVATE = 0o600


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
    try:
        with open(path, "rb") as file:
            if file.read() == content and os.fstat(file.fileno()).st_mode & 0o777 == PRIVATE:
                return False
    except FileNotFoundError:
        pass
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
