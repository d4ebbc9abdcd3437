# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of both sides on OpenStack: the same wish as tasks of haven.gpu and of openstack.cloud."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .cloud import CLOUD

Tasks = list[dict[str, Any]]

IMAGE_PATTERN = "haven-debian-12-2026*"
IMAGE = "haven-debian-12-20260101"
FLAVOR = "cpu.small"
NETWORK = "private"
OURS = {"cloud": "openstack", "project": "bench"}
METADATA = {"haven:project": "bench"}
TWENTY = [f"node-{number:02}" for number in range(20)]


def ours(names: list[str]) -> Tasks:
    wish = {**OURS, "name": names, "image": {"name": IMAGE_PATTERN}, "instance_type": FLAVOR}
    return [{"haven.gpu.instance": wish}]


def peer(name: str) -> dict[str, Any]:
    wish = {"name": name, "image": IMAGE, "flavor": FLAVOR, "network": NETWORK, "metadata": METADATA}
    # Ours asks for no floating IP either.
    return {"openstack.cloud.server": {**wish, "cloud": CLOUD, "state": "present", "auto_ip": False}}


def peer_one() -> Tasks:
    return [peer("one")]


def peer_twenty() -> Tasks:
    return [{**peer("{{ item }}"), "loop": TWENTY}]


def our_inventory(folder: Path) -> Path:
    file = folder / "haven.yml"
    file.write_text(json.dumps({"plugin": "haven.gpu.instances", "cloud": "openstack", "projects": ["bench"]}))
    return file


def peer_inventory(folder: Path) -> Path:
    file = folder / "openstack.yml"
    options = {
        "plugin": "openstack.cloud.openstack",
        "only_clouds": [CLOUD],
        "fail_on_errors": True,
        "private": True,
        # Off: groups of every property, which ours has not.
        "legacy_groups": False,
        "keyed_groups": [
            {"key": "openstack.metadata['haven:project']", "prefix": "haven_project"},
            {"key": "openstack.status", "prefix": "haven_state"},
            {"key": "openstack.flavor.original_name", "prefix": "haven_type"},
        ],
        "compose": {"ansible_user": "'debian'"},
    }
    # JSON is YAML.
    file.write_text(json.dumps(options))
    return file
