# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What RunInstances checks and completes before anything is made: AWS refuses what moto accepts or trips over."""

from __future__ import annotations

from typing import Any

from moto.ec2.models.instance_types import INSTANCE_TYPE_OFFERINGS, INSTANCE_TYPES
from moto.iam.models import iam_backends

from .models import error
from .networks import require_default

TAGGED_BY_LAUNCH = frozenset({"instance", "volume", "network-interface", "spot-instances-request"})
MAX_USER_DATA = 16_384


def count(params: dict[str, Any], free_addresses: int) -> int:
    """How many instances to make: as many as fit, up to MaxCount, and at least MinCount."""
    for name in ("ImageId", "MinCount", "MaxCount"):
        if params.get(name) is None:
            raise error("MissingParameter", f"The request must contain the parameter {name}")
    low, high = int(params["MinCount"]), int(params["MaxCount"])
    if low < 1 or high < low:
        raise error(
            "InvalidParameterValue",
            f"Invalid value '{high}' for MaxCount. It must be at least MinCount, {low}, and that positive.",
        )
    if free_addresses < low:
        raise error(
            "InsufficientFreeAddressesInSubnet",
            "There are not enough free addresses in the subnet to satisfy the requested number of instances.",
        )
    return min(high, free_addresses)


def primary_interface(params: dict[str, Any]) -> dict[str, Any] | None:
    """The request's own description of the first interface, if it has one."""
    for nic in params.get("NetworkInterfaces", []):
        if int(nic.get("DeviceIndex", 0)) == 0:
            nic.setdefault("DeviceIndex", 0)
            found: dict[str, Any] = nic
            return found
    return None


def place(backend: Any, params: dict[str, Any]) -> Any:
    """The subnet of the first interface; writes the default one into the request where it names none."""
    nic = primary_interface(params)
    target = params if nic is None else nic
    named = target.get("SubnetId") or params.get("SubnetId")
    if named:
        return backend.get_subnet(named)
    if nic and nic.get("NetworkInterfaceId"):
        return backend.get_network_interface(nic["NetworkInterfaceId"]).subnet
    require_default(backend)
    defaults = backend.get_default_subnets()
    zone = (params.get("Placement") or {}).get("AvailabilityZone") or min(defaults, default=None)
    if zone not in defaults:
        raise error("MissingInput", f"No default subnet for availability zone: '{zone}'.")
    target["SubnetId"] = defaults[zone].id
    return defaults[zone]


def check_groups(backend: Any, params: dict[str, Any], subnet: Any) -> None:
    """Groups must exist, in the subnet's network: moto makes up those that do not."""
    nic = primary_interface(params) or {}
    for group_id in [*params.get("SecurityGroupIds", []), *nic.get("Groups", [])]:
        group = backend.get_security_group_from_id(group_id)
        if group is None:
            raise error("InvalidGroup.NotFound", f"The security group '{group_id}' does not exist")
        if group.vpc_id != subnet.vpc_id:
            raise error(
                "InvalidParameter",
                f"Security group {group_id} and subnet {subnet.id} belong to different networks.",
            )
    for name in params.get("SecurityGroups", []):
        if backend.get_security_group_from_name(name, subnet.vpc_id) is None:
            raise error(
                "InvalidGroup.NotFound",
                f"The security group '{name}' does not exist in VPC '{subnet.vpc_id}'",
            )


def check_address(params: dict[str, Any], subnet: Any, instances: int) -> None:
    """A chosen private address must be free, and can be one machine's only."""
    nic = primary_interface(params) or {}
    listed = [one["PrivateIpAddress"] for one in nic.get("PrivateIpAddresses", []) if one.get("Primary")]
    chosen = params.get("PrivateIpAddress") or nic.get("PrivateIpAddress") or next(iter(listed), None)
    if not chosen:
        return
    if instances > 1:
        raise error(
            "InvalidParameterCombination",
            "The parameter privateIpAddress cannot be specified when launching more than one instance.",
        )
    subnet.check_free(chosen)


def check_type(backend: Any, params: dict[str, Any], subnet: Any) -> None:
    """The type must exist, be offered in the zone, and be of the image's architecture."""
    name = params.get("InstanceType") or "m1.small"
    known = INSTANCE_TYPES.get(name)
    if known is None:
        raise error("InvalidParameterValue", f"Invalid value '{name}' for InstanceType.")
    image = backend.amis.get(params["ImageId"])
    built_for = known.get("ProcessorInfo", {}).get("SupportedArchitectures", [])
    if image and image.architecture and built_for and image.architecture not in built_for:
        raise error(
            "InvalidParameterValue",
            f"The architecture '{','.join(built_for)}' of the specified instance type does not match the architecture "
            f"'{image.architecture}' of the specified AMI. Specify an instance type and an AMI that have matching "
            "architectures, and try again.",
        )
    zone = subnet.availability_zone
    offered = INSTANCE_TYPE_OFFERINGS["availability-zone"].get(backend.region_name, [])
    zones = sorted({one["Location"] for one in offered if one["InstanceType"] == name})
    if zone not in zones:
        raise error(
            "Unsupported",
            f"Your requested instance type ({name}) is not supported in your requested Availability Zone ({zone}). "
            f"Please retry your request by not specifying an Availability Zone or choosing {', '.join(zones)}.",
        )


def check_user_data(params: dict[str, Any]) -> None:
    """AWS's limit is on the data before base64, which is what the parameter's parser leaves or not."""
    data = params.get("UserData")
    if data is not None and len(data) * 3 // 4 > MAX_USER_DATA + 2:
        raise error("InvalidParameterValue", "User data is limited to 16384 bytes")


def check_profile(backend: Any, params: dict[str, Any]) -> None:
    """An instance profile must exist."""
    asked = params.get("IamInstanceProfile") or {}
    profiles = iam_backends[backend.account_id]["aws"].instance_profiles.values()
    for field, attribute in (("Name", "name"), ("Arn", "arn")):
        value = asked.get(field)
        if value and value not in {getattr(profile, attribute) for profile in profiles}:
            raise error(
                "InvalidParameterValue",
                f"Value ({value}) for parameter iamInstanceProfile.{field.lower()} is invalid. "
                f"Invalid IAM Instance Profile {field.lower() if field == 'Name' else 'ARN'}",
            )


def block_devices(image: Any, asked: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The image's volumes with the request's laid over them: moto forgets the root volume when only data is named."""
    merged: dict[str, dict[str, Any]] = {}
    for mapping in image.block_device_mappings:
        merged[mapping["DeviceName"]] = dict(mapping["Ebs"])
    from_image = {name: int(ebs["VolumeSize"]) for name, ebs in merged.items()}
    for mapping in asked:
        name = mapping.get("DeviceName")
        if not name:
            raise error("MissingParameter", "The request must contain the parameter DeviceName")
        if "NoDevice" in mapping:
            merged.pop(name, None)
        elif "Ebs" in mapping:
            ebs = {"DeleteOnTermination": False, "VolumeType": "gp2", **merged.get(name, {}), **mapping["Ebs"]}
            _check_volume(name, ebs, from_image.get(name))
            merged[name] = ebs
        elif "VirtualName" not in mapping:
            raise error("MissingParameter", "The request must contain the parameter ebs")
    return [_as_moto_wants(name, ebs) for name, ebs in merged.items()]


def _check_volume(name: str, ebs: dict[str, Any], least: int | None) -> None:
    size = ebs.get("VolumeSize")
    if size is None and not ebs.get("SnapshotId"):
        raise error("MissingParameter", "The request must contain the parameter size or snapshotId")
    if least is not None and size is not None and int(size) < least:
        raise error(
            "InvalidBlockDeviceMapping",
            f"Volume of size {size}GB is smaller than snapshot '{ebs.get('SnapshotId')}', expect size >= {least}GB",
        )
    if ebs.get("VolumeType") in {"io1", "io2"} and not ebs.get("Iops"):
        raise error(
            "InvalidParameterCombination", f"The parameter iops must be specified for {ebs['VolumeType']} volumes."
        )


def _as_moto_wants(name: str, ebs: dict[str, Any]) -> dict[str, Any]:
    fields = ("SnapshotId", "VolumeSize", "DeleteOnTermination", "VolumeType", "Iops", "Encrypted", "KmsKeyId")
    # A snapshot's own encryption would win over the request's in moto; its size is in the mapping already.
    values = {field: ebs.get(field) for field in fields}
    values["Encrypted"] = bool(ebs.get("Encrypted"))
    return {"DeviceName": name, "VirtualName": None, "NoDevice": None, "Ebs": values}
