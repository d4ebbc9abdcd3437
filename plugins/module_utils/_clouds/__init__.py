# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The clouds, one folder each. Only these folders import an SDK or use a cloud's own terms.

Who wants a cloud asks here by its name; :mod:`registry` is made from the folders.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Optional

from .._errors import InvalidRequest
from .registry import CLOUDS

if TYPE_CHECKING:
    from .._cloud import Cloud, CloudPackage
    from .._ssh.api_proxy import ApiProxy


def package(cloud: str) -> CloudPackage:
    """What is known of a cloud without asking it. Raises InvalidRequest for one that nobody has added."""
    if cloud not in CLOUDS:
        raise InvalidRequest(f"There is no cloud called {cloud!r}: choose one of {', '.join(sorted(CLOUDS))}.")
    return CLOUDS[cloud]


def connect(cloud: str, options: Optional[Mapping[str, Any]] = None, proxy: Optional[ApiProxy] = None) -> Cloud:
    """The adapter for ``cloud``, with its own options (region, credentials, endpoint).

    Nothing is asked yet, though a cloud may begin to log in. ``proxy`` leads to an API that only a jump host
    reaches; it has to stay open as long as the adapter is used.
    Raises MissingLibrary, BadCredentials, InvalidRequest, Unsupported.
    """
    return package(cloud).connect(dict(options or {}), proxy)
