# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The supervisor's end of the unix socket: one JSON line asks for a verb, one answers (client.py is the other end)."""

from __future__ import annotations

import base64
import json
import socket
import threading
from typing import Any

from .errors import SandboxError
from .machines import Machines

_VERBS = frozenset(
    [
        "create",
        "start",
        "stop",
        "suspend",
        "resume",
        "destroy",
        "console",
        "state",
        "set_rules",
        "set_public_address",
        "set_ports",
        "attach",
        "detach",
        "delete_volume",
        "create_volume",
        "copy_volume",
        "snapshot",
        "list",
        "snapshots",
    ],
)


def serve(listener: socket.socket, guests: Machines) -> None:
    """Answer on a listening socket, each connection in a thread of its own; returns when the listener fails."""
    while True:
        link, _ = listener.accept()
        threading.Thread(target=_answer, args=(link, guests), daemon=True).start()


def _answer(link: socket.socket, guests: Machines) -> None:
    with link, link.makefile("rwb") as stream:
        line = stream.readline()
        if not line:
            return
        stream.write(json.dumps(dispatch(json.loads(line), guests)).encode() + b"\n")
        try:
            stream.flush()
        except OSError:  # whoever asked did not wait for the answer
            return


def dispatch(request: dict[str, Any], guests: Machines) -> dict[str, Any]:
    """Carry out one request; the answer has 'result', or 'error' (for people) and 'kind' (an exception's name)."""
    verb = request.pop("verb", None)
    if verb not in _VERBS:
        return {"error": f"The supervisor knows no verb {verb}.", "kind": "SandboxError"}
    if "user_data" in request:
        request["user_data"] = base64.b64decode(request["user_data"])
    try:
        return {"result": getattr(guests, verb)(**request)}
    except (SandboxError, OSError, ValueError, TypeError) as error:
        return {"error": str(error), "kind": type(error).__name__}
