# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Client tokens of RunInstances, as AWS honours them.

The same token with the same parameters gives the same reservation, however often it is asked for and also after its
instances were terminated; with other parameters it is refused.
Source: "Ensuring idempotency in Amazon EC2 API requests".
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

# DryRun asks about a call and ClientToken names it: neither is what the call does.
NOT_COMPARED = frozenset({"ClientToken", "DryRun"})


class ParameterMismatchError(Exception):
    """The token was used before with other parameters."""


def fingerprint(params: dict[str, Any]) -> str:
    """The same text for the same request, whatever the order its parameters came in."""
    compared = {key: value for key, value in params.items() if key not in NOT_COMPARED}
    return hashlib.sha256(json.dumps(compared, sort_keys=True, default=str).encode()).hexdigest()


class ClientTokens:
    """Remembers what each token made. The caller holds the cloud's lock from recall to remember."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, str], tuple[str, Any]] = {}

    def recall(self, region: str, token: str, asked: str) -> Any | None:
        """The reservation this token made, or None if it is new. Raises ParameterMismatchError."""
        known = self._made.get((region, token))
        if known is None:
            return None
        if known[0] != asked:
            raise ParameterMismatchError(token)
        return known[1]

    def remember(self, region: str, token: str, asked: str, reservation: Any) -> None:
        self._made[region, token] = (asked, reservation)

    def clear(self) -> None:
        self._made.clear()
