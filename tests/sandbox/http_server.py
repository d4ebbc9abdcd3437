# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTP server: connections are kept and answers leave at once.

werkzeug's own closes each connection and waits ten milliseconds after each answer, most of what a
bench would measure.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any, ClassVar, cast
from urllib.parse import unquote, urlsplit

Answer = tuple[int, list[tuple[str, str]], bytes]
Application = Callable[[dict[str, Any], bytes], "Answer | None"]
"""From a WSGI environment and the request's body to the answer; None drops the connection."""


def ask(application: Any, environ: dict[str, Any]) -> Answer:
    """The answer of a WSGI application."""
    seen: list[Any] = []

    def remember(status: str, headers: list[tuple[str, str]], _info: Any = None) -> Callable[[bytes], None]:
        seen[:] = [int(status.split(maxsplit=1)[0]), headers]
        return lambda _data: None

    answer = application(environ, remember)
    try:
        body = b"".join(answer)
    finally:
        if hasattr(answer, "close"):
            answer.close()
    return seen[0], seen[1], body


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 65536  # head and body in one segment
    application: ClassVar[Application]

    def _answer(self) -> None:
        body = self._body()
        answer = type(self).application(self._environ(body), body)
        if answer is None:
            self.close_connection = True
            return
        status, headers, content = answer
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in {"content-length", "connection", "transfer-encoding"}:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = BytesIO()
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            body.write(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():  # trailers
            pass
        return body.getvalue()

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = do_OPTIONS = _answer  # noqa: N815 - http.server's names

    def handle_expect_100(self) -> bool:
        """The client waits for this line before it sends the body."""
        proceed = super().handle_expect_100()
        self.wfile.flush()
        return proceed

    def _environ(self, body: bytes) -> dict[str, Any]:
        url = urlsplit(self.path)
        environ: dict[str, Any] = {
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": BytesIO(body),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            "REQUEST_METHOD": self.command,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote(url.path, "latin-1"),  # PEP 3333's way to hand over bytes
            "QUERY_STRING": url.query,
            "REQUEST_URI": self.path,
            "RAW_URI": self.path,
            "REMOTE_ADDR": self.client_address[0],
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": str(cast(Server, self.server).server_port),
            "SERVER_PROTOCOL": self.request_version,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
        }
        for name, value in self.headers.items():
            key = name.upper().replace("-", "_")
            if key not in {"CONTENT_TYPE", "CONTENT_LENGTH", "TRANSFER_ENCODING"}:
                environ[f"HTTP_{key}"] = value
        return environ

    def log_message(self, format: str, *args: Any) -> None:
        """The access log has it."""


class Server(ThreadingHTTPServer):
    """On 127.0.0.1 only, a thread for each connection."""

    daemon_threads = True
    request_queue_size = 256
    allow_reuse_port = True  # whoever keeps the port for a server that is started again has it too

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), Handler)

    def serve(self, application: Application) -> None:
        """Answer until the process ends."""
        Handler.application = staticmethod(application)
        self.serve_forever(poll_interval=60)
