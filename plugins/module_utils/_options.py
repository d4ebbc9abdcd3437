# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Argument specifications of the modules, and their conversion to _models. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Any, Optional

from ._clouds import package
from ._errors import InvalidRequest
from ._models import STATES, FirewallSpec, ImageChoice, KeyPairSpec, Rule, Spec, VolumeSpec
from ._ownership import PREFIX, TAG_NAME, is_system
from ._ssh import checks as _checks

# Safe in a host name, a file name, an SSH alias, and an API filter.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}")
# The states that can be requested for an instance given by its id.
_STATES_BY_ID = ("running", "stopped", "restarted", "shelved", "absent")

_VOLUME: dict[str, Any] = {
    "size_gib": {"type": "int"},
    "type": {"type": "str"},
    "encrypted": {"type": "bool"},
    "delete_with_instance": {"type": "bool"},
}
_IMAGE: dict[str, Any] = {
    "type": "dict",
    "options": {"id": {"type": "str"}, "name": {"type": "str"}, "owner": {"type": "str"}, "parameter": {"type": "str"}},
    "mutually_exclusive": [("id", "name", "parameter")],
    "required_one_of": [("id", "name", "parameter")],
    "required_by": {"owner": ["name"]},
}
HOPS: dict[str, Any] = {
    "type": "list",
    "elements": "dict",
    "options": {
        "host": {"type": "str"},
        "instance": {"type": "str"},
        "tag": {"type": "dict"},
        "port": {"type": "int", "default": 22},
        "user": {"type": "str"},
        "key": {"type": "path", "no_log": False},
        "host_key": {"type": "str", "no_log": False},
        "inside_address": {"type": "str"},
    },
    "required_one_of": [("host", "instance", "tag")],
    "mutually_exclusive": [("host", "instance", "tag")],
}

INSTANCE: dict[str, Any] = {
    "name": {"type": "list", "elements": "str"},
    "id": {"type": "list", "elements": "str"},
    "state": {
        "type": "str",
        "choices": ["present", "running", "stopped", "restarted", "shelved", "rebuilt", "absent"],
        "default": "present",
    },
    "image": _IMAGE,
    "instance_type": {"type": "str"},
    "key_pair": {"type": "str", "no_log": False},
    "firewalls": {"type": "list", "elements": "str"},
    "subnet": {"type": "str"},
    "availability_zone": {"type": "str"},
    "public_address": {"type": "bool"},
    "private_address": {"type": "str"},
    "root_volume": {"type": "dict", "options": _VOLUME},
    "data_volumes": {
        "type": "list",
        "elements": "dict",
        "options": {**_VOLUME, "device": {"type": "str"}, "size_gib": {"type": "int", "required": True}},
    },
    "user_data": {"type": "str", "no_log": True},
    "ssh_keys": {"type": "list", "elements": "str", "default": [], "no_log": False},
    "login_user": {"type": "str"},
    "tags": {"type": "dict"},
    "purge_tags": {"type": "bool", "default": False},
    "spot": {"type": "dict", "options": {"max_price": {"type": "str"}}},
    "shutdown_behavior": {"type": "str", "choices": ["stop", "terminate"]},
    "termination_protection": {"type": "bool"},
    "hibernation": {"type": "bool"},
    "record_host_key": {"type": "bool", "default": True, "no_log": False},
    "host_key_source": {
        "type": "str",
        "choices": ["console", "injected"],
        "default": "console",
        "no_log": False,
    },
    "host_key_signer": {"type": "path", "no_log": False},
    "wait": {"type": "str", "choices": ["running", "ssh", "none"], "default": "running"},
    "wait_timeout": {"type": "int", "default": 600},
    "private_key": {"type": "path", "no_log": False},
    "allow_stop": {"type": "bool", "default": False},
    "recreate": {"type": "bool", "default": False},
    "delete_volumes": {"type": "bool", "default": False},
}
INSTANCE_INFO: dict[str, Any] = {
    "name": {"type": "list", "elements": "str", "default": []},
    "states": {
        "type": "list",
        "elements": "str",
        "choices": list(STATES),
        "default": ["pending", "running", "stopping", "stopped", "shelved", "failed"],
    },
    "resources": {"type": "bool", "default": False},
    "elsewhere": {"type": "bool", "default": False},
}
PROJECT: dict[str, Any] = {
    "state": {"type": "str", "choices": ["absent"], "required": True},
    "wait_timeout": {"type": "int", "default": 600},
}
KEYPAIR: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "public_key": {"type": "str", "no_log": False},
    "recreate": {"type": "bool", "default": False},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}


def _rules_option(peer: str) -> dict[str, Any]:
    return {
        "type": "list",
        "elements": "dict",
        "options": {
            "protocol": {"type": "str", "choices": ["tcp", "udp", "icmp", "all"], "default": "tcp"},
            "ports": {"type": "str"},
            peer: {"type": "list", "elements": "str", "required": True},
            "description": {"type": "str", "default": ""},
        },
    }


PROJECT_CHECK: dict[str, Any] = {
    "instances": {"type": "list", "elements": "dict", "default": []},
    "instance_defaults": {"type": "dict", "default": {}},
    "key_pair": {"type": "str", "no_log": False},
    "public_key": {"type": "str", "no_log": False},
    "private_key": {"type": "path", "no_log": False},
    "firewall": {"type": "str"},
    "proxy": {"type": "str", "no_log": True},
    "gpus": {"type": "int", "default": 0},
    "gpu_required": {"type": "bool", "default": False},
}
FIREWALL: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "description": {"type": "str", "default": ""},
    "rules": _rules_option("from"),
    "egress": _rules_option("to"),
    "network": {"type": "str"},
    "subnet": {"type": "str"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}


def specs(params: Mapping[str, Any]) -> list[Spec]:
    """One specification for each name. Raises InvalidRequest."""
    project = project_of(params)
    names = list(dict.fromkeys(params["name"] or []))
    ids = list(dict.fromkeys(params["id"] or []))
    if not names and not ids:
        raise InvalidRequest("The list of names is empty: give at least one name, or the id of an instance.")
    for name in names:
        checked_name(name, "The name of an instance")
    for each in ids:
        _check_id(each, params)
    if len(names) > 1 and params["private_address"]:
        raise InvalidRequest("private_address is for a single instance only: give one name.")
    if params["private_address"]:
        _require_address(params["private_address"])
    spot = params["spot"]
    common = {
        **{name: params[name] for name in _SAME_IN_SPEC},
        "image": ImageChoice(**params["image"]) if params["image"] else None,
        "ssh_keys": _ssh_keys(params["ssh_keys"]),
        "firewalls": tuple(params["firewalls"]) if params["firewalls"] is not None else None,
        "root_volume": _volume(params["root_volume"], "root_volume") if params["root_volume"] else None,
        "data_volumes": _data_volumes(params["data_volumes"] or []),
        "tags": _tags(params["tags"] or {}, package(params["cloud"]).TRAITS.reserved_tags),
        "spot": spot is not None,
        "spot_max_price": spot["max_price"] if spot else None,
        "options": _cloud_options(params, names),
    }
    common["former_name"] = common["options"].pop("former_name", None)
    if common["host_key_source"] == "injected" and not common["record_host_key"]:
        raise InvalidRequest(
            "host_key_source: injected records the host key: remove record_host_key: false, or host_key_source."
        )
    if common["host_key_signer"] and common["host_key_source"] != "injected":
        raise InvalidRequest("host_key_signer signs an injected host key only: add host_key_source: injected.")
    if common["former_name"]:
        checked_name(common["former_name"], "The former_name")
    if common["login_user"]:
        _checks.require_user(common["login_user"], "The login_user")
    if ids:
        return [Spec(project=project, name="", id=each, **common) for each in ids]
    return [Spec(project=project, name=name, **common) for name in names]


def _check_id(text: str, params: Mapping[str, Any]) -> None:
    if not _ID.fullmatch(text):
        raise InvalidRequest(f"The id of an instance consists of letters, digits, and dashes, not {ascii(text)[:80]}.")
    if params["state"] not in _STATES_BY_ID:
        raise InvalidRequest(
            f"state: {params['state']} takes a name: an id stands for an instance that exists, which can be "
            f"{', '.join(_STATES_BY_ID)}."
        )


_SAME_IN_SPEC = (
    "state",
    "instance_type",
    "key_pair",
    "subnet",
    "availability_zone",
    "public_address",
    "private_address",
    "user_data",
    "login_user",
    "purge_tags",
    "shutdown_behavior",
    "termination_protection",
    "hibernation",
    "record_host_key",
    "host_key_source",
    "host_key_signer",
    "allow_stop",
    "recreate",
    "delete_volumes",
)


def keypair_spec(params: Mapping[str, Any]) -> KeyPairSpec:
    project, name = project_of(params), checked_name(params["name"], "The name of a key pair")
    public_key = None
    if params["state"] == "present":
        # The comment is not part of the key.
        public_key = _checks.public_key((params["public_key"] or "").strip())
        if public_key is None:
            raise InvalidRequest(
                f"The public_key of {name} is not an OpenSSH public key: give the text of a file such as "
                "~/.ssh/id_ed25519.pub."
            )
        traits, kind = package(params["cloud"]).TRAITS, public_key.partition(" ")[0]
        if kind not in traits.key_types:
            raise InvalidRequest(
                f"{traits.title} does not import a key of the type {kind}, only {', '.join(traits.key_types)}: give "
                f"another public_key for {name}. For this one, leave key_pair out, and give it as ssh_keys of "
                "haven.gpu.instance."
            )
    return KeyPairSpec(project, name, params["state"], public_key, params["recreate"])


def firewall_spec(params: Mapping[str, Any]) -> FirewallSpec:
    return FirewallSpec(
        project=project_of(params),
        name=checked_name(params["name"], "The name of a firewall"),
        state=params["state"],
        description=params["description"],
        ingress=rules("in", params["rules"] or [], "from"),
        egress=rules("out", params["egress"], "to") if params["egress"] is not None else None,
        network=params["network"] or None,
        subnet=params["subnet"] or None,
    )


def project_of(params: Mapping[str, Any]) -> str:
    return checked_name(params["project"], "The project")


def checked_name(name: str, what: str) -> str:
    """Check a name that is used unchanged everywhere. Raises InvalidRequest."""
    if not _NAME.fullmatch(name):
        raise InvalidRequest(
            f"{what} must be 1 to 63 letters, digits, dots, dashes or underscores and begin with a letter or digit, "
            f"not {ascii(name)[:80]}."
        )
    return name


def rules(direction: str, entries: Sequence[Mapping[str, Any]], peer: str) -> frozenset[Rule]:
    """The option's rules as a flat set. Raises InvalidRequest."""
    flat = set()
    for entry in entries:
        first, last = _ports(entry["protocol"], entry["ports"])
        for cidr in entry[peer]:
            flat.add(Rule(direction, entry["protocol"], first, last, _cidr(cidr), entry["description"]))
    return frozenset(flat)


def _ports(protocol: str, ports: Optional[str]) -> tuple[int, int]:
    if protocol not in ("tcp", "udp"):
        if ports:
            raise InvalidRequest(f"A rule for protocol {protocol} has no ports: leave them out.")
        return -1, -1
    first, dash, last = (ports or "").partition("-")
    numbers = [part.strip() for part in (first, last if dash else first)]
    if not all(part.isascii() and part.isdigit() and int(part) < 65536 for part in numbers):
        raise InvalidRequest(f"A {protocol} rule needs ports such as 22 or 8000-8010, not {ports!a}.")
    if int(numbers[0]) > int(numbers[1]):
        raise InvalidRequest(f"The range of ports {ports} ends before it begins: swap the two.")
    return int(numbers[0]), int(numbers[1])


def _cidr(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text.strip()))
    except ValueError as error:
        raise InvalidRequest(
            f"{ascii(text)[:80]} is not an address range such as 192.0.2.0/24 or 192.0.2.7/32 ({error})."
        ) from error


def _ssh_keys(lines: Sequence[str]) -> tuple[str, ...]:
    """Check lines of authorized_keys, which may begin with options. Raises InvalidRequest."""
    for number, line in enumerate(lines, start=1):
        if len(line.strip().splitlines()) > 1:
            raise InvalidRequest(
                f"Entry {number} of ssh_keys has several lines: give each key an entry of its own. For a file with "
                "several keys, write ssh_keys: \"{{ lookup('ansible.builtin.file', '~/keys.pub').splitlines() }}\"."
            )
        if not line.strip().isprintable() or not _checks.KEY_TYPES & set(line.split()):
            raise InvalidRequest(
                f"Entry {number} of ssh_keys is not an OpenSSH public key: give the text of a file such as "
                "~/.ssh/id_ed25519.pub."
            )
    return tuple(line.strip() for line in lines)


def _data_volumes(entries: Sequence[Mapping[str, Any]]) -> tuple[VolumeSpec, ...]:
    devices = [entry["device"] or f"/dev/sd{letter}" for entry, letter in zip(entries, "fghijklmnop")]
    if len(set(devices)) < len(entries):
        raise InvalidRequest("At most 11 data volumes, each on a device of its own: give them different devices.")
    return tuple(
        _volume({**entry, "device": device}, f"data_volumes[{number}]")
        for number, (entry, device) in enumerate(zip(entries, devices))
    )


def _volume(given: Mapping[str, Any], where: str) -> VolumeSpec:
    size = given["size_gib"]
    if size is not None and size < 1:
        raise InvalidRequest(f"The size_gib of {where} is {size}: give at least 1.")
    return VolumeSpec(**given)


def _require_address(text: str) -> None:
    try:
        ipaddress.ip_address(text)
    except ValueError as error:
        raise InvalidRequest(
            f"The private_address {ascii(text)[:80]} is no IP address: give a free one of the subnet."
        ) from error


def _tags(tags: Mapping[str, Any], reserved: tuple[str, ...]) -> dict[str, str]:
    """Check the user's tags. ``reserved``: prefixes of the cloud's own tags."""
    for key in tags:
        if is_system(key.lower()) or key == TAG_NAME or key.lower().startswith(reserved):
            others = " or ".join((PREFIX, *reserved))
            raise InvalidRequest(
                f"The tag {ascii(key)[:80]} is reserved: {TAG_NAME} and everything that begins with {others} "
                "say who an instance is. Choose another name for it."
            )
    return {key: str(value) for key, value in tags.items()}


def _cloud_options(params: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """The options that only this cloud has, as the Spec needs them."""
    cloud = package(params["cloud"])
    given = params[cloud.NAME] or {}
    chosen = {name: given.get(name, option.get("default")) for name, option in cloud.INSTANCE.items()}
    return cloud.instance_options(chosen, params, names)
