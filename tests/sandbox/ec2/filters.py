# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters of DescribeInstances, as AWS lists them, with its wildcards."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from .models import error

if TYPE_CHECKING:
    from .models import SandboxInstance


@lru_cache(maxsize=10_000)
def pattern(text: str) -> re.Pattern[str]:
    r"""A filter's value: * stands for any characters, ? for one, \ before one of them for itself."""
    parts = re.findall(r"\\.|[*?]|[^*?\\]+|\\", text, re.DOTALL)
    wild = {"*": ".*", "?": "."}
    return re.compile(
        "".join(wild.get(part) or re.escape(part.removeprefix("\\") or part) for part in parts), re.DOTALL
    )


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _time(moment: Any) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}.000Z"


def _blocks(name: str) -> Callable[[SandboxInstance], list[Any]]:
    return lambda one: [getattr(block, name) for block in one.block_device_mapping.values()]


def _nics(name: str) -> Callable[[SandboxInstance], list[Any]]:
    return lambda one: [getattr(nic, name) for nic in one.nics.values()]


def _groups(name: str) -> Callable[[SandboxInstance], list[Any]]:
    return lambda one: [getattr(group, name) for group in one.security_groups]


def _metadata(name: str) -> Callable[[SandboxInstance], list[Any]]:
    return lambda one: [getattr(one.metadata_options, name)]


def _attribute(name: str) -> Callable[[SandboxInstance], list[Any]]:
    return lambda one: [getattr(one, name)]


def _profile(one: SandboxInstance) -> list[str]:
    association = one.ec2_backend.iam_instance_profile_associations.get(one.id)
    return [association.iam_instance_profile.arn] if association else []


FILTERS: dict[str, Callable[[SandboxInstance], list[Any]]] = {
    "architecture": _attribute("architecture"),
    "availability-zone": _attribute("availability_zone"),
    "block-device-mapping.attach-time": lambda one: [_time(b.attach_time) for b in one.block_device_mapping.values()],
    "block-device-mapping.delete-on-termination": _blocks("delete_on_termination"),
    "block-device-mapping.device-name": lambda one: list(one.block_device_mapping),
    "block-device-mapping.volume-id": _blocks("volume_id"),
    "client-token": _attribute("client_token"),
    "dns-name": _attribute("public_dns_name"),
    "group-id": _groups("id"),
    "group-name": _groups("name"),
    "hypervisor": _attribute("hypervisor"),
    "iam-instance-profile.arn": _profile,
    "image-id": _attribute("image_id"),
    "instance-id": _attribute("id"),
    "instance-lifecycle": _attribute("lifecycle"),
    "instance-state-code": _attribute("state_code"),
    "instance-state-name": _attribute("state_name"),
    "instance-type": _attribute("instance_type"),
    "instance.group-id": _groups("id"),
    "instance.group-name": _groups("name"),
    "ip-address": _attribute("public_ip"),
    "key-name": _attribute("key_name"),
    "launch-index": _attribute("ami_launch_index"),
    "launch-time": lambda one: [_time(one.launch_time)],
    "metadata-options.http-endpoint": _metadata("http_endpoint"),
    "metadata-options.http-put-response-hop-limit": _metadata("http_put_response_hop_limit"),
    "metadata-options.http-tokens": _metadata("http_tokens"),
    "monitoring-state": _attribute("monitoring_state"),
    "network-interface.addresses.private-ip-address": _nics("private_ip_address"),
    "network-interface.group-id": _groups("id"),
    "network-interface.network-interface-id": _nics("id"),
    "network-interface.subnet-id": _nics("subnet_id"),
    "network-interface.vpc-id": _nics("vpc_id"),
    "owner-id": _attribute("owner_id"),
    "private-dns-name": _attribute("private_dns_name"),
    "private-ip-address": _attribute("private_ip"),
    "reason": _attribute("state_transition_reason"),
    "root-device-name": _attribute("root_device_name"),
    "root-device-type": _attribute("root_device_type"),
    "source-dest-check": _attribute("source_dest_check"),
    "spot-instance-request-id": _attribute("spot_instance_request_id"),
    "state-reason-code": lambda one: [one.state_reason.code] if one.state_reason else [],
    "subnet-id": _attribute("subnet_id"),
    "tag-key": lambda one: list(_tags(one)),
    "tag-value": lambda one: list(_tags(one).values()),
    "virtualization-type": _attribute("virtualization_type"),
    "vpc-id": _attribute("vpc_id"),
}


def _tags(one: SandboxInstance) -> dict[str, str]:
    tags: dict[str, str] = one.ec2_backend.tags.get(one.id) or {}
    return tags


def _values(name: str, one: SandboxInstance, reservation_id: str) -> Iterable[Any]:
    if name.startswith("tag:"):
        tags, key = _tags(one), name.removeprefix("tag:")
        return [tags[key]] if key in tags else []
    if name == "reservation-id":
        return [reservation_id]
    return FILTERS[name](one)


def check(filters: dict[str, list[str]]) -> None:
    """Raises what AWS answers for a filter it does not know."""
    for name in filters:
        if name not in FILTERS and name != "reservation-id" and not name.startswith("tag:"):
            raise error("InvalidParameterValue", f"The filter '{name}' is invalid")


def passes(one: SandboxInstance, reservation_id: str, filters: dict[str, list[str]]) -> bool:
    """Whether an instance has, for each filter, one of its values."""
    for name, wanted in filters.items():
        values = [_text(value) for value in _values(name, one, reservation_id) if value is not None]
        if not any(pattern(text).fullmatch(value) for text in wanted for value in values):
            return False
    return True
