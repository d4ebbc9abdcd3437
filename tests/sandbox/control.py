# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The endpoint through which tests change how a cloud behaves: requests under /_control/, JSON in, JSON out."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs

from .http_server import Answer

PREFIX = "/_control/"

Verbs = Mapping[tuple[str, str], Callable[[dict[str, Any]], Any]]
"""From method and name to what answers it, given the query's and the body's fields."""


class ControlEndpoint:
    """Answers 404 for what is no verb, and 400 where a verb raises KeyError, TypeError or ValueError."""

    def __init__(self, verbs: Verbs) -> None:
        self._verbs = verbs

    def __call__(self, environ: dict[str, Any], body: bytes) -> Answer:
        name = environ["PATH_INFO"].removeprefix(PREFIX).strip("/")
        verb = self._verbs.get((environ["REQUEST_METHOD"], name))
        if verb is None:
            return _answer(404, {"error": f"no such control: {name}"})
        query = {key: values[0] for key, values in parse_qs(environ.get("QUERY_STRING", "")).items()}
        try:
            result = verb({**query, **json.loads(body or b"{}")})
        except (KeyError, TypeError, ValueError) as wrong:
            return _answer(400, {"error": f"{type(wrong).__name__}: {wrong}"})
        return _answer(200, {"ok": True} if result is None else result)


def _answer(status: int, result: Any) -> Answer:
    return status, [("Content-Type", "application/json")], json.dumps(result, default=str).encode()
