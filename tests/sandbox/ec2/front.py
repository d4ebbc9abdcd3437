# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands before moto: access log, latency, faults, the control endpoint."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from ..http_server import ask
from .control import Control
from .faults import Fault, error_body

if TYPE_CHECKING:
    from ..http_server import Answer
    from .access_log import AccessLog
    from .cloud import Cloud

Environ = dict[str, Any]

CREDENTIAL = re.compile(r"Credential=([^/]+)/\d+/[^/]+/([^/]+)/")
ERROR_CODE = re.compile(rb'<Code>([^<]+)</Code>|"__type": ?"([^"]+)"')


class Front:
    """The application behind the HTTP server."""

    def __init__(self, cloud: Cloud, log: AccessLog) -> None:
        self._cloud = cloud
        self._log = log
        self._control = Control(cloud, log)
        self._moto = DomainDispatcherApplication(create_backend_app)

    def __call__(self, environ: Environ, body: bytes) -> Answer | None:
        if environ["PATH_INFO"].startswith("/_control/"):
            return self._control(environ, body)
        started = time.time()
        key, service, action, params = _describe(environ, body)
        if self._cloud.faults.latency_ms:
            time.sleep(self._cloud.faults.latency_ms / 1000)
        answer = self._carry_out(environ, service, self._cloud.faults.take(action, params))
        status, _headers, content = answer or (0, [], b"")
        code = ERROR_CODE.search(content[:2000]) if status >= 400 else None
        self._log.write(
            {
                "t": round(started, 6),
                "key": key,
                "service": service,
                "action": action,
                "params": params,
                "status": status,
                "code": (code[1] or code[2]).decode() if code else None,
                "ms": round((time.time() - started) * 1000, 1),
                "bytes": len(content),
            }
        )
        return answer

    def _carry_out(self, environ: Environ, service: str, fault: Fault | None) -> Answer | None:
        if fault is None or fault.after_success:
            answer = ask(self._moto, environ)
            if fault is None or answer[0] >= 400:
                return answer
        if fault.page is not None:
            return fault.status, [("Content-Type", "text/html")], fault.page.encode()
        if not fault.code:
            return None
        content_type, body = error_body(service, fault.code, fault.message or fault.code)
        return fault.status, [("Content-Type", content_type)], body


def _describe(environ: Environ, body: bytes) -> tuple[str, str, str, dict[str, str]]:
    """The access key's id, the service, the action and the parameters of a request, as far as its protocol shows."""
    credential = CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
    key, name = credential.groups() if credential else ("?", "?")
    target = environ.get("HTTP_X_AMZ_TARGET")
    if target:
        sent = json.loads(body or b"{}")
        return key, name, target.rpartition(".")[2], {key: str(value) for key, value in sent.items()}
    params = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
    return key, name, params.get("Action") or environ["PATH_INFO"], params
