# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Converts between OpenStack's API mappings and our models. Pure.

The mark of a resource is part of the request that creates it. Servers and volumes carry it in their metadata; floating
IPs, ports, and security groups in their description (tags would need a second request, with a moment in between); key
pairs in the comment of their public key. A name is no mark, because anyone can choose it.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Optional

from ... import _cloud_init
from ..._models import Firewall, Image, Instance, KeyPair, Rule, Spec, Volume
from ..._ownership import TAG_GENERATION, TAG_NAME, TAG_PROJECT
from . import gpus

# Our metadata besides the common tags: what nova does not return, and which attempt has created a server.
META_IMAGE = "haven:image"
META_SUBNET = "haven:subnet"
META_USER_DATA = "haven:user-data"
META_CREATION = "haven:creation"
META_DEVICE = "haven:device"
META_KEPT = "haven:kept"
ROOT = "root"

_STATES = {
    "ACTIVE": "running",
    "BUILD": "pending",
    "DELETED": "terminated",
    "ERROR": "failed",
    "HARD_REBOOT": "pending",
    "MIGRATING": "running",
    "PASSWORD": "running",
    "PAUSED": "stopped",
    "REBOOT": "pending",
    "REBUILD": "pending",
    "RESCUE": "running",
    "RESIZE": "pending",
    "REVERT_RESIZE": "pending",
    "SHELVED": "stopping",
    "SHELVED_OFFLOADED": "shelved",
    "SHUTOFF": "stopped",
    "SOFT_DELETED": "terminated",
    "SUSPENDED": "stopped",
    "UNKNOWN": "failed",
    "VERIFY_RESIZE": "running",
}
# A running task takes precedence over the current state.
_TASKS = {
    "deleting": "terminating",
    "soft-deleting": "terminating",
    "powering-off": "stopping",
    "suspending": "stopping",
    "pausing": "stopping",
    "shelving": "stopping",
    "shelving_image_pending_upload": "stopping",
    "shelving_image_uploading": "stopping",
    "shelving_offloading": "stopping",
    "powering-on": "pending",
    "resuming": "pending",
    "unpausing": "pending",
    "unshelving": "pending",
    "spawning": "pending",
    "rebooting": "pending",
    "reboot_pending": "pending",
    "reboot_started": "pending",
    "rebooting_hard": "pending",
    "reboot_pending_hard": "pending",
    "reboot_started_hard": "pending",
    "rebuilding": "pending",
    "rebuild_block_device_mapping": "pending",
    "rebuild_spawning": "pending",
}
# nova's power state of a server that is off.
_POWERED_OFF = 4
_ETHERTYPES = {4: "IPv4", 6: "IPv6"}
_PROTOCOLS = {"ipv6-icmp": "icmp", "icmpv6": "icmp", "58": "icmp", "1": "icmp", "6": "tcp", "17": "udp"}
_UUID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}")
_KEY_SUFFIX = ".haven"


def is_id(text: str) -> bool:
    """Whether this is an id rather than a name."""
    return _UUID.fullmatch(text) is not None


# -- marks


def scoped(project: str, name: str) -> str:
    """The name of a security group."""
    return f"{project}/{name}"


def unscoped(project: str, name: str) -> str:
    return name[len(project) + 1 :] if name.startswith(f"{project}/") else name


def key_name(project: str, name: str) -> str:
    """The name of a key pair. Our names contain no @, so that it is unique."""
    return f"{name}@{project}{_KEY_SUFFIX}"


def key_name_parts(text: str) -> tuple[str, str]:
    """Return (project, name) of one of our key pairs. The project is empty for others."""
    name, at, rest = text.partition("@")
    if at and rest.endswith(_KEY_SUFFIX):
        return rest[: -len(_KEY_SUFFIX)], name
    return "", text


def own_groups(items: Iterable[Mapping[str, Any]], project: str, name: str) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the security groups that are the project's firewall of this name, beginning with the one that all use, and
    the ids of others with this name."""
    found = [dict(item) for item in items if item.get("name") == scoped(project, name)]
    ours = [item for item in found if unmarked(item.get("description"))[:2] == (project, name)]
    # The oldest, because machines may already use it.
    ours.sort(key=lambda item: (str(item.get("created_at") or ""), str(item["id"])))
    return ours, sorted(str(item["id"]) for item in found if item not in ours)


def volume_mark(item: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return (project, name, device) of a volume from its metadata, empty if it is not ours."""
    metadata = item.get("metadata") or {}
    project, name, device = (str(metadata.get(key) or "") for key in (TAG_PROJECT, TAG_NAME, META_DEVICE))
    return project, name, device


def key_mark(project: str, name: str) -> str:
    """The comment of a public key that we import, which distinguishes our key pair from another of the same name."""
    return f"{TAG_PROJECT}={project},haven:name={name}"


def is_our_key_pair(item: Mapping[str, Any]) -> bool:
    project, name = key_name_parts(str(item.get("name", "")))
    words = str(item.get("public_key") or "").split()
    return bool(project) and words[2:] == [key_mark(project, name)]


def marked(project: str, name: str, description: str = "") -> str:
    """Return a description with the mark."""
    return f"{description} [{TAG_PROJECT}={project} haven:name={name}]".strip()


def unmarked(description: Optional[str]) -> tuple[str, str, str]:
    """Return (project, name, the rest) of a description. Project and name are empty if it is not ours."""
    match = re.fullmatch(rf"(.*?) ?\[{TAG_PROJECT}=(\S+) haven:name=(\S+)\]", description or "", re.DOTALL)
    return (match.group(2), match.group(3), match.group(1)) if match else ("", "", description or "")


# -- servers


def state(item: Mapping[str, Any]) -> str:
    task = item.get("OS-EXT-STS:task_state")
    status = str(item.get("status", ""))
    if status in ("ERROR", "DELETED"):
        return _STATES[status]
    if status == "VERIFY_RESIZE" and item.get("OS-EXT-STS:power_state") == _POWERED_OFF:
        return "stopped"
    return _TASKS.get(str(task), _STATES.get(status, "pending"))


def is_scheduling(item: Mapping[str, Any]) -> bool:
    return item.get("status") == "BUILD" and item.get("OS-EXT-STS:task_state") in (None, "scheduling")


def is_a_second_old(item: Mapping[str, Any]) -> bool:
    """Whether it has changed in a later second than that of its creation, in whole seconds by nova's clock."""
    return str(item.get("updated", "")) > str(item.get("created", "~"))


def instance(item: Mapping[str, Any], region: str) -> Instance:
    metadata: dict[str, str] = dict(item.get("metadata") or {})
    project = metadata.get(TAG_PROJECT, "")
    flavor: Mapping[str, Any] = item.get("flavor") or {}
    fixed, floating = addresses(item.get("addresses") or {})
    image = item.get("image") or {}
    key = item.get("key_name")
    key_project, key_own_name = key_name_parts(key or "")
    groups = list(dict.fromkeys(group.get("name", "") for group in item.get("security_groups") or []))
    return Instance(
        id=item["id"],
        name=item.get("name", ""),
        project=project,
        cloud="openstack",
        region=region,
        state=state(item),
        availability_zone=item.get("OS-EXT-AZ:availability_zone") or None,
        instance_type=flavor.get("original_name"),
        gpu=gpus.gpu(str(flavor.get("original_name", "")), flavor.get("extra_specs")) if flavor else None,
        image=image.get("id") or metadata.get(META_IMAGE),
        private_address=fixed,
        public_address=floating,
        subnet=metadata.get(META_SUBNET),
        key_pair=(key_own_name if key_project == project else key) if key else None,
        firewalls=tuple(unscoped(project, group) for group in groups),
        firewall_ids=tuple(groups),
        launched_at=timestamp(item.get("OS-SRV-USG:launched_at")),
        state_reason=(item.get("fault") or {}).get("message"),
        volumes=tuple(
            Volume(id=volume["id"], device="", delete_with_instance=bool(volume.get("delete_on_termination")))
            for volume in item.get("os-extended-volumes:volumes_attached") or []
        ),
        tags={**metadata, TAG_NAME: item.get("name", "")},
        options={
            "key_name": key,
            "floating_ip": floating,
            "config_drive": str(item.get("config_drive", "")).lower() == "true",
            "boot_from_volume": not image,
        },
        attributes={"termination_protection": bool(item.get("locked"))},
    )


def details(item: Mapping[str, Any]) -> dict[str, Any]:
    """The server as nova returns it, without the user data that administrators get, which may contain secrets."""
    return {name: value for name, value in item.items() if name != "OS-EXT-SRV-ATTR:user_data"}


def addresses(networks: Mapping[str, Sequence[Mapping[str, Any]]]) -> tuple[Optional[str], Optional[str]]:
    """Return the first fixed and the first floating address, IPv4 before IPv6."""
    found: dict[str, list[str]] = {"fixed": [], "floating": []}
    for entries in networks.values():
        for entry in entries:
            found.setdefault(str(entry.get("OS-EXT-IPS:type", "fixed")), []).append(str(entry.get("addr", "")))
    first = {kind: sorted(texts, key=lambda text: ":" in text)[0] for kind, texts in found.items() if texts}
    return first.get("fixed"), first.get("floating")


def timestamp(text: Optional[str]) -> Optional[str]:
    """Parse nova's 2026-03-01T09:00:00.000000, which is in UTC."""
    return f"{text.partition('.')[0].rstrip('Z')}Z" if text else None


def metadata(spec: Spec, image: Image, generation: int, creation: str) -> dict[str, str]:
    """The metadata that a server has from the start."""
    found = {key: value for key, value in spec.all_tags().items() if key != TAG_NAME}
    found[TAG_GENERATION] = str(generation)
    found[META_CREATION] = creation
    found[META_IMAGE] = image.id
    if spec.subnet:
        found[META_SUBNET] = spec.subnet
    if spec.user_data:
        found[META_USER_DATA] = _cloud_init.digest(spec.project, spec.user_data)
    return found


def user_data(spec: Spec) -> Optional[str]:
    """The user data in nova's format."""
    found = _cloud_init.wanted(spec)
    return base64.b64encode(found).decode() if found is not None else None


def server_body(  # noqa: PLR0913 -- what a server is made of
    spec: Spec,
    image: Image,
    flavor_id: str,
    metadata: Mapping[str, str],
    *,
    networks: Any,
    firewall_ids: Sequence[str],
    volumes: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """The request body for a new server. ``networks`` is in nova's format; ``volumes`` have id, device, and delete."""
    server: dict[str, Any] = {
        "name": spec.name,
        "flavorRef": flavor_id,
        "metadata": dict(metadata),
        "networks": networks,
    }
    if not any(volume["device"] == ROOT for volume in volumes):
        server["imageRef"] = image.id
    key = key_name(spec.project, spec.key_pair) if spec.key_pair else spec.options.get("key_name")
    optional = {
        "key_name": key,
        "user_data": user_data(spec),
        "availability_zone": spec.availability_zone,
        "config_drive": spec.options.get("config_drive"),
        "security_groups": [{"name": each} for each in firewall_ids] or None,
        "block_device_mapping_v2": _block_devices(image, volumes) or None,
    }
    server.update({name: value for name, value in optional.items() if value is not None})
    hints = spec.options.get("scheduler_hints")
    return {"server": server, **({"os:scheduler_hints": dict(hints)} if hints else {})}


def _block_devices(image: Image, volumes: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    if not volumes:
        return []
    devices: list[dict[str, Any]] = []
    if not any(volume["device"] == ROOT for volume in volumes):
        local = {"source_type": "image", "destination_type": "local", "delete_on_termination": True}
        devices.append({**local, "uuid": image.id, "boot_index": 0})
    devices.extend(
        {
            "uuid": volume["id"],
            "source_type": "volume",
            "destination_type": "volume",
            "boot_index": 0 if volume["device"] == ROOT else -1,
            "delete_on_termination": volume["delete"],
        }
        for volume in volumes
    )
    return devices


def volume_with_details(known: Volume, item: Mapping[str, Any]) -> Volume:
    metadata = item.get("metadata") or {}
    attached = next((each.get("device") for each in item.get("attachments") or []), None)
    device = metadata.get(META_DEVICE) or attached or ""
    return Volume(
        id=known.id,
        device=attached or "" if device == ROOT else device,
        delete_with_instance=known.delete_with_instance,
        root=device == ROOT or str(item.get("bootable")).lower() == "true",
        size_gib=item.get("size"),
        type=item.get("volume_type"),
        encrypted=item.get("encrypted"),
    )


def image(item: Mapping[str, Any]) -> Image:
    return Image(id=item["id"], name=item.get("name") or "", owner=str(item.get("owner") or ""), root_device=ROOT)


# -- access


def key_pair(item: Mapping[str, Any], public_key: str = "") -> KeyPair:
    project, name = key_name_parts(item["name"])
    return KeyPair(
        id=item["name"],
        name=name,
        project=project,
        fingerprint=item.get("fingerprint", ""),
        public_key=item.get("public_key") or public_key,
    )


def firewall(item: Mapping[str, Any]) -> Firewall:
    project, name, description = unmarked(item.get("description"))
    return Firewall(
        id=item["id"],
        name=name,
        project=project,
        description=description,
        network=None,
        rules=frozenset(rule(each) for each in item.get("security_group_rules") or []),
    )


def rule(item: Mapping[str, Any]) -> Rule:
    """One of neutron's rules. A peer that is a group is not ours; it is kept by its id, so that it can be removed."""
    direction = "in" if item["direction"] == "ingress" else "out"
    protocol = str(item.get("protocol") or "all")
    protocol = _PROTOCOLS.get(protocol, protocol)
    first, last = item.get("port_range_min"), item.get("port_range_max")
    if protocol not in ("tcp", "udp"):
        first = last = -1
    elif first is None:
        first, last = 0, 65535
    everybody = "0.0.0.0/0" if item.get("ethertype") == "IPv4" else "::/0"
    peer = item.get("remote_ip_prefix") or item.get("remote_group_id") or item.get("remote_address_group_id")
    return Rule(
        direction, protocol, first, -1 if last is None else last, peer or everybody, item.get("description") or ""
    )


def rule_body(group_id: str, wanted: Rule) -> dict[str, Any]:
    version = ipaddress.ip_network(wanted.peer).version
    body: dict[str, Any] = {
        "security_group_id": group_id,
        "direction": "ingress" if wanted.direction == "in" else "egress",
        "ethertype": _ETHERTYPES[version],
        "remote_ip_prefix": wanted.peer,
        "description": wanted.description,
    }
    if wanted.protocol != "all":
        body["protocol"] = "ipv6-icmp" if wanted.protocol == "icmp" and version == 6 else wanted.protocol
    if wanted.from_port >= 0:
        body.update(port_range_min=wanted.from_port, port_range_max=wanted.to_port)
    return body
