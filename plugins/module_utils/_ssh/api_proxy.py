# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An HTTP proxy on loopback, for CONNECT only, through which the SDKs reach an API that only the jump host can reach.

Each connection through it is a stream of one SSH connection. TLS runs between the SDK and the API, whose certificate is
checked against its real name. Other local users can connect to the port, but do not have the password, which exists
only in this process.
"""

from __future__ import annotations

import base64
import contextlib
import hmac
import os
import re
import secrets
import socket
import socketserver
import subprocess
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler
from typing import Any, Optional

from .._errors import Denied, HavenError, InvalidRequest, Unreachable
from .._models import Hop
from .checks import is_address
from .master import HeldConnection, held

_USER = "haven"
_BUFFER = 1 << 16
# Seconds that an SDK may take to read what the API has sent.
STALLED = 120.0
# What sshd reports if its configuration or its machine's firewall refuses the connection.
_FORBIDDEN = re.compile(r"administratively prohibited|No route to host|Permission denied|Operation not permitted")
_DESTINATION = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^:\[\]]+)):([0-9]{1,5})")


class ApiProxy:
    """The proxy, as its users see it."""

    def __init__(self, connection: HeldConnection) -> None:
        self.connection = connection
        self._secret = secrets.token_urlsafe(32)
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.proxy = self
        self._failure: Optional[HavenError] = None

    @property
    def url(self) -> str:
        """The proxy's URL for an SDK. It contains the password, so it must not get into a log or the environment."""
        return f"http://{_USER}:{self._secret}@127.0.0.1:{self._server.server_address[1]}"

    @property
    def proxies(self) -> dict[str, str]:
        """The proxy settings in the form that both SDKs accept. Plain HTTP also comes here, to be refused."""
        return {"http": self.url, "https": self.url}

    def require_tls(self, url: str) -> None:
        """Raises InvalidRequest for an endpoint without TLS, because the jump host could read the credentials."""
        if not url.lower().startswith("https://"):
            raise InvalidRequest(
                f"api_via: jump_host carries TLS only, and {url} is plain HTTP: use the API's https address."
            )

    def take_failure(self) -> Optional[HavenError]:
        """Why a stream over the jump host failed since the last call, for a caller whose connection failed."""
        failure, self._failure = self._failure, None
        return failure

    # -- for the handler

    def admits(self, authorization: str) -> bool:
        wanted = "Basic " + base64.b64encode(f"{_USER}:{self._secret}".encode()).decode()
        return hmac.compare_digest(authorization.encode("utf-8", "replace"), wanted.encode())

    def carry(self, client: socket.socket, host: str, port: int) -> None:
        """Connect the client and the host until one of them hangs up."""
        target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        # ssh makes the socket non-blocking, which Python handles only if it has a timeout.
        client.settimeout(STALLED)
        seen = os.path.getsize(self.connection.log)
        with subprocess.Popen(  # pylint: disable=ansible-bad-function
            self.connection.command("-o", "ControlMaster=no", "-W", target),
            stdin=client.fileno(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as ssh:
            answered = _copy(ssh, client)
            said = ssh.stderr.read().decode(errors="replace") if ssh.stderr else ""
            if ssh.wait() != 0 and not answered:
                # Before the client notices the end, so that it finds the reason here.
                self._failure = self._reason(target, said + self.connection.said(seen))
            # ssh waits for the client to close, and the client for the server.
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    def _reason(self, target: str, said: str) -> HavenError:
        gate = self.connection.hops[-1].host
        match = re.search(r"open failed: (?:connect failed: )?([A-Za-z ]{1,80})", said)
        if match is None:
            return Unreachable(
                f"The connection over the jump host {gate} to the API at {target} was lost: run again (nothing is made "
                "twice)."
            )
        why = match.group(1).strip()
        if _FORBIDDEN.match(why):
            return Denied(
                f"The jump host {gate} refuses connections to the API at {target} ({why}): ask its operator to permit "
                "this destination."
            )
        return Unreachable(f"The jump host {gate} cannot reach the API at {target} ({why}): check the API's address.")

    def serve(self) -> None:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextlib.contextmanager
def api_proxy(hops: Sequence[Hop]) -> Iterator[ApiProxy]:
    """A proxy over these hops for the duration of the context. Raises like :func:`master.held`."""
    if not hops:
        raise InvalidRequest("api_via: jump_host needs hops: set them (haven_hops), or use api_via: direct.")
    with held(hops) as connection:
        proxy = ApiProxy(connection)
        proxy.serve()
        try:
            yield proxy
        finally:
            proxy.close()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    # A stream that is still waiting for the API ends with the SSH connection.
    block_on_close = False
    request_queue_size = 64
    proxy: ApiProxy

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore errors from clients that hang up."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    timeout = 60

    def do_CONNECT(self) -> None:
        proxy = self.server.proxy
        self.close_connection = True
        if not proxy.admits(self.headers.get("Proxy-Authorization", "")):
            self.send_error(407)
            return
        match = _DESTINATION.fullmatch(self.path)
        host = (match.group(1) or match.group(2)) if match else ""
        if match is None or not is_address(host) or not 0 < int(match.group(3)) < 65536:
            self.send_error(400)
            return
        self.send_response_only(200)
        self.end_headers()
        proxy.carry(self.connection, host, int(match.group(3)))

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing, because requests contain the password."""


def _copy(ssh: subprocess.Popen[bytes], client: socket.socket) -> bool:
    """Forward data from the API until it ends. Return whether there was any. ssh itself reads the client's data."""
    answered = False
    stream = ssh.stdout
    if stream is None:
        return False
    with contextlib.suppress(OSError):
        while data := os.read(stream.fileno(), _BUFFER):
            answered = True
            client.sendall(data)
    return answered
