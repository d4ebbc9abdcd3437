# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of a proxy that does not do what it should, before anything depends on it."""

from __future__ import annotations

import base64
import datetime
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ansible_collections.haven.gpu.plugins.module_utils import _proxy_check
from ansible_collections.haven.gpu.plugins.module_utils._proxy_check import (
    Proxy,
    ProxyError,
    apt_source,
    index_source,
    is_direct,
)

APT = apt_source("http://deb.example.org/debian/", "bookworm")
INDEX = index_source("https://pypi.example.org/simple/")
SIGNED = b"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n" + b"x" * 200_000
PAGE = b"<html><head><title>Sign in\x1b[2J\n here</title></head></html>"
LOGIN = "haven:p%4055%25w%3Ard"


class Fake:
    """A proxy: `answer` is (status, kind, body) for what is asked for through it, `connect` the status of a tunnel."""

    def __init__(self) -> None:
        self.answer: tuple[int, str, bytes] = (200, "text/plain", SIGNED)
        self.connect = 200
        self.login = ""
        self.resets = 0
        self.asked: list[str] = []
        self.context: ssl.SSLContext | None = None
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                fake.asked.append(self.path)
                if not self._may():
                    return
                status, kind, body = fake.answer
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                try:
                    self.wfile.write(body)
                except OSError:  # it has read enough
                    self.close_connection = True

            def do_CONNECT(self) -> None:
                fake.asked.append(self.path)
                if not self._may():
                    return
                self.send_response(fake.connect)
                self.send_header("Content-Length", "0")
                self.end_headers()
                self.wfile.flush()
                if fake.connect == 200 and fake.context:
                    fake.login = ""  # what is inside of the tunnel goes to somebody else
                    try:
                        with fake.context.wrap_socket(self.connection, server_side=True) as inside:
                            Handler(inside, self.client_address, self.server)
                    except OSError:  # it does not trust us
                        pass
                    self.close_connection = True

            def _may(self) -> bool:
                wanted = base64.b64encode(fake.login.encode()).decode()
                if fake.login and self.headers.get("Proxy-Authorization") != f"Basic {wanted}":
                    self.send_response(407)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return False
                return True

            def log_message(self, format: str, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def get_request(self) -> tuple[socket.socket, Any]:
                link, who = super().get_request()
                if fake.resets:
                    fake.resets -= 1
                    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    link.close()
                    raise ConnectionResetError
                return link, who

            def handle_error(self, request: Any, client_address: Any) -> None:
                """A client that goes away is what some of these tests are about."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_port}"

    def url(self, login: str = "") -> str:
        return f"http://{login}@{self.address}" if login else f"http://{self.address}"


@pytest.fixture
def fake() -> Iterator[Fake]:
    made = Fake()
    threading.Thread(target=made.server.serve_forever, args=(0.01,), daemon=True).start()
    yield made
    made.server.shutdown()
    made.server.server_close()


def certificate() -> tuple[bytes, bytes]:
    """A certificate for the index that vouches for itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "pypi.example.org")])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(now - datetime.timedelta(days=1))
    made = made.not_valid_after(now + datetime.timedelta(days=1))
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName("pypi.example.org")]), critical=False)
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    pem = made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return pem, secret


@pytest.fixture
def inspecting(fake: Fake, tmp_path: Path) -> tuple[Fake, str]:
    """The proxy with a certificate of its own for the index; and that certificate."""
    pem, secret = certificate()
    (tmp_path / "pair.pem").write_bytes(pem + secret)
    fake.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    fake.context.load_cert_chain(tmp_path / "pair.pem")
    fake.answer = (200, "text/html", b'<a href="pip-26.0.whl">')
    return fake, pem.decode()


def check(url: str, source: _proxy_check.Source = APT, ca: str = "") -> bool:
    return _proxy_check.check(Proxy.of(url), source, ca, 5)


def complaint(url: str, source: _proxy_check.Source = APT, ca: str = "") -> str:
    with pytest.raises(ProxyError) as raised:
        check(url, source, ca)
    return str(raised.value)


def test_a_good_proxy_is_asked_once(fake: Fake) -> None:
    assert check(fake.url())
    assert fake.asked == ["http://deb.example.org/debian/dists/bookworm/InRelease"]


def test_a_login_with_odd_characters_arrives_as_it_is_meant(fake: Fake) -> None:
    fake.login = "haven:p@55%w:rd"
    assert check(fake.url(LOGIN))


def test_a_login_goes_to_the_proxy_and_not_into_the_tunnel(inspecting: tuple[Fake, str]) -> None:
    fake, ca = inspecting
    fake.login = "haven:p@55%w:rd"
    assert check(fake.url(LOGIN), INDEX, ca)


@pytest.mark.parametrize("source", [APT, INDEX])
def test_a_login_that_is_missing_or_wrong_is_said_and_never_shown(fake: Fake, source: _proxy_check.Source) -> None:
    fake.login = "haven:another"
    assert "wants a user and a password" in complaint(fake.url(), source)
    said = complaint(fake.url(LOGIN), source)
    assert "refuses the user and password" in said
    assert "percent-encoded" in said
    assert not [word for word in ("p@55", "p%4055", "haven:") if word in said]


@pytest.mark.parametrize("kind", ["text/html", "application/xhtml+xml"])
def test_a_page_to_sign_in_is_named_by_its_title(fake: Fake, kind: str) -> None:
    fake.answer = (200, kind, PAGE)
    said = complaint(fake.url())
    assert "answers with a web page (Sign in[2J here) instead of the list of packages of deb.example.org" in said
    assert "\x1b" not in said


def test_a_page_to_sign_in_in_a_tunnel_is_told_from_the_page_of_an_index(inspecting: tuple[Fake, str]) -> None:
    fake, ca = inspecting
    assert check(fake.url(), INDEX, ca)
    fake.answer = (200, "text/html", PAGE)
    assert "web page (Sign in" in complaint(fake.url(), INDEX, ca)


@pytest.mark.parametrize("status", [403, 404, 500, 503])
def test_a_source_that_is_refused_is_no_reason_to_stop(fake: Fake, status: int) -> None:
    fake.answer = (status, "text/html", PAGE)
    assert not check(fake.url())
    fake.connect = status
    assert not check(fake.url(), INDEX)


def test_another_authority_than_the_proxys_is_said(inspecting: tuple[Fake, str]) -> None:
    fake, dummy = inspecting
    assert "set egress_proxy.ca" in complaint(fake.url(), INDEX)
    assert "is not the authority that signed it" in complaint(fake.url(), INDEX, certificate()[0].decode())


def test_a_reset_now_and_then_is_no_reason_to_stop(fake: Fake) -> None:
    fake.resets = 2
    assert check(fake.url())
    fake.resets = 3
    assert "does not answer this machine" in complaint(fake.url())


def closed() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://{LOGIN}@127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize(
    ("url", "why"),
    [(closed, "Connection refused"), (lambda: f"http://{LOGIN}@proxy.invalid:3128", "is not known on this machine")],
)
def test_a_proxy_that_is_not_there_is_named_without_its_password(url: Callable[[], str], why: str) -> None:
    said = complaint(url())
    assert why in said
    assert "haven_egress_proxy.url" in said
    assert "p%40" not in said


@pytest.mark.parametrize(
    ("host", "direct"),
    [("pypi.org", False), ("a.internal", True), ("internal", True), ("xinternal", False), ("10.0.0.9", True)],
)
def test_what_is_reached_directly_is_not_asked_for(host: str, direct: bool) -> None:
    assert is_direct(host, [".internal", "10.0.0.9", ""]) is direct
