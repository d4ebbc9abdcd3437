# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stand-in hosts, all in one server that looks at the name it is asked for.

`python -m tests.sandbox.stand_ins.server --content DIR --certificate FILE --plain FD ... --tls FD ...`: the listeners
are inherited and keep the namespaces they were made in.
"""

from __future__ import annotations

import argparse
import http.client
import json
import mimetypes
import os
import re
import socket
import ssl
import subprocess
import threading
from collections.abc import Mapping
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from ..http_server import Answer, Handler
from .content import REPOSITORIES, hosts
from .names import ARCHIVES, RAW, SIGN_IN, TELL_ADDRESS, aws_service

# Well-formed, so that whoever parses XML takes it for an answer.
SIGN_IN_PAGE = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE html>\n<html xmlns="http://www.w3.org/1999/xhtml"><head>'
    b"<title>Sign in</title></head><body><p>Welcome to our network. Please sign in.</p>"
    b'<form action="/" method="post"><input name="user"/></form></body></html>\n'
)
_REPOSITORY = r"/(?P<owner>[\w.-]+)/(?P<name>[\w.-]+?)(?:\.git)?"
_GIT = re.compile(rf"{_REPOSITORY}/(?P<verb>info/refs|git-upload-pack)")
_ARCHIVE = re.compile(rf"{_REPOSITORY}/archive/(?P<ref>[\w./-]+?)\.tar\.gz")
_DOWNLOAD = re.compile(rf"{_REPOSITORY}/(?:legacy\.)?tar\.gz/(?P<ref>[\w./-]+)")
_RAW_FILE = re.compile(rf"{_REPOSITORY}/(?P<ref>[\w.-]+)/(?P<path>.+)")


class Hosts:
    """The application.

    content: what content.py made. ec2_port: the file with the port of the EC2 API on 127.0.0.1, once there is one.
    proxy: the address that the egress proxy is seen as.
    """

    def __init__(self, content: Path, ec2_port: Path, proxy: str) -> None:
        self._content = content.resolve()
        self._hosts = hosts(self._content)
        self._ec2_port = ec2_port
        self._proxy = proxy

    def __call__(self, environ: dict[str, Any], body: bytes) -> Answer:
        host = environ.get("HTTP_HOST", "").partition(":")[0].lower()
        if aws_service(host):
            return self._aws(environ, body)
        if host == SIGN_IN:
            return 200, [("Content-Type", "text/html; charset=utf-8")], SIGN_IN_PAGE
        if environ["REQUEST_METHOD"] not in {"GET", "HEAD"} and host != REPOSITORIES:
            return _text(405, "Only GET is answered here.\n")
        if host in TELL_ADDRESS:
            return self._address(environ)
        if host == REPOSITORIES:
            return self._repositories(environ, environ["PATH_INFO"], body)
        return self._content_of(host, environ["PATH_INFO"])

    def _content_of(self, host: str, path: str) -> Answer:
        if host == ARCHIVES and (found := _DOWNLOAD.fullmatch(path)):
            prefix = f"--prefix={found['name']}-{found['ref'].rpartition('/')[2].removeprefix('v')}/"
            return self._git(found, "archive", "--format=tar.gz", prefix, found["ref"])
        if host == RAW and (found := _RAW_FILE.fullmatch(path)):
            return self._git(found, "show", f"{found['ref']}:{found['path']}")
        return self._file(host, path)

    def _aws(self, environ: Mapping[str, Any], body: bytes) -> Answer:
        if not self._ec2_port.exists():
            return _text(503, "This sandbox has no EC2.\n")
        return _forward(int(self._ec2_port.read_text(encoding="ascii")), environ, body)

    def _address(self, environ: Mapping[str, Any]) -> Answer:
        seen = environ["REMOTE_ADDR"]
        address = self._proxy if seen.startswith("127.") else seen
        if parse_qs(environ["QUERY_STRING"]).get("format") == ["json"]:
            return 200, [("Content-Type", "application/json")], json.dumps({"ip": address}).encode()
        return _text(200, f"{address}\n")

    def _repositories(self, environ: Mapping[str, Any], path: str, body: bytes) -> Answer:
        if found := _ARCHIVE.fullmatch(path):
            where = f"https://{ARCHIVES}/{found['owner']}/{found['name']}/tar.gz/{found['ref']}"
            return 302, [("Location", where), ("Content-Type", "text/html")], b""
        found = _GIT.fullmatch(path)
        if found is None:
            return self._file(REPOSITORIES, path)
        if not self._bare(found).is_dir():
            return _text(404, "Not Found\n")  # git asks for a password when it is 401, as GitHub's is
        return _cgi(self._content / REPOSITORIES, found, environ, body)

    def _bare(self, found: re.Match[str]) -> Path:
        return self._content / REPOSITORIES / found["owner"] / f"{found['name']}.git"

    def _git(self, found: re.Match[str], *arguments: str) -> Answer:
        if not self._bare(found).is_dir():
            return _text(404, "404: Not Found")
        command = ["git", f"--git-dir={self._bare(found)}", *arguments]
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode != 0:
            return _text(404, "404: Not Found")
        return 200, [("Content-Type", "application/octet-stream")], done.stdout

    def _file(self, host: str, path: str) -> Answer:
        if host not in self._hosts:
            return _text(404, "Nobody of that name is here.\n")
        file = (self._content / host / path.lstrip("/")).resolve()
        if not file.is_relative_to(self._content / host) or not file.is_file():
            return _text(404, "Not Found\n")
        kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        return 200, [("Content-Type", kind)], file.read_bytes()


def _text(status: int, text: str) -> Answer:
    return status, [("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store")], text.encode()


def _cgi(root: Path, found: re.Match[str], environ: Mapping[str, Any], body: bytes) -> Answer:
    """What git's own server answers, a CGI program (RFC 3875)."""
    variables = {
        "PATH": os.environ["PATH"],
        "GIT_PROJECT_ROOT": str(root),
        "GIT_HTTP_EXPORT_ALL": "1",
        "GIT_PROTOCOL": environ.get("HTTP_GIT_PROTOCOL", ""),
        "PATH_INFO": f"/{found['owner']}/{found['name']}.git/{found['verb']}",
        **{name: str(environ.get(name, "")) for name in ("REQUEST_METHOD", "QUERY_STRING", "CONTENT_TYPE")},
        **{name: str(environ.get(name, "")) for name in ("CONTENT_LENGTH", "HTTP_CONTENT_ENCODING", "REMOTE_ADDR")},
    }
    done = subprocess.run(["git", "http-backend"], input=body, env=variables, capture_output=True, check=False)
    head, _, content = done.stdout.partition(b"\r\n\r\n")
    headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in head.decode().splitlines())]
    status = next((int(value.split()[0]) for name, value in headers if name == "Status"), 200)
    return status, [(name, value) for name, value in headers if name != "Status"], content


def _forward(port: int, environ: Mapping[str, Any], body: bytes) -> Answer:
    """What the EC2 API says, asked under the name that was asked for: it is part of what was signed."""
    headers = {name[5:].replace("_", "-"): value for name, value in environ.items() if name.startswith("HTTP_")}
    headers["Content-Type"] = environ["CONTENT_TYPE"]
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        link.request(environ["REQUEST_METHOD"], environ["RAW_URI"], body, headers)
        answer = link.getresponse()
        return answer.status, answer.getheaders(), answer.read()
    except OSError:
        return _text(503, "The EC2 API does not answer.\n")
    finally:
        link.close()


class Listener(ThreadingHTTPServer):
    """An inherited listener; the handshake is done in the connection's own thread, so that nobody waits for another."""

    daemon_threads = True

    def __init__(self, descriptor: int, context: ssl.SSLContext | None) -> None:
        super().__init__(("", 0), Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = socket.socket(fileno=descriptor)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self._context = context

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Answer on one connection."""
        if self._context is None:
            super().finish_request(request, client_address)
            return
        request.settimeout(60)
        with self._context.wrap_socket(request, server_side=True) as link:
            super().finish_request(link, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that does not trust the certificate, or that goes away, is no news."""


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description="Answer for hosts of the internet.")
    parser.add_argument("--content", type=Path, required=True)
    parser.add_argument("--certificate", type=Path, required=True)
    parser.add_argument("--ec2-port", type=Path, required=True)
    parser.add_argument("--proxy-address", required=True)
    parser.add_argument("--plain", type=int, action="append", default=[], metavar="FD")
    parser.add_argument("--tls", type=int, action="append", default=[], metavar="FD")
    options = parser.parse_args()
    Handler.application = staticmethod(Hosts(options.content, options.ec2_port, options.proxy_address))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(options.certificate)
    listeners = [Listener(descriptor, None) for descriptor in options.plain]
    listeners += [Listener(descriptor, context) for descriptor in options.tls]
    threads = [threading.Thread(target=listener.serve_forever, args=(60,)) for listener in listeners]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
