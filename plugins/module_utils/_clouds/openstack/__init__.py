# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""OpenStack: what the registry needs of every cloud. Nothing here loads the SDK."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

from .options import CONNECTION, INSTANCE, instance_options
from .traits import TRAITS

if TYPE_CHECKING:
    from ..._cloud import Cloud
    from ..._ssh.api_proxy import ApiProxy

__all__ = ["CONNECTION", "ENVIRONMENT", "FILES", "INSTANCE", "NAME", "TRAITS", "connect", "instance_options"]

NAME = "openstack"
# What determines the SDK's account and endpoint besides the options: prefixes of environment variables, and files, each
# with the variable that names another file.
ENVIRONMENT: tuple[str, ...] = ("OS_",)
FILES: tuple[tuple[str, str], ...] = (
    ("OS_CLIENT_CONFIG_FILE", "~/.config/openstack/clouds.yaml"),
    ("OS_CLIENT_SECURE_FILE", "~/.config/openstack/secure.yaml"),
    ("", "clouds.yaml"),
    ("", "/etc/openstack/clouds.yaml"),
)


def connect(options: dict[str, Any], proxy: Optional[ApiProxy] = None) -> Cloud:
    """Return the adapter for one region, with the options in CONNECTION. It starts to request a token at once.

    Raises MissingLibrary, BadCredentials, InvalidRequest, or Unsupported.
    """
    from .client import Connection

    connection = Connection(options, proxy)
    connection.log_in()
    # This takes about as long as keystone's answer.
    from .adapter import OpenStack

    return OpenStack(connection)
