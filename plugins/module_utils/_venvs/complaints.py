# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why uv, pip, or git failed, and what to try, from what they wrote. Pure: text in, text out."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass

COMPLAINT = re.compile(r"(error|cause|caused by|fatal): *", re.IGNORECASE)  # as uv, pip, and git begin them
ADDRESS = re.compile(r"https?://(?:[^/\s'\"@]*@)?([A-Za-z0-9][A-Za-z0-9.-]*)")
# pip does not name the registry that it asks by default.
PIPS_OWN = ("pypi.org", "files.pythonhosted.org")
PROXY_URL = "egress_proxy.url (haven_egress_proxy.url in the playbooks)"


@dataclass(frozen=True)
class Trouble:
    """Something wrong with the route to a registry: how the tools tell, the reason in one clause, and what to try.

    An empty reason is the tool's own. {hosts} are those that were asked.
    """

    sign: re.Pattern[str]
    reason: str
    advice: str


def _any(*signs: str) -> re.Pattern[str]:
    return re.compile("|".join(signs), re.IGNORECASE)


_FORBIDDEN = _any("403 (Client Error: )?Forbidden", "HTTP error 403", "requested URL returned error: 403")

# The first that fits counts. Words are those of uv (reqwest, rustls), pip (urllib3), git and curl.
TROUBLES = (
    Trouble(
        _any(
            "tunnel error: unsuccessful", "CONNECT tunnel failed, response 403", "Tunnel connection failed: 403",
        ),
        "",
        "the egress proxy refuses {hosts}: have that host allowed there, or use a source that is allowed",
    ),
    # An inspecting proxy opens the tunnel, and answers in the host's place.
    Trouble(
        _FORBIDDEN,
        "",
        "{hosts} answered 403 Forbidden, or the egress proxy did: have that host allowed there, or check your access",
    ),
    Trouble(
        _any("proxy authorization required", "407 Proxy Authentication", "CONNECT tunnel failed, response 407"),
        "the egress proxy wants a user and a password, or refuses those that it was given",
        f"check {PROXY_URL}",
    ),
    Trouble(
        _any(
            "peer closed connection", "unexpected-eof", "unexpected eof", "error decoding response body",
            "IncompleteRead", "JSONDecodeError", "early EOF", "unexpected disconnect", "transfer closed with",
            "invalid index-pack output", "inflate: data stream error",
        ),
        "an answer of {hosts} ended in its middle",
        "run this again; if it ends there again, the egress proxy or the registry cuts long answers: ask its "
        "administrators",
    ),
    Trouble(
        _any("Connection reset by peer", "RemoteDisconnected", "connection closed before message completed"),
        "the connection to {hosts} was closed again and again",
        "run this again; if it is closed again, ask the administrators of the egress proxy",
    ),
    Trouble(
        _any(
            "tcp connect error", "Failed to connect to", "NewConnectionError", "dns error", "Could not resolve",
            "operation timed out", "ReadTimeoutError", "ConnectTimeoutError",
        ),
        "{hosts} cannot be reached",
        f"check {PROXY_URL}, and that the network lets this machine connect to it",
    ),
)  # fmt: skip


def explained(done: subprocess.CompletedProcess[str], advice: str) -> str:
    """Why the tool failed and what to try, without the full stop. ``advice`` is for what is not the network's fault."""
    output = f"{done.stdout}\n{done.stderr}"
    for trouble in TROUBLES:
        if trouble.sign.search(output):
            hosts = " and ".join(_hosts(output))
            why = trouble.reason.format(hosts=hosts) or reason(done)
            return f"{why}; {trouble.advice.format(hosts=hosts)}"
    return f"{reason(done)}; {advice}"


def reason(done: subprocess.CompletedProcess[str]) -> str:
    """Return the lines of a tool's output that say why it failed, as one line without the full stop."""
    lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
    told = [COMPLAINT.sub("", line) for line in lines if COMPLAINT.match(line)]
    return ": ".join(told or lines[-3:]).rstrip(".") or f"status {done.returncode}"


def _hosts(output: str) -> list[str]:
    told = (COMPLAINT.match, _FORBIDDEN.search, re.compile("Looking in").match)
    lines = [line.strip() for line in output.splitlines() if any(tells(line.strip()) for tells in told)]
    found = [host for host in ADDRESS.findall("\n".join(lines)) if host != "docs.rs"]  # rustls explains itself there
    return list(dict.fromkeys(found)) or list(PIPS_OWN)
