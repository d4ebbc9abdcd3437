# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""EC2: what the registry needs of every cloud. Nothing here loads the SDK."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

from .options import CONNECTION, INSTANCE, instance_options
from .traits import TRAITS

if TYPE_CHECKING:
    from ..._cloud import Cloud
    from ..._ssh.api_proxy import ApiProxy

__all__ = ["CONNECTION", "ENVIRONMENT", "FILES", "INSTANCE", "NAME", "TRAITS", "connect", "instance_options"]

NAME = "ec2"
# What determines the SDK's account and endpoint besides the options: prefixes of environment variables, and files, each
# with the variable that names another file.
ENVIRONMENT: tuple[str, ...] = ("AWS_",)
FILES: tuple[tuple[str, str], ...] = (
    ("AWS_CONFIG_FILE", "~/.aws/config"),
    ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"),
)


def connect(options: dict[str, Any], proxy: Optional[ApiProxy] = None) -> Cloud:
    """Return the adapter for one region, with the options in CONNECTION.

    Raises MissingLibrary, BadCredentials, or InvalidRequest.
    """
    from .adapter import Ec2
    from .client import Connection

    return Ec2(Connection(options, proxy))
