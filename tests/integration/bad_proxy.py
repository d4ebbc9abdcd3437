# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A proxy of the controller's network, with bad manners, in front of a cloud's API.

It sees what it passes on, as one does that inspects TLS: the APIs of these tests speak plain HTTP. Each request is a
connection of its own.
"""

from __future__ import annotations

import base64
import dataclasses
import http.client
import http.server
import re
import socket
import struct
import threading
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager

USER = "haven"
# With the characters that mean something in a URL, in a format string, and in HTTP's own login.
PASSWORD = "p@55%w:rd"
SIGN_IN = b"<!DOCTYPE html><html><body>Sign in to the network<br></body></html>"
_PORTAL = "http://portal.invalid/"
# Closing sends a reset in place of an end.
_NO_LINGER = struct.pack("ii", 1, 0)
_OF_THIS_LINK = {"connection", "proxy-connection", "keep-alive", "transfer-encoding", "content-length"}


@dataclasses.dataclass
class Manners:
    """What it does wrong.

    Of an answer that is ``cut``, which the API has given, comes a half. It is a pattern that is looked for in the
    method, address and body of the request, or '' for no answer. With ``sign_in``, a page is the answer to everything;
    ``redirects`` sends there, as many portals do.
    """

    login: bool = False
    slow_s: float = 0.0
    reset_every: int = 0
    cut: str = ""
    sign_in: bool = False
    redirects: bool = False


class BadProxy(http.server.ThreadingHTTPServer):
    """The proxy. ``asked`` is how many connections there were."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.manners = Manners()
        self.asked = 0

    def url(self, password: str = PASSWORD) -> str:
        login = f"{USER}:{urllib.parse.quote(password, safe='')}@" if self.manners.login else ""
        return f"http://{login}127.0.0.1:{self.server_address[1]}"

    def environment(self, password: str = PASSWORD) -> dict[str, str]:
        """What sends a program through it."""
        url = self.url(password)
        return {"http_proxy": url, "HTTP_PROXY": url, "no_proxy": "", "NO_PROXY": ""}

    def process_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        self.asked += 1
        if self.manners.reset_every and self.asked % self.manners.reset_every == 0:
            assert isinstance(request, socket.socket)
            request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            request.close()
            return
        super().process_request(request, client_address)

    def handle_error(self, request: object, client_address: object) -> None:
        """Who asked has hung up."""


class _Handler(http.server.BaseHTTPRequestHandler):
    server: BadProxy

    def log_message(self, format: str, *args: object) -> None:
        """pytest shows what matters."""

    def _serve(self) -> None:
        manners = self.server.manners
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        what = f"{self.command} {self.path} {body.decode(errors='replace')}"
        time.sleep(manners.slow_s)
        expected = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if manners.login and self.headers.get("Proxy-Authorization") != expected:
            self._answer(407, [("Proxy-Authenticate", 'Basic realm="network"')], SIGN_IN)
        elif self.path.startswith(_PORTAL) or (manners.sign_in and not manners.redirects):
            self._answer(200, [("Content-Type", "text/html")], SIGN_IN)
        elif manners.sign_in:
            self._answer(302, [("Location", _PORTAL)], b"")
        else:
            status, headers, answer = self._pass_on(body)
            self._answer(status, headers, answer, cut=bool(manners.cut and re.search(manners.cut, what)))

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _serve  # noqa: N815 -- names that http.server wants

    def _pass_on(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        asked = urllib.parse.urlsplit(self.path)
        api = http.client.HTTPConnection(asked.netloc, timeout=120)
        path = urllib.parse.urlunsplit(("", "", asked.path or "/", asked.query, ""))
        own = {*_OF_THIS_LINK, "proxy-authorization"}
        headers = {name: value for name, value in self.headers.items() if name.lower() not in own}
        api.request(self.command, path, body or None, headers)
        answer = api.getresponse()
        kept = [(name, value) for name, value in answer.getheaders() if name.lower() not in _OF_THIS_LINK]
        return answer.status, kept, answer.read()

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes, *, cut: bool = False) -> None:
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        if status not in (204, 304):
            self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if cut else body)
        self.close_connection = True


@contextmanager
def bad_proxy() -> Iterator[BadProxy]:
    with BadProxy() as proxy:
        threading.Thread(target=proxy.serve_forever, args=(0.05,), daemon=True).start()
        yield proxy
        proxy.shutdown()
