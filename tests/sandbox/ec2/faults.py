# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors, lost answers and slowness on demand."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

from ..faults import CountedFault

LAUNCH = "launch"  # the pseudo-action for an instance that is accepted and then never gets to run
START = "start"  # for a stopped instance whose start is accepted, and which then is stopped again


@dataclass(kw_only=True)
class Fault(CountedFault):
    """What happens to the next calls of an action.

    action: an API action, "*", "launch" (the instance goes from pending to terminated, for this reason), or "start"
        (a stopped one goes from pending to stopped).
    code, message, status: the error answered. Without a code the connection is dropped and nothing is carried out.
    page: instead of an error this text is answered with the status, as a network's sign-in page would be.
    after_success: the call is carried out; then the connection is dropped, or, with a code, that error is answered.
    match: parameters (as sent, such as InstanceType) a call must have.
    """

    action: str
    code: str = ""
    message: str = ""
    status: int = 400
    page: str | None = None
    after_success: bool = False
    match: dict[str, str] = field(default_factory=dict)

    def hits(self, action: str, params: dict[str, str]) -> bool:
        wanted = self.action == action or (self.action == "*" and action not in {LAUNCH, START})
        return wanted and self.times != 0 and all(params.get(key) == value for key, value in self.match.items())


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
