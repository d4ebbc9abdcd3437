# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors, lost answers and slowness on demand."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import escape

LAUNCH = "launch"  # the pseudo-action for an instance that is accepted and then never gets to run


@dataclass
class Fault:
    """What happens to the next calls of an action.

    action: an API action, "*", or "launch" (the instance goes from pending to terminated, for this reason).
    code, message, status: the error answered. Without a code the connection is dropped and nothing is carried out.
    after_success: the call is carried out; then the connection is dropped, or, with a code, that error is answered.
    times: how many calls are hit; -1 means all. match: parameters (as sent, such as InstanceType) a call must have.
    """

    action: str
    code: str = ""
    message: str = ""
    status: int = 400
    times: int = 1
    after_success: bool = False
    match: dict[str, str] = field(default_factory=dict)

    def hits(self, action: str, params: dict[str, str]) -> bool:
        wanted = self.action == action or (self.action == "*" and action != LAUNCH)
        return wanted and self.times != 0 and all(params.get(key) == value for key, value in self.match.items())


class Faults:
    """The faults that are waiting, first come first served."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []
        self._lock = threading.Lock()
        self.latency_ms = 0.0

    def add(self, description: dict[str, Any]) -> None:
        """Raises TypeError for a description with unknown fields."""
        fault = Fault(**description)
        with self._lock:
            self._waiting.append(fault)

    def take(self, action: str, params: dict[str, str]) -> Fault | None:
        with self._lock:
            for fault in self._waiting:
                if fault.hits(action, params):
                    if fault.times > 0:
                        fault.times -= 1
                    return fault
        return None

    def clear(self) -> None:
        with self._lock:
            self._waiting.clear()
            self.latency_ms = 0.0


def error_body(service: str, code: str, message: str) -> tuple[str, bytes]:
    """An error as the service writes it, so that botocore reads code and message: (content type, body)."""
    if service == "ssm":
        body = json.dumps({"__type": code, "message": message})
        return "application/x-amz-json-1.1", body.encode()
    error = f"<Error><Code>{escape(code)}</Code><Message>{escape(message)}</Message></Error>"
    if service == "ec2":
        xml = (
            f"<Response><Errors>{error}</Errors><RequestID>00000000-0000-4000-8000-000000000000</RequestID></Response>"
        )
    else:
        xml = f"<ErrorResponse>{error}<RequestId>00000000-0000-4000-8000-000000000000</RequestId></ErrorResponse>"
    return "text/xml", f"<?xml version='1.0' encoding='utf-8'?>{xml}".encode()
