# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which host the egress proxy refused, from what libraries raise then."""

from __future__ import annotations

import contextlib
import runpy
import socketserver
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests

SCRIPT = Path(__file__).parents[3] / "roles/jupyter/files/proxy_hint.py"


class Refusing(socketserver.StreamRequestHandler):
    """A proxy that allows no host."""

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # the visitor need not wait for the answer
            self.answer()

    def answer(self) -> None:
        while self.rfile.readline().strip():
            pass
        self.wfile.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Refusing) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def after_cell() -> Callable[[BaseException | None], None]:
    """What IPython calls after a cell, with what the cell raised."""
    registered: list[Callable[[Any], None]] = []
    events = SimpleNamespace(register=lambda event, function: registered.append(function))
    runpy.run_path(str(SCRIPT), {"get_ipython": lambda: SimpleNamespace(events=events)})
    (function,) = registered
    return lambda error: function(SimpleNamespace(error_in_exec=error))


def raised(call: Callable[[], Any]) -> BaseException:
    with pytest.raises(Exception) as caught:  # noqa: PT011 -- whatever the library raises
        call()
    return caught.value


def wrapped(call: Callable[[], Any]) -> None:
    try:
        call()
    except Exception as error:
        raise OSError("We couldn't connect to load this file") from error


def test_a_refused_host_is_named(
    proxy: str, after_cell: Callable[[BaseException | None], None], capsys: pytest.CaptureFixture[str]
) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({"https": proxy}))
    for call in (
        lambda: opener.open("https://huggingface.co/x", timeout=30),
        lambda: requests.get("https://huggingface.co/x", proxies={"https": proxy}, timeout=30),
        lambda: wrapped(lambda: requests.get("https://huggingface.co/x", proxies={"https": proxy}, timeout=30)),
    ):
        after_cell(raised(call))
        assert capsys.readouterr().err.startswith("The egress proxy refuses huggingface.co. Ask for huggingface.co")


class ProxyError(Exception):
    """As httpx raises it: the host is in the request alone."""

    def __init__(self, url: str) -> None:
        super().__init__("403 Forbidden")
        self.request = SimpleNamespace(url=url)


@pytest.mark.parametrize(
    ("url", "named"), [("https://hub.example.org/a", "hub.example.org"), ("https://\x1b[2J/", "a host"), ("", "a host")]
)
def test_other_libraries_say_it_in_other_ways(
    after_cell: Callable[[BaseException | None], None], capsys: pytest.CaptureFixture[str], url: str, named: str
) -> None:
    after_cell(ProxyError(url))
    assert f"refuses {named}." in capsys.readouterr().err


def test_a_host_in_whose_place_an_inspecting_proxy_answers_is_named(
    proxy: str, after_cell: Callable[[BaseException | None], None], capsys: pytest.CaptureFixture[str]
) -> None:
    # What the proxy of this test answers is the same without a tunnel.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": proxy}))
    for call in (
        lambda: opener.open("http://huggingface.co/x", timeout=30),
        lambda: requests.get("http://huggingface.co/x", proxies={"http": proxy}, timeout=30).raise_for_status(),
        lambda: wrapped(lambda: opener.open("http://huggingface.co/x", timeout=30)),
    ):
        after_cell(raised(call))
        said = capsys.readouterr().err
        assert said.startswith("huggingface.co answered 403 Forbidden, or the egress proxy did in its place.")
        assert "ask for huggingface.co to be allowed" in said


def test_any_other_cell_is_left_alone(
    after_cell: Callable[[BaseException | None], None], capsys: pytest.CaptureFixture[str]
) -> None:
    for error in (None, ValueError("403 Forbidden"), OSError("Tunnel connection failed: 502 Bad Gateway")):
        after_cell(error)
    assert capsys.readouterr() == ("", "")


def test_without_ipython_nothing_happens() -> None:
    assert "get_ipython" not in runpy.run_path(str(SCRIPT))
