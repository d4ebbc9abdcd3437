# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The access log: one JSON line for each call to the cloud."""

from __future__ import annotations

import json
import threading
from collections import deque
from pathlib import Path
from typing import Any

HIDDEN = frozenset({"Action", "Version"})
SECRET = frozenset({"UserData", "UserData.Value", "Value", "SecretString", "Password"})
REMEMBERED = 200_000


class AccessLog:
    """Writes each entry to a file and keeps it for the control endpoint.

    An entry: t (seconds since the epoch at the start of the call), key (the id of the access key), service, action,
    params (without user data and the like), status (HTTP; 0 when the connection was dropped), code (the error's, or
    null), ms, bytes (of the answer's body).
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", buffering=1, encoding="utf-8")
        self._entries: deque[dict[str, Any]] = deque(maxlen=REMEMBERED)
        self._lock = threading.Lock()

    def write(self, entry: dict[str, Any]) -> None:
        entry["params"] = {key: value for key, value in entry["params"].items() if key not in HIDDEN | SECRET}
        line = json.dumps(entry, separators=(",", ":")) + "\n"
        with self._lock:
            self._entries.append(entry)
            self._file.write(line)

    def since(self, moment: float) -> list[dict[str, Any]]:
        """Entries whose call began at that moment or later, oldest first."""
        with self._lock:
            return [entry for entry in self._entries if entry["t"] >= moment]
