# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options that only OpenStack has, under ``openstack:``. They are documented in documentation.yml. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..._errors import InvalidRequest

CONNECTION: dict[str, Any] = {
    "cloud": {"type": "str"},
    "region": {"type": "str"},
    # The authentication method decides which parts are secret.
    "auth": {"type": "dict", "no_log": True},
    "auth_type": {"type": "str"},
    "interface": {"type": "str", "choices": ["public", "internal", "admin"]},
    "ca_cert": {"type": "path"},
    "verify": {"type": "bool"},
}
INSTANCE: dict[str, Any] = {
    "boot_from_volume": {"type": "bool"},
    "config_drive": {"type": "bool"},
    "floating_ip": {"type": "str"},
    "floating_ip_pool": {"type": "str"},
    "former_name": {"type": "str"},
    "key_name": {"type": "str", "no_log": False},
    "networks": {"type": "list", "elements": "str"},
    "ports": {"type": "list", "elements": "str"},
    "scheduler_hints": {"type": "dict"},
}
# Options that only one instance can have.
_OF_ONE = ("former_name", "floating_ip", "ports")


def instance_options(chosen: Mapping[str, Any], params: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Return the options of INSTANCE for a Spec. Raises InvalidRequest for contradictions."""
    if chosen.get("key_name") and params["key_pair"]:
        raise InvalidRequest("key_pair and openstack.key_name exclude each other: give one of them.")
    for option in _OF_ONE:
        if len(names) > 1 and chosen.get(option):
            raise InvalidRequest(f"openstack.{option} is for a single instance only: give one name.")
    if chosen.get("floating_ip") and params["public_address"] is False:
        raise InvalidRequest("public_address: false and openstack.floating_ip exclude each other: give one of them.")
    if chosen.get("ports") and (chosen.get("networks") or params["subnet"] or params["private_address"]):
        raise InvalidRequest(
            "openstack.ports determine networks and addresses: leave networks, subnet, and private_address out."
        )
    return dict(chosen)
