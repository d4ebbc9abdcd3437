# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys for fernet tokens."""

from __future__ import annotations

import base64
import os
import secrets
from pathlib import Path


def renew(folder: Path) -> None:
    """Replace a repository's keys by new ones: '0' is the next primary key, the highest number the present one."""
    for name in ("0", "1"):
        draft = folder.parent / f"{folder.name}.draft"
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(base64.urlsafe_b64encode(secrets.token_bytes(32)))
        draft.rename(folder / name)
