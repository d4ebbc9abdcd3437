# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cloud's metadata address as a guest sees it: IMDSv2, a token first, then what the machine is."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import socket
from threading import Thread

_TOKEN_TTL = "X-aws-ec2-metadata-token-ttl-seconds"
_TOKEN = "X-aws-ec2-metadata-token"  # a header's name


@dataclass(frozen=True)
class Facts:
    """What the metadata address tells a guest about itself."""

    instance_id: str
    hostname: str
    private_address: str
    public_address: str

    def answer(self, path: str) -> str | None:
        """The text behind a path below /latest/meta-data/; None when there is nothing."""
        entries = {
            "instance-id": self.instance_id,
            "local-hostname": self.hostname,
            "hostname": self.hostname,
            "local-ipv4": self.private_address,
            "public-ipv4": self.public_address,
        }
        if path == "":
            return "\n".join(sorted(key for key, value in entries.items() if value))
        return entries.get(path) or None


def serve(listener: socket, find: Callable[[str], Facts | None]) -> None:
    """Answer on a listener, in threads; find gives the facts of the guest with an address."""
    token = secrets.token_urlsafe(32)

    class Handler(BaseHTTPRequestHandler):
        server_version = "EC2ws"
        sys_version = ""

        def do_PUT(self) -> None:
            if self.path != "/latest/api/token" or not self.headers.get(_TOKEN_TTL, "").isdigit():
                self._say(400, "")
            else:
                self._say(200, token, {_TOKEN_TTL: self.headers[_TOKEN_TTL]})

        def do_GET(self) -> None:
            if not hmac.compare_digest(self.headers.get(_TOKEN, "").encode(), token.encode()):
                self._say(401, "")
                return
            prefix = "/latest/meta-data/"
            facts = find(self.client_address[0])
            text = facts.answer(self.path[len(prefix) :]) if facts and self.path.startswith(prefix) else None
            if text is None:
                self._say(404, "")
            else:
                self._say(200, text)

        def _say(self, status: int, text: str, headers: dict[str, str] | None = None) -> None:
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(body)))
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: the supervisor's log is for what goes wrong."""

    server = ThreadingHTTPServer(listener.getsockname(), Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = listener
    Thread(target=server.serve_forever, name="metadata", daemon=True).start()
