# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the inventory was asked for, from its file and the variables beside it. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from ..module_utils._errors import InvalidRequest
from ..module_utils._models import STATES, Hop
from ..module_utils._ssh_config import TOFU, VERIFIED, hops_from, quoted_path, require_user

# Where an option that the file leaves out comes from: the variables the modules and roles are given, too.
FALLBACKS = {
    "cloud": "haven_cloud",
    "projects": "haven_project",
    "ec2": "haven_ec2",
    "openstack": "haven_openstack",
    "api_via": "haven_api_via",
    "hops": "haven_hops",
    "login_user": "haven_login_user",
    "private_key": "haven_private_key",
}
EVERY_PROJECT = "*"
ADDRESSES = ("auto", "private", "public")
DIRECT, JUMP_HOST = "direct", "jump_host"
# Parts of an environment variable's or option's name that make it a secret: it never gets near a file name.
_SECRET = ("secret", "token", "password")


@dataclass(frozen=True)
class Settings:
    """The inventory's options, checked. ``projects`` and ``regions`` hold None for "every" and "the default"."""

    cloud: str
    projects: tuple[Optional[str], ...]
    regions: tuple[Optional[str], ...] = (None,)
    cloud_options: Mapping[str, Any] = field(default_factory=dict)
    states: tuple[str, ...] = ("running",)
    hops: tuple[Hop, ...] = ()
    login_user: Optional[str] = None
    private_key: Optional[str] = None
    host_keys: str = VERIFIED
    address: str = "auto"
    api_via: str = DIRECT

    def options_for(self, region: Optional[str]) -> dict[str, Any]:
        return {**self.cloud_options, "region": region} if region else dict(self.cloud_options)


def settings_from(options: Mapping[str, Any]) -> Settings:
    """Settings from the plugin's options, after :data:`FALLBACKS`. Raises InvalidRequest with what to set."""
    cloud = _text(options.get("cloud"))
    if not cloud:
        raise InvalidRequest(
            "No cloud is named: set cloud in the inventory file, or haven_cloud in group_vars/all.yml."
        )
    projects = _texts(options.get("projects"))
    if not projects:
        raise InvalidRequest(
            "No project is named: set projects in the inventory file, or haven_project in group_vars/all.yml."
        )
    cloud_options = options.get(cloud) or {}
    if not isinstance(cloud_options, Mapping):
        raise InvalidRequest(f"The option {cloud} must be a dictionary with the cloud's own options.")
    states = _texts(options.get("states")) or ("running",)
    login_user = _text(options.get("login_user"))
    private_key = _text(options.get("private_key"))
    return Settings(
        cloud=cloud,
        projects=(None,) if EVERY_PROJECT in projects else projects,
        regions=_texts(options.get("regions")) or (None,),
        cloud_options=dict(cloud_options),
        states=tuple(_one_of("states", state, STATES) for state in states),
        hops=tuple(hops_from(options.get("hops"))),
        login_user=require_user(login_user, "login_user") if login_user else None,
        private_key=private_key if private_key and quoted_path(private_key, "private_key") else None,
        host_keys=_one_of("host_keys", _text(options.get("host_keys")) or VERIFIED, (VERIFIED, TOFU)),
        address=_one_of("address", _text(options.get("address")) or "auto", ADDRESSES),
        api_via=_one_of("api_via", _text(options.get("api_via")) or DIRECT, (DIRECT, JUMP_HOST)),
    )


def cache_key(settings: Settings, shape: Sequence[str], identity: Iterable[tuple[str, str]]) -> str:
    """The name of the cached listing: another question, account, endpoint or shape of the answer is another name.

    ``shape`` are the fields that a listing has in this version; ``identity`` is what else decides who asks and whom,
    as (name, value): environment variables and files that the SDK reads. Secrets are left out.
    """
    asked = {
        "cloud": settings.cloud,
        "projects": settings.projects,
        "regions": settings.regions,
        "states": sorted(settings.states),
        "options": _public(settings.cloud_options.items()),
        "identity": _public(identity),
        "shape": list(shape),
    }
    return "haven_" + hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()[:32]


def _public(pairs: Iterable[tuple[str, Any]]) -> list[tuple[str, Any]]:
    return sorted((name, value) for name, value in pairs if not any(word in name.lower() for word in _SECRET))


def _text(value: object) -> str:
    return "" if value is None else str(value).strip()


def _texts(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    items = value if isinstance(value, Iterable) and not isinstance(value, (str, bytes)) else [value]
    return tuple(dict.fromkeys(text for text in map(_text, items) if text))


def _one_of(option: str, value: str, choices: Sequence[str]) -> str:
    if value not in choices:
        raise InvalidRequest(f"{value!r} is not a value of {option}: use {', '.join(choices)}.")
    return value
