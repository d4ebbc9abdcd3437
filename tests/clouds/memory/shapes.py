# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Between the memory cloud's shapes and ours. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Optional

from ... import _cloud_init
from ..._models import Firewall, Gpu, Image, Instance, KeyPair, Resource, Rule, Spec, Volume, VolumeSpec
from ..._ownership import TAG_GENERATION, TAG_NAME, TAG_PROJECT

ROOT_GIB = 8


def scoped(project: str, name: str) -> str:
    """Names are unique in the account, ours in the project."""
    return f"{project}/{name}"


def token(spec: Spec, generation: int) -> str:
    """The same for everybody who means the same instance."""
    return hashlib.sha256(f"{spec.project}\0{spec.name}\0{generation}".encode()).hexdigest()


def wanted(spec: Spec, image: Image, generation: int, firewall_ids: list[str]) -> dict[str, Any]:
    return {
        "type": spec.instance_type,
        "image": image.id,
        "key_pair": scoped(spec.project, spec.key_pair) if spec.key_pair else None,
        "firewalls": firewall_ids,
        "protected": bool(spec.termination_protection),
        "rack": spec.options.get("rack"),
        "tags": {**spec.all_tags(), TAG_GENERATION: str(generation)},
        "user_data": (_cloud_init.wanted(spec) or b"").decode("latin-1"),
    }


def disks(spec: Spec) -> list[dict[str, Any]]:
    """The root disk first."""
    root = spec.root_volume or VolumeSpec()
    return [_disk(spec, root, delete_by_default=True), *(_disk(spec, each, False) for each in spec.data_volumes)]


def _disk(spec: Spec, volume: VolumeSpec, delete_by_default: bool) -> dict[str, Any]:
    delete = volume.delete_with_instance
    return {
        "device": volume.device or "root",
        "size_gib": volume.size_gib or ROOT_GIB,
        "type": volume.type or "plain",
        "delete": delete_by_default if delete is None else delete,
        "tags": {TAG_PROJECT: spec.project, TAG_NAME: spec.name},
    }


def instance(item: Mapping[str, Any], gpu: Optional[Gpu], firewalls: Mapping[str, str]) -> Instance:
    """``firewalls``: their names by id."""
    project = item["tags"].get(TAG_PROJECT, "")
    return Instance(
        id=item["id"],
        name=item["tags"].get(TAG_NAME, ""),
        project=project,
        cloud="memory",
        region=item["region"],
        state=item["state"],
        instance_type=item["type"],
        gpu=gpu,
        image=item["image"],
        private_address=item["private_address"],
        key_pair=unscoped(project, item["key_pair"]),
        firewalls=tuple(unscoped(project, firewalls.get(each)) or each for each in item["firewalls"]),
        firewall_ids=tuple(item["firewalls"]),
        launched_at=item["launched_at"],
        volumes=tuple(
            Volume(each["id"], each["device"], each["delete"], each["root"])
            for each in item["disks"]
            if isinstance(each, Mapping)
        ),
        tags=item["tags"],
        options={"rack": item["rack"]},
    )


def unscoped(project: str, name: Optional[str]) -> Optional[str]:
    return name.removeprefix(f"{project}/") if name else None


def key_pair(item: Mapping[str, Any]) -> KeyPair:
    project, name = item["tags"][TAG_PROJECT], item["tags"][TAG_NAME]
    digest = hashlib.sha256(item["public_key"].encode()).hexdigest()
    return KeyPair(item["id"], name, project, digest, item["public_key"], item["tags"])


def firewall(item: Mapping[str, Any]) -> Firewall:
    return Firewall(
        id=item["id"],
        name=item["tags"][TAG_NAME],
        project=item["tags"][TAG_PROJECT],
        description=item["description"],
        network=None,
        rules=frozenset(Rule(*rule) for rule in item["rules"]),
        tags=item["tags"],
    )


def rule(known: Rule) -> list[Any]:
    return [known.direction, known.protocol, known.from_port, known.to_port, known.peer, known.description]


def resource(kind: str, item: Mapping[str, Any]) -> Resource:
    used = item["machine"] is not None if kind == "volume" else None
    return Resource(kind, item["id"], item["tags"].get(TAG_NAME, ""), "", used)
