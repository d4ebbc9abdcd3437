# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The jump host: a guest like the others, but for its second leg, and made by the collection's own role jump_host.

Applying the role takes half a minute, so it is done once: gate_image.py keeps the result as a layer. What a layer
cannot know are this sandbox's key and network; `admit` puts them in place of those that the role was given.
"""

from __future__ import annotations

import json
import re
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from .errors import SandboxError
from .ranges import PRIVATE, PUBLIC_ADDRESSES

NAME = "gate"
IMAGE = "gate"
USER = "sshuser"

KEYS = f"etc/ssh/haven-jump-host/{USER}"
# What is in force, and what was asked for last: the role compares them.
RULES = ("etc/haven/jump_host/rules.nft", "etc/haven/jump_host/next/rules.nft")


def role_variables(public_key: str) -> dict[str, Any]:
    """What the role is told. There is no limit on new connections: all tests come from one address."""
    return {
        "jump_host_members": [{"name": USER, "ssh_keys": [public_key], "environments": ["guests"]}],
        "jump_host_environments": {"guests": [str(PRIVATE), str(PUBLIC_ADDRESSES)]},
        "jump_host_connections_per_minute": 0,
        "jump_host_startups": 200,
    }


def user_data(host_key: str, hosts: str = "") -> bytes:
    """The gate's cloud-config: a host key known beforehand, and no user; who may pass is the role's business.

    hosts: lines for its /etc/hosts.
    """
    names = {"path": "/etc/hosts", "content": hosts, "append": True}
    keys = {"ssh_keys": {"ed25519_private": host_key}, "ssh_deletekeys": True}
    config: dict[str, Any] = {"users": [], **keys, "write_files": [names] if hosts else []}
    return b"#cloud-config\n" + json.dumps(config).encode()


def admit(root: Path, public_key: str, subnet: IPv4Network) -> None:
    """Let the holder of a key pass to a subnet, in the root folder of a gate made for another key and all subnets."""
    _replace(root / KEYS, r"\bssh-ed25519 .+", public_key)
    for rules in RULES:
        _replace(root / rules, rf"(?<=[ ,]){re.escape(str(PRIVATE))}(?=[ ,])", str(subnet))


def _replace(path: Path, pattern: str, text: str) -> None:
    changed, count = re.subn(pattern, lambda _: text, path.read_text(encoding="utf-8"))
    if count != 1:
        raise SandboxError(
            f"{path.name} of the jump host is not what the role was asked for: {pattern} is there {count} times."
        )
    path.write_text(changed, encoding="utf-8")
