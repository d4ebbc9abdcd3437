# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ways out of the private network: the egress proxy as it should be, and as proxies are.

All of them are the same squid with the same allow-list and the same authority, each at a port of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from .firewall import PROXY_PORTS

USER = "haven"
# With the characters that mean something in a URL, in a format string, and in HTTP's own login.
PASSWORD = "p@55%w:rd"
SLOW_S = 2


@dataclass(frozen=True)
class Way:
    """A port of the proxy: squid's name for where it listens, how the wire to it behaves (relay.py), a login or ''."""

    name: str
    port: int
    squid: str = "plain"
    wire: str = ""
    login: str = ""

    @property
    def variable(self) -> str:
        """Which variable of <dir>/env has its URL."""
        return f"HAVEN_SANDBOX_PROXY_{self.name.upper()}_URL" if self.name else "HAVEN_SANDBOX_PROXY_URL"

    def url(self, host: str) -> str:
        """Where it is found at an address."""
        return f"http://{self.login}{host}:{self.port}"


def _ways() -> tuple[Way, ...]:
    plain, login, slow, resetting, cutting, sign_in = range(PROXY_PORTS[0], PROXY_PORTS[1] + 1)
    return (
        Way("", plain),
        # It wants a name and a password.
        Way("login", login, squid="login", login=f"{USER}:{quote(PASSWORD, safe='')}@"),
        # It takes its time for each request.
        Way("slow", slow, squid="slow"),
        # Every tenth connection is reset at once.
        Way("resetting", resetting, wire="resetting"),
        # Connections end in the middle of a bigger answer.
        Way("cutting", cutting, wire="cutting"),
        # Whatever is asked for, the answer is a page to sign in.
        Way("sign_in", sign_in, squid="sign_in"),
    )


WAYS = _ways()
SQUID_PORTS = tuple(dict.fromkeys(way.squid for way in WAYS))
