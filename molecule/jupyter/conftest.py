"""Visitors of the notebook servers: each comes through the hops and a tunnel, as a browser does."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import websocket
from testinfra.host import Host

from ansible_collections.haven.gpu.plugins.module_utils import _notebook

Visit = Callable[..., _notebook.Notebook]


@pytest.fixture(scope="module")
def visit(host: Host) -> Iterator[Visit]:
    """Calls open a tunnel to a user's server; the visitor has logged in if a password was given."""
    facts = host.ansible.get_variables()
    with contextlib.ExitStack() as tunnels:

        def visit(user: str, password: str | None = None, tls: bool = False) -> _notebook.Notebook:
            tunnel = _notebook.tunnel(facts["haven_ssh_config"], facts["ansible_host"], user, 30)
            notebook = _notebook.Notebook(tunnels.enter_context(tunnel), 60, tls)
            if password is not None:
                notebook.login(password)
            return notebook

        yield visit


@pytest.fixture
def channel() -> Callable[..., websocket.WebSocket]:
    """Calls open a websocket as the page does, with the cookies of the visitor."""

    def channel(notebook: _notebook.Notebook, path: str, **changed: Any) -> websocket.WebSocket:
        cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in notebook._cookies)
        return websocket.create_connection(
            f"ws://localhost:8888{path}",
            socket=_notebook._connect(notebook._path, notebook._tls, 30),
            timeout=30,
            **{"cookie": cookies, "origin": _notebook.ORIGIN, **changed},
        )

    return channel
