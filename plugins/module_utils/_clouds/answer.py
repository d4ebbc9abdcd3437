# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The answers of a cloud's API, as the adapters read them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .._errors import UnexpectedAnswer


class Answer(dict[str, Any]):
    """An answer with values by name. If a name is missing that every such answer has, something else has answered, such
    as a sign-in page of the network. That must not look like an empty answer."""

    def __init__(self, values: Mapping[str, Any], unexpected: Callable[[], UnexpectedAnswer]) -> None:
        super().__init__(values)
        self._unexpected = unexpected

    def __missing__(self, key: str) -> Any:
        raise self._unexpected()
