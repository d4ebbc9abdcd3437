# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The marks that show what haven.gpu created. They are set by the request that creates it; a name is no mark."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Optional

# Our marks begin with this; the user's own tags must not.
PREFIX = "haven:"
TAG_PROJECT = "haven:project"
# The name, in the tag that the clouds' consoles show.
TAG_NAME = "Name"
TAG_GENERATION = "haven:generation"
TAG_HOST_KEY = "haven:host-key"
TAG_LOGIN_USER = "haven:login-user"


def marks(
    project: str, name: str = "", login_user: Optional[str] = None, host_key: Optional[str] = None
) -> dict[str, str]:
    """The tags for an instance's project, name, and login user."""
    known = {TAG_PROJECT: project, TAG_NAME: name, TAG_LOGIN_USER: login_user, TAG_HOST_KEY: host_key}
    return {key: value for key, value in known.items() if value}


def generation(tags: Mapping[str, str]) -> int:
    """The generation of an instance among those created under this name, or 0 if it is not recorded."""
    text = tags.get(TAG_GENERATION, "")
    return int(text) if text.isascii() and text.isdigit() else 0


def is_system(key: str) -> bool:
    """Whether a tag is a mark rather than one of the user's tags."""
    return key == TAG_NAME or key.startswith(PREFIX)
