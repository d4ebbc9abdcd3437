# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options that only EC2 has, under ``ec2:``. They are documented in documentation.yml. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..._errors import InvalidRequest

CONNECTION: dict[str, Any] = {
    "region": {"type": "str"},
    "profile": {"type": "str"},
    "endpoint_url": {"type": "str"},
    "access_key": {"type": "str", "no_log": False},
    "secret_key": {"type": "str", "no_log": True},
    "session_token": {"type": "str", "no_log": True},
    "ca_bundle": {"type": "path"},
}
INSTANCE: dict[str, Any] = {
    "iam_instance_profile": {"type": "str"},
    "imdsv2": {"type": "bool", "default": True},
    "key_name": {"type": "str", "no_log": False},
}


def instance_options(chosen: Mapping[str, Any], params: Mapping[str, Any], _names: Sequence[str]) -> dict[str, Any]:
    """Return the options of INSTANCE for a Spec. Raises InvalidRequest for contradictions."""
    if chosen.get("key_name") and params["key_pair"]:
        raise InvalidRequest("key_pair and ec2.key_name exclude each other: give one of them.")
    profile = chosen.get("iam_instance_profile")
    # The name is unique in the account, whatever its path is.
    return {**chosen, "iam_instance_profile": profile.rpartition("/")[2] if profile else profile}
