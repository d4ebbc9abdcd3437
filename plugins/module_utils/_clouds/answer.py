# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The answers of a cloud's API, as the adapters read them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .._errors import UnexpectedAnswer


class Answer(dict[str, Any]):
    """An answer by name. A name that every answer of its kind has and this one lacks means that another program
    answered, such as a network's sign-in page: that must not look like "nothing there"."""

    def __init__(self, values: Mapping[str, Any], unexpected: Callable[[], UnexpectedAnswer]) -> None:
        super().__init__(values)
        self._unexpected = unexpected

    def __missing__(self, key: str) -> Any:
        raise self._unexpected()
