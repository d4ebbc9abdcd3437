# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Says below the traceback of a cell which host the egress proxy refused.

IPython runs it at the start of a kernel (PYTHONSTARTUP), with whatever Python and libraries the environment has, and
hides its names. Where Python starts without IPython, it does nothing.
"""

import re
import sys


def _haven_chain(error):
    """Yield the exception and all that led to it, as raised from, while handling, or wrapped by others."""
    seen, waiting = set(), [error]
    while waiting:
        found = waiting.pop(0)
        if not isinstance(found, BaseException) or id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        waiting += [found.__cause__, found.__context__, getattr(found, "reason", None), *found.args]


def _haven_is_refusal(error):
    """Whether the proxy did not open a tunnel, as urllib, urllib3, requests, httpx, and aiohttp say it."""
    text = str(error)
    return "Tunnel connection failed: 403" in text or ("Proxy" in type(error).__name__ and "403" in text)


def _haven_is_forbidden(error):
    """Whether the answer was 403. An inspecting proxy opens the tunnel, and answers in the host's place."""
    answer = getattr(error, "response", None)
    codes = [getattr(error, "code", None), getattr(error, "status", None), getattr(answer, "status_code", None)]
    return 403 in codes


def _haven_hosts(error):
    """Yield the host that was wanted: from the frames of http.client, the request, or the message."""
    frame = error.__traceback__
    while frame:
        host = getattr(frame.tb_frame.f_locals.get("self"), "_tunnel_host", None)
        if host:
            yield host.decode() if isinstance(host, bytes) else host
        frame = frame.tb_next
    wanted = [getattr(error, name, None) for name in ("request", "_request", "request_info", "response")]
    for address in [getattr(each, "url", "") for each in [*wanted, error]]:
        host = re.match(r"\w+://([^/:@]+)", str(address))
        if host:
            yield host.group(1)
    yield from re.findall(r"host='([^']+)'", str(error))


def _haven_hint(error):
    """Return the line for this exception, or None if no host was refused."""
    chain = list(_haven_chain(error))
    hosts = [host for each in chain for host in _haven_hosts(each)]
    host = next((host for host in hosts if re.match(r"[A-Za-z0-9.-]+$", host)), "a host")
    if any(_haven_is_refusal(each) for each in chain):
        return f"The egress proxy refuses {host}. Ask for {host} to be allowed there, or get the data another way."
    if any(_haven_is_forbidden(each) for each in chain):
        return (
            f"{host} answered 403 Forbidden, or the egress proxy did in its place. "
            f"If it was the proxy, ask for {host} to be allowed there."
        )
    return None


def _haven_after_cell(result):
    try:
        hint = _haven_hint(result.error_in_exec) if result.error_in_exec else None
    except Exception:  # nothing here may be in the way of a notebook
        return
    if hint:
        sys.stderr.write(f"{hint}\n")


if "get_ipython" in globals():
    globals()["get_ipython"]().events.register("post_run_cell", _haven_after_cell)
