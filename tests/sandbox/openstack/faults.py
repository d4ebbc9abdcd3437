# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be made to go wrong with a request."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, field

from ..faults import CountedFault


@dataclass
class Fault(CountedFault):
    """What happens to the next requests of a kind.

    service: a name of layout.SERVICES, or "*". method: an HTTP method, or "*". path: a regular expression searched for
    in path and query. agent: one searched for in User-Agent ("openstacksdk" leaves out what services ask each other).
    delay_ms: the request waits so long first. status, message: the error answered instead; 0 lets the request through.
    retry_after: the value of that header of the answer, a number of seconds or a date.
    page: this text is answered with that status (200 if none), as a network's sign-in page would be.
    drop: the connection is closed without an answer. after_success: status, page, drop or delay come after the request
    was carried out. times: how many requests are hit; -1 means all. seconds: the fault ends so long after it was made.
    """

    service: str = "*"
    method: str = "*"
    path: str = ""
    agent: str = ""
    delay_ms: float = 0.0
    status: int = 0
    message: str = "This was asked for by a test."
    retry_after: str = ""
    page: str | None = None
    drop: bool = False
    after_success: bool = False
    seconds: float = 0.0
    made: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        """Raises ValueError for a pattern that is none, or a fault that does nothing."""
        try:
            self._path, self._agent = re.compile(self.path), re.compile(self.agent)
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from error
        if not (self.delay_ms or self.status or self.drop or self.page is not None):
            raise ValueError("a fault needs delay_ms, status, page or drop")
        if self.seconds and self.times == 1:
            self.times = -1

    def hits(self, service: str, method: str, path: str, agent: str) -> bool:
        """Is this request one of them? path: with its query."""
        return (
            self.times != 0
            and self.service in {"*", service}
            and self.method in {"*", method}
            and not (self.seconds and time.monotonic() > self.made + self.seconds)
            and self._path.search(path) is not None
            and self._agent.search(agent) is not None
        )


def error_body(service: str, status: int, message: str) -> bytes:
    """An error as the service writes it, so that SDKs find the message."""
    error: dict[str, object] = {"code": status, "message": message}
    if status == 413 and service in {"nova", "cinder"}:
        return json.dumps({"overLimit": {**error, "retryAfter": "0"}}).encode()
    forms: dict[str, dict[str, object]] = {
        "keystone": {"error": {**error, "title": "Error"}},
        "neutron": {"NeutronError": {"type": "SandboxFault", "message": message, "detail": ""}},
        "placement": {"errors": [{"status": status, "title": "Error", "detail": message}]},
        "glance": error,
    }
    return json.dumps(forms.get(service, {"computeFault": error})).encode()
