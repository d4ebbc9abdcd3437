# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is made of the words of uv, pip, and git; those here are what they write behind each proxy of the sandbox."""

from __future__ import annotations

import subprocess

import pytest

from ansible_collections.haven.gpu.plugins.module_utils._venvs.complaints import explained


def explanation(said: str) -> str:
    return explained(subprocess.CompletedProcess([], 1, "", said), "correct its packages")


# What each tool says when the proxy answers CONNECT, or a plain request, with 403.
UV_SAYS = """error: Failed to fetch: `https://pypi.org/simple/idna/`
  Caused by: error sending request for url (https://pypi.org/simple/idna/)
  Caused by: client error (Connect)
  Caused by: tunnel error: unsuccessful
"""
UV_SAYS_OF_GIT = """error: Failed to download and build `x @ git+https://github.com/x/y`
  Caused by: Git operation failed
         fatal: unable to access 'https://github.com/x/y/': CONNECT tunnel failed, response 403
"""
GIT_SAYS = "fatal: unable to access 'https://me:canary@git.example.org:8443/x/': CONNECT tunnel failed, response 403\n"
PIP_SAYS = """WARNING: Retrying after connection broken by 'ProxyError('Cannot connect to proxy.', \
OSError('Tunnel connection failed: 403 Forbidden'))': /simple/idna/
ERROR: No matching distribution found for idna
"""
PIP_ASKS = f"Looking in indexes: https://pypi.example.org/simple, https://more.example.org/simple\n{PIP_SAYS}"


@pytest.mark.parametrize(
    ("said", "hosts"),
    [
        (UV_SAYS, "pypi.org"),
        (UV_SAYS_OF_GIT, "github.com"),
        (GIT_SAYS, "git.example.org"),
        (PIP_SAYS, "pypi.org and files.pythonhosted.org"),
        (PIP_ASKS, "pypi.example.org and more.example.org"),
    ],
)
def test_a_host_that_the_proxy_refuses_is_named(said: str, hosts: str) -> None:
    assert f"the egress proxy refuses {hosts}:" in explanation(said)
    assert "canary" not in explanation(said).partition("; ")[2]


# What they say when an inspecting proxy answers in the host's place.
UV_HINTS = """error: No solution found when resolving dependencies
  cause: Because idna was not found in the package registry and you require idna, your requirements are unsatisfiable.

hint: An index (https://pypi.example.org/simple) returned a 403 Forbidden error. Check that the index URL is correct.
"""
UV_FETCHES = """error: Failed to download `x @ https://hub.example.org/x-1-py3-none-any.whl`
  cause: Failed to fetch: `https://hub.example.org/x-1-py3-none-any.whl`
  cause: HTTP status client error (403 Forbidden) for url (https://hub.example.org/x-1-py3-none-any.whl)
"""
PIP_FETCHES = "Collecting x\n  ERROR: HTTP error 403 while getting https://hub.example.org/x-1-py3-none-any.whl\n"
GIT_FETCHES = "fatal: unable to access 'https://git.example.org/x/': The requested URL returned error: 403\n"


@pytest.mark.parametrize(
    ("said", "host"),
    [
        (UV_HINTS, "pypi.example.org"),
        (UV_FETCHES, "hub.example.org"),
        (PIP_FETCHES, "hub.example.org"),
        (GIT_FETCHES, "git.example.org"),
    ],
)
def test_a_host_in_whose_place_the_proxy_answers_is_named(said: str, host: str) -> None:
    assert f"; {host} answered 403 Forbidden, or the egress proxy did:" in explanation(said)


def test_another_failure_is_not_the_proxys() -> None:
    said = explanation("error: No solution found for https://pypi.org\n")
    assert said == "No solution found for https://pypi.org; correct its packages"


UV_CUT = """error: Request failed after 3 retries in 0.0s
  cause: Failed to fetch: https://pypi.org/simple/multidict/
  cause: error decoding response body for url (https://pypi.org/simple/multidict/)
  cause: request or response body error
  cause: error reading a body from connection
  cause: peer closed connection without sending TLS close_notify: https://docs.rs/rustls/latest/rustls/manual
"""
PIP_CUT = """ERROR: Exception:
Traceback (most recent call last):
  File "decoder.py", line 360, in raw_decode
json.decoder.JSONDecodeError: Unterminated string starting at: line 1 column 544668 (char 544667)
"""
PIP_CUT_FILE = "ERROR: Exception:\npip._vendor.urllib3.exceptions.IncompleteRead: IncompleteRead(1 bytes read)\n"
GIT_CUT = "error: RPC failed; curl 18 transfer closed with outstanding read data remaining\nfatal: early EOF\n"
UV_LOGIN = """error: Request failed after 3 retries in 10.2s
  cause: Failed to fetch: https://pypi.org/simple/tqdm/
  cause: client error (Connect)
  cause: tunnel error: proxy authorization required
"""
PIP_LOGIN = """WARNING: Retrying (Retry(total=0)) after connection broken by 'ProxyError('Cannot connect to proxy.', \
OSError('Tunnel connection failed: 407 Proxy Authentication Required'))': /simple/tqdm/
ERROR: No matching distribution found for tqdm
"""
GIT_LOGIN = "fatal: unable to access 'https://github.com/x/y/': CONNECT tunnel failed, response 407\n"
UV_NOBODY = """error: Request failed after 3 retries in 6.7s
  cause: Failed to fetch: https://pypi.org/simple/tqdm/
  cause: client error (Connect)
  cause: tunnel error: failed to create underlying connection
  cause: tcp connect error
  cause: Connection refused (os error 111)
"""
GIT_NOBODY = "fatal: unable to access 'https://github.com/x/y/': Failed to connect to 10.0.0.2 port 3128 after 0 ms\n"


@pytest.mark.parametrize(
    ("said", "why", "what_to_try"),
    [
        (UV_CUT, "an answer of pypi.org ended in its middle", "run this again"),
        (PIP_CUT, "an answer of pypi.org and files.pythonhosted.org ended in its middle", "run this again"),
        (PIP_CUT_FILE, "ended in its middle", "cuts long answers"),
        (GIT_CUT, "ended in its middle", "ask its administrators"),
        (UV_LOGIN, "the egress proxy wants a user and a password", "check egress_proxy.url"),
        (PIP_LOGIN, "the egress proxy wants a user and a password", "check egress_proxy.url"),
        (GIT_LOGIN, "the egress proxy wants a user and a password", "haven_egress_proxy.url"),
        (UV_NOBODY, "pypi.org cannot be reached", "check egress_proxy.url"),
        (GIT_NOBODY, "github.com cannot be reached", "the network lets this machine"),
    ],
)
def test_what_is_wrong_on_the_way_is_one_clause_with_what_to_try(said: str, why: str, what_to_try: str) -> None:
    found = explanation(said)
    assert why in found.partition("; ")[0]
    assert what_to_try in found.partition("; ")[2]
    assert "correct its packages" not in found
    assert "Traceback" not in found
    assert len(found) < 300
