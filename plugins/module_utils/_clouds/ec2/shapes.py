# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Converts between EC2's API mappings and our models. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, Optional

from ... import _cloud_init
from ..._models import Firewall, Gpu, Image, Instance, KeyPair, Rule, Spec, Volume, VolumeSpec
from ..._ownership import TAG_GENERATION, TAG_NAME, TAG_PROJECT

# Large elements in a list of instances that instance() does not use.
UNREAD = ("networkInterfaceSet",)
_STATES = {"shutting-down": "terminating"}
_PROTOCOLS = {"-1": "all"}


def scoped(project: str, name: str) -> str:
    """The name of a key pair or security group in EC2, where names are unique in the account or VPC. Ours are unique in
    the project."""
    return f"{project}/{name}"


def unscoped(project: str, name: str) -> str:
    return name[len(project) + 1 :] if name.startswith(f"{project}/") else name


def tags_of(item: Mapping[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag.get("Value", "") for tag in item.get("Tags", [])}


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


def tag_specifications(tags: Mapping[str, str], *kinds: str) -> list[dict[str, Any]]:
    return [{"ResourceType": kind, "Tags": tag_list(tags)} for kind in kinds]


def filters(values: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    """Return EC2 filters for names and values. Wildcards in values are escaped."""
    escaped = {name: [_literal(value) for value in found] for name, found in values.items()}
    return [{"Name": name, "Values": found} for name, found in escaped.items()]


def own_filters(values: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    """Return EC2 filters as the user wrote them, including wildcards."""
    return [{"Name": name, "Values": list(found)} for name, found in values.items()]


def details(item: Mapping[str, Any], reservation: Mapping[str, Any]) -> dict[str, Any]:
    """Return everything in the listing about an instance, in JSON types."""
    shared = {name: value for name, value in reservation.items() if name not in ("Instances", "Groups")}
    return {name: _plain(value) for name, value in {**shared, **item}.items()}


def _plain(value: Any) -> Any:
    """Convert a part of an answer to JSON types. Times become text."""
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return timestamp(value) if isinstance(value, datetime) else value


def _literal(value: str) -> str:
    for wildcard in ("\\", "*", "?"):
        value = value.replace(wildcard, "\\" + wildcard)
    return value


def instance(item: Mapping[str, Any], region: str, gpu: Optional[Gpu]) -> Instance:
    tags = tags_of(item)
    project = tags.get(TAG_PROJECT, "")
    state = item["State"]["Name"]
    groups = item.get("SecurityGroups", [])
    root = item.get("RootDeviceName")
    key_name = item.get("KeyName")
    profile = item.get("IamInstanceProfile", {}).get("Arn")
    return Instance(
        id=item["InstanceId"],
        name=tags.get(TAG_NAME, ""),
        project=project,
        cloud="ec2",
        region=region,
        state=_STATES.get(state, state),
        availability_zone=item.get("Placement", {}).get("AvailabilityZone"),
        instance_type=item.get("InstanceType"),
        gpu=gpu,
        image=item.get("ImageId"),
        private_address=item.get("PrivateIpAddress") or None,
        public_address=item.get("PublicIpAddress") or None,
        subnet=item.get("SubnetId"),
        key_pair=unscoped(project, key_name) if key_name else None,
        firewalls=tuple(unscoped(project, group.get("GroupName", "")) for group in groups),
        firewall_ids=tuple(group["GroupId"] for group in groups),
        state_reason=_state_reason(item.get("StateReason", {})),
        launched_at=timestamp(item.get("LaunchTime")),
        spot=item.get("InstanceLifecycle") == "spot",
        # The API returns it for all except on-demand instances.
        price_class=(item.get("InstanceLifecycle") or "on-demand").replace("-", "_"),
        hibernation=bool(item.get("HibernationOptions", {}).get("Configured")),
        volumes=tuple(
            Volume(
                id=mapping["Ebs"]["VolumeId"],
                device=mapping["DeviceName"],
                delete_with_instance=bool(mapping["Ebs"].get("DeleteOnTermination")),
                root=mapping["DeviceName"] == root,
            )
            for mapping in item.get("BlockDeviceMappings", [])
            if "Ebs" in mapping
        ),
        tags=tags,
        options={
            "imdsv2": item.get("MetadataOptions", {}).get("HttpTokens") == "required",
            # The name is unique in the account, whatever its path is.
            "iam_instance_profile": profile.rpartition("/")[2] if profile else None,
            "key_name": key_name,
        },
    )


def _state_reason(item: Mapping[str, Any]) -> Optional[str]:
    """As "code: message". The message usually begins with the code, but not always."""
    code, message = item.get("Code") or "", item.get("Message") or ""
    if not message or message.startswith(code):
        return message or code or None
    return f"{code}: {message}"


def timestamp(moment: Optional[datetime]) -> Optional[str]:
    if moment is None:
        return None
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def image(item: Mapping[str, Any]) -> Image:
    root = item.get("RootDeviceName") or "/dev/xvda"
    disks = {each.get("DeviceName"): each.get("Ebs") or {} for each in item.get("BlockDeviceMappings") or []}
    return Image(
        id=item["ImageId"],
        name=item.get("Name", ""),
        root_device=root,
        architecture=item.get("Architecture") or "",
        min_disk_gib=int(disks.get(root, {}).get("VolumeSize") or 0),
    )


def client_token(project: str, name: str, generation: int) -> str:
    """Return a token that is the same for everyone who creates the same instance: 64 characters, EC2's limit."""
    return hashlib.sha256(f"haven.gpu\0{project}\0{name}\0{generation}".encode()).hexdigest()


def run_parameters(spec: Spec, chosen: Image, generation: int, firewall_ids: Sequence[str]) -> dict[str, Any]:
    """Return the parameters of RunInstances, equal for equal requests, because a token requires equal parameters."""
    tags = {**spec.all_tags(), TAG_GENERATION: str(generation)}
    kinds = ["instance", "volume"] + (["spot-instances-request"] if spec.spot else [])
    parameters: dict[str, Any] = {
        "ImageId": chosen.id,
        "InstanceType": spec.instance_type,
        "MinCount": 1,
        "MaxCount": 1,
        "ClientToken": client_token(spec.project, spec.name, generation),
        "TagSpecifications": tag_specifications(tags, *kinds),
        "BlockDeviceMappings": _block_devices(spec, chosen),
        "NetworkInterfaces": [_network_interface(spec, firewall_ids)],
        "MetadataOptions": {
            "HttpEndpoint": "enabled",
            "HttpTokens": "required" if spec.options.get("imdsv2", True) else "optional",
        },
    }
    user_data = _cloud_init.wanted(spec)
    if user_data is not None:
        parameters["UserData"] = user_data
    profile = spec.options.get("iam_instance_profile")
    spot = {"MaxPrice": spec.spot_max_price} if spec.spot_max_price else {}
    optional = {
        "KeyName": scoped(spec.project, spec.key_pair) if spec.key_pair else spec.options.get("key_name"),
        "Placement": {"AvailabilityZone": spec.availability_zone} if spec.availability_zone else None,
        "IamInstanceProfile": {"Name": profile} if profile else None,
        "InstanceInitiatedShutdownBehavior": spec.shutdown_behavior,
        "DisableApiTermination": spec.termination_protection,
        "HibernationOptions": {"Configured": True} if spec.hibernation else None,
        "InstanceMarketOptions": {"MarketType": "spot", "SpotOptions": spot} if spec.spot else None,
    }
    return {**parameters, **{name: value for name, value in optional.items() if value is not None}}


def _network_interface(spec: Spec, firewall_ids: Sequence[str]) -> dict[str, Any]:
    # Set explicitly, because a default subnet would assign a public address.
    interface: dict[str, Any] = {
        "DeviceIndex": 0,
        "AssociatePublicIpAddress": bool(spec.public_address),
        "DeleteOnTermination": True,
    }
    if spec.subnet:
        interface["SubnetId"] = spec.subnet
    if spec.private_address:
        interface["PrivateIpAddress"] = spec.private_address
    if firewall_ids:
        interface["Groups"] = list(firewall_ids)
    return interface


def _block_devices(spec: Spec, chosen: Image) -> list[dict[str, Any]]:
    root = spec.root_volume or VolumeSpec()
    return [
        {"DeviceName": chosen.root_device, "Ebs": _disk(root, delete_by_default=True)},
        *({"DeviceName": volume.device, "Ebs": _disk(volume, delete_by_default=False)} for volume in spec.data_volumes),
    ]


def _disk(volume: VolumeSpec, *, delete_by_default: bool) -> dict[str, Any]:
    delete = volume.delete_with_instance
    disk: dict[str, Any] = {
        "DeleteOnTermination": delete_by_default if delete is None else delete,
        "VolumeType": volume.type or "gp3",
    }
    if volume.size_gib is not None:
        disk["VolumeSize"] = volume.size_gib
    # Never False, because EC2 refuses that for an encrypted snapshot.
    if volume.encrypted is not False:
        disk["Encrypted"] = True
    return disk


def volume_with_details(known: Volume, item: Mapping[str, Any]) -> Volume:
    return Volume(
        id=known.id,
        device=known.device,
        delete_with_instance=known.delete_with_instance,
        root=known.root,
        size_gib=item.get("Size"),
        type=item.get("VolumeType"),
        encrypted=item.get("Encrypted"),
    )


def key_pair(item: Mapping[str, Any], project: str, public_key: str = "") -> KeyPair:
    return KeyPair(
        id=item["KeyPairId"],
        name=unscoped(project, item["KeyName"]),
        project=project,
        fingerprint=item.get("KeyFingerprint", ""),
        public_key=item.get("PublicKey") or public_key,
        tags=tags_of(item),
    )


def firewall(item: Mapping[str, Any], project: str) -> Firewall:
    rules: set[Rule] = set()
    for direction, field in (("in", "IpPermissions"), ("out", "IpPermissionsEgress")):
        for permission in item.get(field, []):
            rules.update(_rules(direction, permission))
    return Firewall(
        id=item["GroupId"],
        name=unscoped(project, item["GroupName"]),
        project=project,
        description=item.get("Description", ""),
        network=item.get("VpcId"),
        rules=frozenset(rules),
        tags=tags_of(item),
    )


def _rules(direction: str, permission: Mapping[str, Any]) -> list[Rule]:
    protocol = _PROTOCOLS.get(permission["IpProtocol"], permission["IpProtocol"])
    ports = (permission.get("FromPort", -1), permission.get("ToPort", -1)) if protocol != "all" else (-1, -1)
    peers = [(each["CidrIp"], each.get("Description", "")) for each in permission.get("IpRanges", [])]
    peers += [(each["CidrIpv6"], each.get("Description", "")) for each in permission.get("Ipv6Ranges", [])]
    # Peers that are groups or prefix lists are not ours. They are kept by name so that they can be removed.
    peers += [(each["GroupId"], each.get("Description", "")) for each in permission.get("UserIdGroupPairs", [])]
    peers += [(each["PrefixListId"], each.get("Description", "")) for each in permission.get("PrefixListIds", [])]
    return [Rule(direction, protocol, ports[0], ports[1], peer, text) for peer, text in peers]


def permissions(rules: Sequence[Rule]) -> list[dict[str, Any]]:
    """Return the rules as IpPermissions, one for each protocol and port range."""
    grouped: dict[tuple[str, int, int], dict[str, Any]] = {}
    for rule in sorted(rules):
        entry = grouped.setdefault((rule.protocol, rule.from_port, rule.to_port), _permission(rule))
        kind, key = _peer_kind(rule.peer)
        peer = {key: rule.peer, **({"Description": rule.description} if rule.description else {})}
        entry.setdefault(kind, []).append(peer)
    return list(grouped.values())


def _permission(rule: Rule) -> dict[str, Any]:
    if rule.protocol == "all":
        return {"IpProtocol": "-1"}
    return {"IpProtocol": rule.protocol, "FromPort": rule.from_port, "ToPort": rule.to_port}


def _peer_kind(peer: str) -> tuple[str, str]:
    if peer.startswith("sg-"):
        return "UserIdGroupPairs", "GroupId"
    if peer.startswith("pl-"):
        return "PrefixListIds", "PrefixListId"
    return ("Ipv6Ranges", "CidrIpv6") if ":" in peer else ("IpRanges", "CidrIp")
