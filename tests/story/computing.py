# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A kernel that computes for an hour, also after its page is closed."""

from __future__ import annotations

import contextlib
import json

import websocket

from ansible_collections.haven.gpu.plugins.module_utils import _notebook

CELL = "print('begun'); import time; time.sleep(3600)"


def begin(notebook: _notebook.Notebook) -> None:
    """Start a kernel and let it compute. The notebook has logged in."""
    kernel = notebook.json("POST", "/api/kernels", {})["id"]
    channel = websocket.create_connection(
        f"{notebook._origin.replace('http', 'ws', 1)}/api/kernels/{kernel}/channels",
        socket=_notebook._connect(notebook._path, notebook._tls, 30),
        cookie="; ".join(f"{cookie.name}={cookie.value}" for cookie in notebook._cookies),
        origin=notebook._origin,
        timeout=30,
    )
    with contextlib.closing(channel):
        channel.send(json.dumps(_notebook._execute_request(CELL)))
        while json.loads(channel.recv())["msg_type"] != "stream":
            pass


def end(notebook: _notebook.Notebook) -> None:
    """End all kernels."""
    for kernel in notebook.json("GET", "/api/kernels"):
        notebook.json("DELETE", f"/api/kernels/{kernel['id']}")
