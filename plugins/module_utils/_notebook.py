# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client for a notebook server behind an SSH tunnel, which does what a browser does.

The server listens on a unix socket, and so does our end of the tunnel (mode 0600 in a 0700 folder). Unlike a TCP port,
nobody else on the controller can use it.
"""

from __future__ import annotations

import contextlib
import http.client
import http.cookiejar
import json
import os
import shutil
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterator
from typing import Any

from ._errors import NotebookError
from ._progress import progress
from ._ssh.files import socket_folder
from ._ssh.proxy_helper import told

# The host name that a browser behind `ssh -L 8888:...` uses. The server accepts no other.
SITE = "localhost:8888"
ORIGIN = f"http://{SITE}"


@contextlib.contextmanager
def tunnel(ssh_config: str, alias: str, user: str, timeout: float) -> Iterator[str]:
    """Forward a private local socket to the notebook of `user` on `alias`, and yield its path.

    SSH logs in as `user`, because nobody else can open the socket there. Strict host key checking and the hops come
    from `ssh_config` alone.
    """
    folder = socket_folder()
    local = os.path.join(folder, "s")
    command = ["ssh", "-F", ssh_config, "-N", "-T", "-S", "none", "-o", "BatchMode=yes"]
    # One in the user's own configuration, for all hosts, fails while another ssh has its port. Ours cannot.
    command += ["-o", "ExitOnForwardFailure=no", "-l", user]
    command += ["-L", f"{local}:/run/haven/{user}/jupyter.sock", "--", alias]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        _await_tunnel(process, local, alias, timeout)
        yield local
    finally:
        process.terminate()
        with process:  # waits, and closes its pipe
            shutil.rmtree(folder)


def _await_tunnel(process: subprocess.Popen[bytes], local: str, alias: str, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    progress.begins(f"opens a tunnel to {alias}")
    while not os.path.exists(local):
        if process.poll() is not None:
            said = process.stderr.read() if process.stderr else b""
            # For an unexpected host key, the details are in our own line before ssh's last line.
            reason = told(said.decode(errors="replace")).rstrip(".") or "no reason given"
            raise NotebookError(f"ssh could not open a tunnel to {alias}: {reason}.")
        if time.monotonic() > deadline:
            raise NotebookError(f"ssh opened no tunnel to {alias} in {timeout:.0f} s; try `ssh {alias}` in a terminal.")
        time.sleep(0.05)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, tls: bool, host: str, timeout: float) -> None:
        super().__init__(host, timeout=timeout)
        self._path = path
        self._tls = tls

    def connect(self) -> None:
        self.sock = _connect(self._path, self._tls, float(self.timeout or 60))


class _UnixHandler(urllib.request.HTTPHandler):
    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        def connection(host: str, timeout: float = 60, **_: Any) -> _UnixConnection:
            return _UnixConnection(self._path, req.type == "https", host, timeout)

        return self.do_open(connection, req)

    # urllib finds these methods by name. It sends cookies marked "Secure" only with requests of this scheme.
    https_open = http_open
    https_request = urllib.request.HTTPHandler.http_request


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Return redirects, to the login form or away from it, as answers."""


class Notebook:
    """A client of the server behind the unix socket `path`; `tls` if the server uses TLS on it.

    Source of the paths: https://jupyter-server.readthedocs.io/en/latest/developers/rest-api.html
    """

    def __init__(self, path: str, timeout: float, tls: bool = False) -> None:
        self._path = path
        self._tls = tls
        self._origin = f"https://{SITE}" if tls else ORIGIN
        self._timeout = timeout
        self._cookies = http.cookiejar.CookieJar()
        self._opener = urllib.request.OpenerDirector()
        for handler in (
            _UnixHandler(path),
            urllib.request.HTTPCookieProcessor(self._cookies),
            _NoRedirect(),
            urllib.request.HTTPErrorProcessor(),
            urllib.request.HTTPDefaultErrorHandler(),
        ):
            self._opener.add_handler(handler)

    def request(
        self, method: str, path: str, data: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        """Send a request and return (status, body). Redirects are not followed."""
        request = urllib.request.Request(self._origin + path, data=data, method=method, headers=headers or {})  # noqa: S310  # ours
        if self.cookie("_xsrf"):
            request.add_header("X-XSRFToken", self.cookie("_xsrf"))
        try:
            with self._opener.open(request, timeout=self._timeout) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()
        except (OSError, http.client.HTTPException) as error:
            raise NotebookError(f"The notebook server did not answer {method} {path}: {error}.") from error

    def cookie(self, name: str) -> str:
        """The value of a cookie that the server set, or an empty string."""
        return next((c.value or "" for c in self._cookies if c.name == name), "")

    def json(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Return the decoded answer of one API call. Raises unless the status is 2xx."""
        data = None if body is None else json.dumps(body).encode()
        status, answer = self.request(method, path, data, {"Content-Type": "application/json"})
        if status // 100 != 2:
            raise NotebookError(f"The notebook server answered {method} {path} with status {status}.")
        try:
            return json.loads(answer) if answer else None
        except ValueError as error:
            raise NotebookError(f"The notebook server did not answer {method} {path} with JSON.") from error

    def await_answer(self) -> None:
        """Wait until the server answers. It takes a moment if it is restarting or socket-activated."""
        deadline = time.monotonic() + self._timeout
        progress.begins("waits for the notebook server")
        while True:
            try:
                self.request("GET", "/login")
                return
            except NotebookError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def login(self, password: str) -> None:
        """Log in with the form, like a browser."""
        self.request("GET", "/login")
        form = urllib.parse.urlencode({"_xsrf": self.cookie("_xsrf"), "password": password}).encode()
        status, dummy = self.request("POST", "/login", form, {"Content-Type": "application/x-www-form-urlencoded"})
        if status != 302:
            raise NotebookError(
                f"The notebook server refused the password (status {status}); run the jupyter role again "
                "with the password you use here."
            )

    def run_cell(self, code: str) -> str:
        """Run one cell in a new kernel over its websocket, shut the kernel down, and return what the cell printed."""
        progress.begins("starts a kernel and runs a cell")
        kernel = self.json("POST", "/api/kernels", {})["id"]
        try:
            return self._execute(kernel, code)
        finally:
            self.json("DELETE", f"/api/kernels/{kernel}")

    def _execute(self, kernel: str, code: str) -> str:
        import websocket

        url = f"{self._origin.replace('http', 'ws', 1)}/api/kernels/{kernel}/channels"
        cookies = "; ".join(f"{c.name}={c.value}" for c in self._cookies)
        try:
            channel = websocket.create_connection(
                url,
                socket=_connect(self._path, self._tls, self._timeout),
                cookie=cookies,
                origin=self._origin,
                timeout=self._timeout,
            )
            with contextlib.closing(channel):
                request = _execute_request(code)
                channel.send(json.dumps(request))
                return _collect_output(channel, request["header"]["msg_id"], time.monotonic() + self._timeout)
        except (OSError, websocket.WebSocketException) as error:
            raise NotebookError(f"The kernel did not answer over its websocket: {error}.") from error


def _connect(path: str, tls: bool, timeout: float) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(timeout)
    sock.connect(path)
    if not tls:
        return sock
    # SSH has verified the host, and the socket's mode its owner. The certificate is only for users of the port.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(sock)


def _execute_request(code: str) -> dict[str, Any]:
    """An execute_request. Source: https://jupyter-client.readthedocs.io/en/stable/messaging.html."""
    header = {"msg_id": uuid.uuid4().hex, "msg_type": "execute_request", "version": "5.3", "session": uuid.uuid4().hex}
    header.update(username="haven", date="")
    content = {"code": code, "silent": False, "store_history": False, "allow_stdin": False, "stop_on_error": True}
    return {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}


def _collect_output(channel: Any, request: str, deadline: float) -> str:
    """Return what the cell wrote to stdout, once the kernel has both replied and become idle, in either order."""
    text, error, pending = "", "", {"execute_reply", "idle"}
    while pending:
        # The server's pings reset the receive timeout, so without our own deadline this could wait forever.
        if time.monotonic() > deadline:
            raise NotebookError("The kernel did not finish the cell in time; raise the timeout or look at its log.")
        message = json.loads(channel.recv())
        if message["parent_header"].get("msg_id") != request:
            continue  # the new kernel's own messages
        kind, content = message["msg_type"], message["content"]
        if kind == "stream" and content["name"] == "stdout":
            text += content["text"]
        elif kind == "error":
            error = f"{content['ename']}: {content['evalue']}"
        pending.discard(content.get("execution_state", kind) if kind == "status" else kind)
    if error:
        raise NotebookError(f"The cell failed: {error}.")
    return text
