# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An EC2 that answers at once: what moto said to a question is said again to the same question.

moto takes seconds to list thousands of machines, more than what is measured. Nothing is made up here: each answer is
moto's own, byte by byte, and whoever asks for other pages or with other filters gets the answers to those.
"""

from __future__ import annotations

import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs

from tests.sandbox.http_server import Answer, Server

_REGION = re.compile(r"Credential=[^/]+/\d+/([^/]+)/")
# The signature covers the address that was asked.
_NOT_PASSED_ON = frozenset(["HTTP_CONNECTION", "HTTP_EXPECT", "HTTP_ACCEPT_ENCODING"])
_WITHIN_S = 300.0


class Replay:
    """A server on loopback in front of another; ``url`` is its address and ``asked`` its log."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._answers: dict[tuple[str, str, bytes], Answer] = {}
        self._server = Server(0)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.asked: list[dict[str, Any]] = []
        # How often the server behind was asked: what is measured meanwhile was not answered at once.
        self.missed = 0

    def __call__(self, environ: dict[str, Any], body: bytes) -> Answer:
        action = (parse_qs(body.decode("latin-1")).get("Action") or ["?"])[0]
        region = _REGION.search(environ.get("HTTP_AUTHORIZATION", ""))
        self.asked.append({"t": time.time(), "action": action})
        question = (environ["RAW_URI"], region[1] if region else "", body)
        if question not in self._answers:
            self.missed += 1
            self._answers[question] = self._ask(environ, body)
        return self._answers[question]

    def _ask(self, environ: dict[str, Any], body: bytes) -> Answer:
        headers = {
            name[5:].replace("_", "-"): value
            for name, value in environ.items()
            if name.startswith("HTTP_") and name not in _NOT_PASSED_ON
        }
        headers["Content-Type"] = environ["CONTENT_TYPE"]
        url = self._upstream + environ["RAW_URI"]
        request = urllib.request.Request(url, body, headers)  # noqa: S310 -- our own loopback address
        try:
            with urllib.request.urlopen(request, timeout=_WITHIN_S) as answer:  # noqa: S310
                return answer.status, [("Content-Type", answer.headers["Content-Type"])], answer.read()
        except urllib.error.HTTPError as error:
            return error.code, [("Content-Type", error.headers["Content-Type"])], error.read()

    def forget(self) -> None:
        """What was said is true no more."""
        self._answers.clear()

    def serve(self) -> None:
        self._server.serve(self)

    def close(self) -> None:
        self._server.server_close()


@contextmanager
def replay(upstream: str) -> Iterator[Replay]:
    """A replay, as long as the block. Its thread ends with this process, and has nothing to answer after the block."""
    server = Replay(upstream)
    threading.Thread(target=server.serve, daemon=True).start()
    try:
        yield server
    finally:
        server.close()
