# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options that only the memory cloud has, under ``memory:``. Their documentation is in documentation.yml. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

CONNECTION: dict[str, Any] = {
    "file": {"type": "path"},
    "region": {"type": "str"},
}
INSTANCE: dict[str, Any] = {
    "rack": {"type": "str"},
}


def instance_options(chosen: Mapping[str, Any], _params: Mapping[str, Any], _names: Sequence[str]) -> dict[str, Any]:
    """The options of INSTANCE as a specification has them."""
    return dict(chosen)
