# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The clouds, one folder each. Only these folders import an SDK or use a cloud's own terms.

Callers get a cloud here by its name. :mod:`registry` is generated from the folders.
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
    """Return what is known about a cloud without calling it. Raises InvalidRequest for an unknown cloud."""
    if cloud not in CLOUDS:
        raise InvalidRequest(f"There is no cloud called {cloud!r}: choose one of {', '.join(sorted(CLOUDS))}.")
    return CLOUDS[cloud]


def connect(cloud: str, options: Optional[Mapping[str, Any]] = None, proxy: Optional[ApiProxy] = None) -> Cloud:
    """Return the adapter for ``cloud``, with its own options (region, credentials, endpoint).

    It makes no call yet, but may start to log in. ``proxy`` is for an API that only a jump host can reach, and must
    stay open as long as the adapter is used. Raises MissingLibrary, BadCredentials, InvalidRequest, or Unsupported.
    """
    return package(cloud).connect(dict(options or {}), proxy)
