# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask an egress proxy for what package managers ask for, and say what is wrong with it. No ansible-core in here."""

from __future__ import annotations

import base64
import html
import http.client
import re
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional
from urllib.parse import SplitResult, unquote, urlsplit

from ._errors import HavenError, one_line

_TRIES = 3  # a proxy that resets a connection now and then is no reason to stop
_ENOUGH = 1 << 16  # bytes of an answer that show what it is
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_TUNNEL = re.compile(r"Tunnel connection failed: (\d{3})")
_WANTS_LOGIN = 407
_JSON = "application/vnd.pypi.simple.v1+json"


class ProxyError(HavenError):
    """The proxy cannot be used; the message says why, and what to try."""


@dataclass(frozen=True)
class Proxy:
    """Where it is, and its login, decoded; an empty user is none."""

    host: str
    port: int
    tls: bool
    user: str
    password: str

    @classmethod
    def of(cls, url: str) -> Proxy:
        """Read http://[user:password@]host:port."""
        parts = urlsplit(url)
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        return cls(parts.hostname or "", parts.port or 3128, parts.scheme == "https", user, password)

    @property
    def name(self) -> str:
        """What it is called in messages, without its login."""
        return f"{self.host}:{self.port}"

    @property
    def headers(self) -> dict[str, str]:
        """The header that logs in, if any."""
        if not self.user:
            return {}
        login = base64.b64encode(f"{self.user}:{self.password}".encode()).decode("ascii")
        return {"Proxy-Authorization": f"Basic {login}"}


@dataclass(frozen=True)
class Source:
    """Something to ask for: its URL, what it is in words, and text that every true answer contains."""

    url: str
    what: str
    sign: bytes

    @property
    def host(self) -> str:
        """Whom it is asked of."""
        return urlsplit(self.url).hostname or ""


def apt_source(uri: str, release: str) -> Source:
    """A repository of apt, by the signed list of its lists."""
    url = f"{uri.rstrip('/')}/dists/{release}/InRelease"
    return Source(url, "the list of packages", b"-----BEGIN PGP SIGNED MESSAGE-----")


def index_source(index: str) -> Source:
    """An index of Python packages (PEP 503, PEP 691), by the page of pip, which every index has."""
    return Source(f"{index.rstrip('/')}/pip/", "the list of packages", b"pip-")


def is_direct(host: str, no_proxy: Sequence[str]) -> bool:
    """Whether a host is reached without the proxy."""
    return any(host == each.lstrip(".") or host.endswith("." + each.lstrip(".")) for each in no_proxy if each)


def check(proxy: Proxy, source: Source, ca: str, timeout: float) -> bool:
    """Ask for it. Returns whether the proxy lets this machine have it; ProxyError if the proxy cannot be used at all.

    ca: the certificate (PEM) of an authority to trust besides the system's; timeout: seconds without a byte.
    """
    url = urlsplit(source.url)
    if proxy.tls and url.scheme == "https":
        return True  # http.client speaks no TLS inside of TLS
    for tries_left in reversed(range(_TRIES)):
        try:
            status, kind, body = _ask(proxy, url, ca, timeout)
        except ssl.SSLCertVerificationError as error:
            raise _untrusted(proxy, source, ca, error) from error
        except socket.gaierror as error:
            raise ProxyError(
                f"The name of the egress proxy {proxy.name} is not known on this machine: "
                "check egress_proxy.url (haven_egress_proxy.url in the playbooks), or give its address."
            ) from error
        except (OSError, http.client.HTTPException) as error:
            refused = _TUNNEL.search(str(error))
            if refused:
                return _judge(proxy, source, int(refused.group(1)), "", b"")
            if not tries_left:
                raise _unreachable(proxy, error) from error
        else:
            return _judge(proxy, source, status, kind, body)
    raise AssertionError("the last try returns or raises")


def _ask(proxy: Proxy, url: SplitResult, ca: str, timeout: float) -> tuple[int, str, bytes]:
    """The status, the kind of content, and the beginning of the content."""
    context = ssl.create_default_context()
    if ca:
        context.load_verify_locations(cadata=ca)
    headers = {"Accept": f"{_JSON}, text/html;q=0.5, */*;q=0.1", "User-Agent": "haven.gpu"}
    target = url.path or "/"
    if url.scheme == "https" or proxy.tls:
        link: http.client.HTTPConnection = http.client.HTTPSConnection(
            proxy.host, proxy.port, timeout=timeout, context=context
        )
    else:
        link = http.client.HTTPConnection(proxy.host, proxy.port, timeout=timeout)
    if url.scheme == "https":
        link.set_tunnel(url.hostname or "", url.port or 443, headers=proxy.headers)
    else:
        target = url.geturl()
        headers.update(proxy.headers)
    try:
        link.request("GET", target, headers=headers)
        answer = link.getresponse()
        return answer.status, answer.headers.get_content_type(), answer.read(_ENOUGH)
    finally:
        link.close()


def _judge(proxy: Proxy, source: Source, status: int, kind: str, body: bytes) -> bool:
    if status == _WANTS_LOGIN:
        if proxy.user:
            raise ProxyError(
                f"The egress proxy {proxy.name} refuses the user and password of egress_proxy.url "
                "(haven_egress_proxy.url in the playbooks): check both, and that they are percent-encoded."
            )
        raise ProxyError(
            f"The egress proxy {proxy.name} wants a user and a password: set egress_proxy.url (haven_egress_proxy.url "
            f"in the playbooks) to http://user:password@{proxy.name}, percent-encoded, and keep it in a vault."
        )
    if status == http.client.OK and source.sign not in body and kind in ("text/html", "application/xhtml+xml"):
        raise ProxyError(
            f"The egress proxy {proxy.name} answers with a web page{_title(body)} instead of {source.what} of "
            f"{source.host}: sign this machine in on that page, or have it exempted, and run this again."
        )
    return status == http.client.OK


def _title(body: bytes) -> str:
    found = _TITLE.search(body.decode("utf-8", "replace"))
    words = one_line(html.unescape(found.group(1)))[:60] if found else ""
    return f" ({words})" if words else ""


def _untrusted(proxy: Proxy, source: Source, ca: str, error: ssl.SSLCertVerificationError) -> ProxyError:
    cause = f"The certificate for {source.host} that comes through the egress proxy {proxy.name} is not trusted"
    advice = (
        "egress_proxy.ca (haven_egress_proxy.ca in the playbooks) is not the authority that signed it: ask the proxy's "
        "administrators for the right one."
        if ca
        else "if the proxy inspects traffic, set egress_proxy.ca (haven_egress_proxy.ca in the playbooks) to its "
        "certificate authority."
    )
    return ProxyError(f"{cause} ({error.verify_message}); {advice}")


def _unreachable(proxy: Proxy, error: Exception) -> ProxyError:
    why: Optional[str] = error.strerror if isinstance(error, OSError) else None
    return ProxyError(
        f"The egress proxy {proxy.name} does not answer this machine ({why or error or type(error).__name__}): check "
        "egress_proxy.url (haven_egress_proxy.url in the playbooks), and that the network lets this machine connect "
        "to it."
    )
