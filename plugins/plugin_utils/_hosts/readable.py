# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Converts values from a cloud to host variables, and values from ansible-core to plain ones."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from ansible.template import trust_as_template

_NO_TEMPLATE = re.compile(r"[A-Za-z0-9 @+=:,./_~-]*")


def readable(value: Any) -> Any:
    """Mark the strings in the value that cannot be templates as harmless. All others stay untrusted.

    ansible-core writes an untrusted string to ``ansible-inventory --list`` as ``{"__ansible_unsafe": ...}``, which
    neither testinfra nor jq understands. Every template contains a brace.
    """
    if isinstance(value, str):
        # A text that ansible-core has marked stays as it is.
        return _text(value) if value.__class__ is str else _text.__wrapped__(value)
    if isinstance(value, Mapping):
        return {name: readable(item) for name, item in value.items()}
    if isinstance(value, list):
        return [readable(item) for item in value]
    return value


# Most values are the same for many machines, so they are converted and stored once.
@lru_cache(maxsize=4096)
def _text(value: str) -> str:
    return trust_as_template(value) if _NO_TEMPLATE.fullmatch(value) else value


def plain(value: Any) -> Any:
    """Return the value without ansible-core's tags and lazy containers, and with vaulted strings decrypted."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value if value is None or isinstance(value, (bool, int, float)) else str(value)
