# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""clouds.yaml, and connections as the users in it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .layout import REGION, url
from .settings import SERVICE_USER

# Users by the name of their cloud, and the project each works in.
USERS = {"haven": "haven", "haven-tiny": "haven-tiny", "haven-admin": "admin"}
PROJECTS = {"haven": "haven", "haven-tiny": "haven-tiny", "haven-admin": "admin"}


def new_passwords() -> dict[str, str]:
    """A password for every user, and the one that the services share."""
    return {user: secrets.token_urlsafe(18) for user in (*USERS.values(), SERVICE_USER)}


def entry(cloud: str, keystone_port: int, passwords: Mapping[str, str]) -> dict[str, Any]:
    """A cloud of clouds.yaml."""
    return {
        "auth": {
            "auth_url": url("keystone", keystone_port),
            "username": USERS[cloud],
            "password": passwords[USERS[cloud]],
            "project_name": PROJECTS[cloud],
            "user_domain_name": "Default",
            "project_domain_name": "Default",
        },
        "region_name": REGION,
        "identity_api_version": "3",
    }


def write(path: Path, keystone_port: int, passwords: Mapping[str, str]) -> None:
    """Write clouds.yaml, for its owner only; JSON, which is YAML too."""
    path.touch(mode=0o600)
    clouds = {cloud: entry(cloud, keystone_port, passwords) for cloud in USERS}
    path.write_text(json.dumps({"clouds": clouds}, indent=2) + "\n", encoding="utf-8")


def connect(cloud: str, keystone_port: int, passwords: Mapping[str, str]) -> Any:
    """An SDK connection as a cloud's user."""
    import openstack

    return openstack.connect(load_envvars=False, load_yaml_config=False, **entry(cloud, keystone_port, passwords))
