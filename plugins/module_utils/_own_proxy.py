# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The proxy that this computer's environment names, where it is why an API is not reached."""

from __future__ import annotations

import re
from typing import Optional
from urllib.parse import urlsplit
from urllib.request import getproxies_environment

from ._errors import HavenError, Obstructed, Unreachable

# As http.client and urllib3 say it.
_TUNNEL = re.compile(r"Tunnel connection failed: (\d{3})")
_NO_PROXY_THERE = re.compile(r"ProxyError|(connect|connection) to proxy", re.IGNORECASE)
# Only a proxy answers so (RFC 9110, 15.5.8): in place of the API, or of the tunnel to it.
WANTS_LOGIN = 407


def obstructed(cause: str, endpoint: str) -> Optional[HavenError]:
    """What to do about the proxy, from the words of the SDK's exception. None if the proxy is not the reason.

    Unreachable if the next try may succeed, otherwise Obstructed. In both cases the request was not sent.
    """
    refused = _TUNNEL.search(cause)
    if not refused and not _NO_PROXY_THERE.search(cause):
        return None
    variable, proxy = _named_for(endpoint)
    host = urlsplit(endpoint).hostname
    if refused is None:
        return Unreachable(
            f"{proxy} does not answer: correct {variable}, or add {host} to no_proxy if it can be reached without a "
            "proxy."
        )
    if refused.group(1) == str(WANTS_LOGIN):
        return wants_login(endpoint)
    kind = Unreachable if refused.group(1).startswith("5") else Obstructed
    return kind(
        f"{proxy} does not let this computer connect to {host} (HTTP status {refused.group(1)}): have that "
        "host allowed there, or add it to no_proxy if it can be reached without a proxy."
    )


def wants_login(endpoint: str) -> HavenError:
    """What to do about a proxy that does not know us."""
    variable, proxy = _named_for(endpoint)
    return Obstructed(
        f"{proxy} wants a user and a password, or refuses those that {variable} contains: correct them, "
        "percent-encoded."
    )


def _named_for(endpoint: str) -> tuple[str, str]:
    """The variable that names the proxy for this address, and how that proxy is called in a message."""
    scheme = urlsplit(endpoint).scheme
    proxies = getproxies_environment()
    variable = f"{scheme}_proxy" if scheme in proxies else "all_proxy"
    return variable, f"The proxy {_name(proxies.get(scheme) or proxies.get('all') or '')}in {variable}"


def _name(url: str) -> str:
    """Host and port, without a login."""
    place = urlsplit(url if "//" in url else f"//{url}").netloc.rpartition("@")[2]
    return f"{place} " if place else ""
