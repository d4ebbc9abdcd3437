# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a module says while it works. The action plugin beside the module shows it (plugin_utils/_progress.py).

The action plugin puts the name of a file into the module's environment, and the module appends a line of JSON for each
thing that it says. Without that name, nothing is written. The file's name cannot be guessed, it is created here, and
anyone on the host can read it, because the login user reads it and the module may run as another one: what is said
must not contain secrets.
"""

from __future__ import annotations

import atexit
import json
import os
import time
from typing import Optional

# The environment variable with the absolute path of a file that does not exist yet.
VARIABLE = "HAVEN_PROGRESS"


class Progress:
    """Says what is being done, in stages.

    ``about`` is the name of the thing that a stage is about, if a module works on several at a time. A thing is in one
    stage at a time. Texts name what happens and what is waited for, without a full stop ("apt waits for the lock, held
    by unattended-upgr (812)"); how long it has taken is added when it is shown.
    """

    def __init__(self) -> None:
        self._file: Optional[int] = None
        self._said: dict[str, str] = {}
        self._began = time.monotonic()

    def open(self) -> None:
        """Create the file, if one is wanted. It is removed when this process ends."""
        path = os.environ.pop(VARIABLE, "")
        if not path or self._file is not None:
            return
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_APPEND, 0o644)
            os.fchmod(self._file, 0o644)
        except OSError:
            # A module does not fail because nobody hears it.
            return
        atexit.register(_remove, path, os.getpid())

    def begins(self, text: str, about: str = "") -> None:
        """A stage begins, which ends the one before it. The same text again is the same stage."""
        if self._said.get(about) != text:
            self._say("begins", text, about)

    def known(self, text: str, about: str = "") -> None:
        """Something else is known about the current stage. It is shown with its next line, not at once."""
        if self._said.get(about) != text:
            self._say("known", text, about)

    def ends(self, about: str = "") -> None:
        """The stage has ended, and no other begins."""
        if about in self._said:
            self._say("ends", "", about)
            del self._said[about]

    def _say(self, event: str, text: str, about: str) -> None:
        self._said[about] = text
        if self._file is None:
            return
        at = round(time.monotonic() - self._began, 1)
        line = json.dumps({"event": event, "text": text, "about": about, "at": at})
        try:
            # One call, because threads and child processes write to the same file.
            os.write(self._file, f"{line}\n".encode())
        except OSError:
            return


def _remove(path: str, owner: int) -> None:
    if os.getpid() != owner:
        return
    try:
        os.unlink(path)
    except OSError:
        return


# The process has one task, and so one place to say things.
progress = Progress()
