# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands before each service: the access log, faults, and a control endpoint of the process's own."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from ..control import PREFIX, ControlEndpoint, Verbs
from ..faults import Faults
from ..http_server import Answer, ask
from .faults import Fault, error_body

Environ = dict[str, Any]


class AccessLog:
    """One file for all services: whole lines are appended in one step.

    An entry: t (seconds since the epoch at the start of the request), service, method, path (with its query), status
    (0 when the connection was dropped), ms, bytes (of the answer's body), agent (User-Agent), user (the id of whose
    token it was, null without one), request (its id).
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def write(self, entry: dict[str, Any]) -> None:
        """Append a line."""
        os.write(self._file, json.dumps(entry, separators=(",", ":")).encode() + b"\n")


class Front:
    """The application behind a service's HTTP server; verbs: control requests beside those every service has;
    a reset among them is done too."""

    def __init__(self, service: str, application: Any, log: AccessLog, verbs: Verbs) -> None:
        self._service = service
        self._application = application
        self._log = log
        self._faults = Faults(Fault)
        self._control = ControlEndpoint(
            {
                ("POST", "fault"): self._faults.add,
                ("POST", "latency"): self._set_latency,
                **verbs,
                ("POST", "reset"): self._reset,
            }
        )
        self._reset_more = verbs.get(("POST", "reset"))

    def __call__(self, environ: Environ, body: bytes) -> Answer | None:
        if environ["PATH_INFO"].startswith(PREFIX):
            return self._control(environ, body)
        started = time.time()
        method, path, agent = environ["REQUEST_METHOD"], environ["RAW_URI"], environ.get("HTTP_USER_AGENT", "")
        answer = self._carry_out(environ, self._faults.take(self._service, method, path, agent))
        status, headers, content = answer or (0, [], b"")
        entry = {
            "t": round(started, 6),
            "service": self._service,
            "method": method,
            "path": path,
            "status": status,
            "ms": round((time.time() - started) * 1000, 1),
            "bytes": len(content),
            "agent": agent,
            # What keystonemiddleware found out.
            "user": environ.get("HTTP_X_USER_ID"),
            "request": next((value for name, value in headers if name.lower() == "x-openstack-request-id"), None),
        }
        self._log.write(entry)
        return answer

    def _carry_out(self, environ: Environ, fault: Fault | None) -> Answer | None:
        late_ms = fault.delay_ms if fault else 0.0
        before_ms, after_ms = (0.0, late_ms) if fault and fault.after_success else (late_ms, 0.0)
        time.sleep((self._faults.latency_ms + before_ms) / 1000)
        replaced = fault is not None and (fault.status or fault.drop or fault.page is not None)
        if fault is None or fault.after_success or not replaced:
            answer = ask(self._application, environ)
            time.sleep(after_ms / 1000)
            if fault is None or not replaced or answer[0] >= 400:
                return answer
        if fault.drop:
            return None
        if fault.page is not None:
            return fault.status or 200, [("Content-Type", "text/html")], fault.page.encode()
        body = error_body(self._service, fault.status, fault.message)
        headers = [("Content-Type", "application/json")]
        if fault.retry_after:
            headers.append(("Retry-After", fault.retry_after))
        return fault.status, headers, body

    def _reset(self, asked: dict[str, Any]) -> None:
        self._faults.clear()
        if self._reset_more:
            self._reset_more(asked)

    def _set_latency(self, asked: dict[str, Any]) -> None:
        self._faults.latency_ms = float(asked["ms"])
