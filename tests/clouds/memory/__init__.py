# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cloud in memory. What the registry asks of every cloud is here.

It lies in tests/ and shows what a cloud has to bring: copied to plugins/module_utils/_clouds/memory/ it is one more.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Optional

from ..._errors import InvalidRequest
from .options import CONNECTION, INSTANCE, instance_options
from .traits import TRAITS

if TYPE_CHECKING:
    from ..._cloud import Cloud
    from ..._ssh.api_proxy import ApiProxy

__all__ = ["CONNECTION", "ENVIRONMENT", "FILES", "INSTANCE", "NAME", "TRAITS", "connect", "instance_options"]

NAME = "memory"
# What decides, besides the options, which account is meant: the beginnings of variables' names, and files, each with
# the variable that names another one.
ENVIRONMENT: tuple[str, ...] = ("MEMORY_CLOUD_",)
FILES: tuple[tuple[str, str], ...] = ()


def connect(options: dict[str, Any], proxy: Optional[ApiProxy] = None) -> Cloud:
    """The adapter for one region, by options as in CONNECTION. Raises InvalidRequest."""
    from .account import REGIONS, Account
    from .adapter import Memory

    file = options.get("file") or os.environ.get("MEMORY_CLOUD_FILE")
    if not file:
        raise InvalidRequest("The memory cloud needs a file: give memory.file, or set MEMORY_CLOUD_FILE.")
    region = options.get("region") or REGIONS[0]
    if region not in REGIONS:
        raise InvalidRequest(
            f"The memory cloud has no region {ascii(region)[:80]}: choose one of {', '.join(REGIONS)}."
        )
    return Memory(Account(file), region)
