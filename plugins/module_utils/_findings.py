# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the checks turn answers and errors into findings. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, Union

from ._errors import HavenError, shown
from ._models import Finding

_T = TypeVar("_T")


def ok(about: str, said: str = "") -> Finding:
    return Finding(about, "ok", shown(said))


def wrong(about: str, said: Union[str, HavenError]) -> Finding:
    return Finding(about, "wrong", shown(str(said)))


def unknown(about: str, said: Union[str, HavenError]) -> Finding:
    return Finding(about, "unknown", shown(str(said)))


def attempt(about: str, ask: Callable[[], _T]) -> Union[_T, Finding]:
    """The answer to a question, or what is wrong."""
    try:
        return ask()
    except HavenError as error:
        return wrong(about, error)
