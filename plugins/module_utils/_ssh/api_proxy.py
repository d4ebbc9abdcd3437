# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lets the SDKs reach an API that only the jump host reaches: an HTTP proxy on loopback that knows CONNECT only.

Each connection through it is a stream of one SSH connection; TLS is between the SDK and the API, whose certificate is
checked against its real name. Other local users reach the port, but not the credential, which exists in this process
only and ends with it.
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
# Seconds that an SDK may take to accept what the API has sent.
STALLED = 120.0
# What sshd says where its own configuration or its machine's firewall is against it.
_FORBIDDEN = re.compile(r"administratively prohibited|No route to host|Permission denied|Operation not permitted")
_DESTINATION = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^:\[\]]+)):([0-9]{1,5})")


class ApiProxy:
    """The proxy, as those see it who use it."""

    def __init__(self, connection: HeldConnection) -> None:
        self.connection = connection
        self._secret = secrets.token_urlsafe(32)
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.proxy = self
        self._failure: Optional[HavenError] = None

    @property
    def url(self) -> str:
        """What an SDK is configured with; it holds the credential, so it goes into no log and no environment."""
        return f"http://{_USER}:{self._secret}@127.0.0.1:{self._server.server_address[1]}"

    @property
    def proxies(self) -> dict[str, str]:
        """The form both SDKs take. Plain HTTP comes here, too, to be refused."""
        return {"http": self.url, "https": self.url}

    def require_tls(self, url: str) -> None:
        """Raises InvalidRequest for an address without TLS: the jump host could read the credentials."""
        if not url.lower().startswith("https://"):
            raise InvalidRequest(
                f"api_via: jump_host carries TLS only, and {url} is plain HTTP: use the API's https address."
            )

    def take_failure(self) -> Optional[HavenError]:
        """Why a stream over the jump host failed since this was asked last; for who saw a connection fail."""
        failure, self._failure = self._failure, None
        return failure

    # -- for the handler

    def admits(self, authorization: str) -> bool:
        wanted = "Basic " + base64.b64encode(f"{_USER}:{self._secret}".encode()).decode()
        return hmac.compare_digest(authorization.encode("utf-8", "replace"), wanted.encode())

    def carry(self, client: socket.socket, host: str, port: int) -> None:
        """Let the client talk to the host until one of them has had enough."""
        target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        # With a time limit Python copes with ssh, which makes the same socket non-blocking.
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
                # Before the client learns of the end, so that it finds the reason here.
                self._failure = self._reason(target, said + self.connection.said(seen))
            # ssh waits for the client's end, and the client for the server's.
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
    """A proxy over these hops while the context lasts. Raises what :func:`master.held` raises."""
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
    # A stream that still waits for its API ends with the SSH connection.
    block_on_close = False
    request_queue_size = 64
    proxy: ApiProxy

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up in the middle is nobody's concern."""


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
        """Nothing: a request holds the credential."""


def _copy(ssh: subprocess.Popen[bytes], client: socket.socket) -> bool:
    """Pass on what comes from the API until its end; whether anything came. What the client says ssh reads itself."""
    answered = False
    stream = ssh.stdout
    if stream is None:
        return False
    with contextlib.suppress(OSError):
        while data := os.read(stream.fileno(), _BUFFER):
            answered = True
            client.sendall(data)
    return answered
