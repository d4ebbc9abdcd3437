"""Lets a kernel of alice's compute until it is ended: compute.py start|end SSH_CONFIG HOST PASSWORD_FILE."""

from __future__ import annotations

import contextlib
import json
import pathlib
import sys

import websocket

from ansible_collections.haven.gpu.plugins.module_utils import _notebook

order, ssh_config, host, password = sys.argv[1:]
with _notebook.tunnel(ssh_config, host, "alice", 30) as path:
    notebook = _notebook.Notebook(path, 60, tls=True)
    notebook.login(pathlib.Path(password).read_text())
    if order == "end":
        for kernel in notebook.json("GET", "/api/kernels"):
            notebook.json("DELETE", f"/api/kernels/{kernel['id']}")
        sys.exit()
    kernel = notebook.json("POST", "/api/kernels", {})["id"]
    channel = websocket.create_connection(
        f"wss://localhost:8888/api/kernels/{kernel}/channels",
        socket=_notebook._connect(path, True, 30),
        cookie="; ".join(f"{cookie.name}={cookie.value}" for cookie in notebook._cookies),
        origin="https://localhost:8888",
        timeout=30,
    )
    # It goes on computing after the page is closed.
    with contextlib.closing(channel):
        channel.send(json.dumps(_notebook._execute_request("print('begun'); import time; time.sleep(3600)")))
        while json.loads(channel.recv())["msg_type"] != "stream":
            pass
