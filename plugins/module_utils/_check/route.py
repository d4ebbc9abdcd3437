# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks that the hops answer, and that the proxy can be reached from the last one."""

from __future__ import annotations

import os
import socket
from collections.abc import Collection, Sequence
from typing import Optional
from urllib.parse import urlsplit

from .._errors import HavenError
from .._findings import ok, unknown, wrong
from .._models import Finding, Hop, Instance, Spec
from .._ssh.hops import HopLookup, WantedHop, found
from .._ssh.master import HeldConnection, held
from .keys import is_path, read, wants_touch

_PROXY = "egress proxy"
# Seconds for an answer through the hops.
_SECONDS = 3.0
_NOT_HIS_TO_SAY = "administratively prohibited"


def check(
    wanted: Sequence[WantedHop], instances: Sequence[Instance], planned: Collection[Spec], proxy: Optional[str]
) -> list[Finding]:
    """Check each hop, outermost first. ``planned`` are the instances that run at the end of this run."""
    hops, findings = _known(wanted, instances, planned)
    faults = [_fault(hop, first=index == 0) for index, hop in enumerate(hops)]
    findings = [*filter(None, faults), *findings]
    if any(faults):
        return [*findings, *_not_asked(proxy, "the jump hosts have to answer first")]
    if not hops:
        return [*findings, *_not_asked(proxy, "no jump host can be asked yet")]
    if any(wants_touch(hop.key) for hop in hops):
        asked = [unknown(_about(hop), "its key wants a touch, so nothing was tried") for hop in hops]
        return [*asked, *findings, *_not_asked(proxy, "the jump host's key wants a touch")]
    if len(hops) < len(wanted):
        return [*_log_in(hops, None), *findings, *_not_asked(proxy, "the last jump host cannot be asked yet")]
    return [*_log_in(hops, proxy), *findings]


def _about(hop: Hop) -> str:
    return f"jump host {hop.host}"


def _not_asked(proxy: Optional[str], why: str) -> list[Finding]:
    return [unknown(_PROXY, why)] if proxy else []


def _known(
    wanted: Sequence[WantedHop], instances: Sequence[Instance], planned: Collection[Spec]
) -> tuple[tuple[Hop, ...], list[Finding]]:
    """The hops up to the first one that does not run yet, and what there is to say about that one."""
    hops: tuple[Hop, ...] = ()
    for count, each in enumerate(wanted, start=1):
        try:
            hops = found(wanted[:count], instances).hops
        except HavenError as error:
            about = f"jump host {each.shown if isinstance(each, HopLookup) else each.host}"
            comes = isinstance(each, HopLookup) and any(_is(each, spec) for spec in planned)
            return hops, [ok(about, "it comes with this run") if comes else wrong(about, error)]
    return hops, []


def _is(hop: HopLookup, spec: Spec) -> bool:
    named = not hop.instance or hop.instance == spec.name
    return named and all(spec.tags.get(key) == value for key, value in hop.tags)


def _fault(hop: Hop, *, first: bool) -> Optional[Finding]:
    """What is wrong with the hop itself, without asking it."""
    if hop.key and is_path(hop.key):
        try:
            read(hop.key)
        except HavenError:
            # The check of the keys says it.
            return unknown(_about(hop), "its key cannot be used, so nothing was tried")
    if not first:
        # Only the hop before it can look it up.
        return None
    try:
        socket.getaddrinfo(hop.host, hop.port, type=socket.SOCK_STREAM)
    except OSError as error:
        return wrong(
            _about(hop),
            f"The name {hop.host} cannot be looked up ({error.strerror or error}): check its spelling, and whether it "
            "needs a VPN.",
        )
    return None


def _log_in(hops: Sequence[Hop], proxy: Optional[str]) -> list[Finding]:
    """Log in on all hops with one connection, and ask for the proxy through it."""
    parts = urlsplit(proxy or "")
    forwards = [("p", parts.hostname, parts.port)] if parts.hostname and parts.port else []
    try:
        with held(hops, forwards) as connection:
            answers = [ok(_about(hop), f"answers{f' as {hop.user}' if hop.user else ''}") for hop in hops]
            return [*answers, *([_ask_proxy(connection, parts.scheme)] if forwards else _not_asked(proxy, "no port"))]
    except HavenError as error:
        named = [hop for hop in hops if f"jump host {hop.host} " in str(error)]
        return [wrong(_about((named or [*hops])[0]), error), *_not_asked(proxy, "the jump hosts have to answer first")]


def _ask_proxy(connection: HeldConnection, scheme: str) -> Finding:
    """Whether something answers there. A proxy with https:// waits for our greeting, so it need only not hang up."""
    before = len(connection.said())
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
        stream.settimeout(_SECONDS if scheme == "http" else 1.0)
        try:
            stream.connect(os.path.join(connection.folder, "p"))
            stream.sendall(b"HEAD / HTTP/1.0\r\n\r\n" if scheme == "http" else b"")
            answer = stream.recv(16)
        except TimeoutError:
            if scheme == "http":
                return unknown(_PROXY, "it did not answer through the jump host in time")
            answer = b"HTTP"
        except OSError:
            answer = b""
    said = connection.said(before)
    if answer.startswith(b"HTTP"):
        return ok(_PROXY, "answers through the jump host")
    if _NOT_HIS_TO_SAY in said or "open failed" not in said:
        return unknown(_PROXY, "the jump host does not let anyone ask it")
    reason = said.strip().splitlines()[-1].rpartition("open failed: ")[2].strip()
    return wrong(
        _PROXY,
        f"Seen from the jump host, it does not answer ({reason}): check the host and port in haven_egress_proxy.",
    )
