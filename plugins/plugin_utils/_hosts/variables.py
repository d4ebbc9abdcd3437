# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names, variables, groups, and SSH settings of inventory hosts. Pure.

Everything about a machine comes from a cloud. It is passed on as data. Where it determines something (the name of a
host or a group, an address), it is used only if it is clearly valid.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Optional

from ...module_utils._errors import shown
from ...module_utils._models import Gpu, Hop, Instance
from ...module_utils._ownership import TAG_HOST_KEY, TAG_LOGIN_USER
from ...module_utils._ssh.checks import is_address, is_alias, is_user, principal, public_key
from ...module_utils._ssh.config import Machine
from ...module_utils._ssh.hops import HopLookup
from .._settings import Settings

GROUP = "haven"
# The fields of a machine that are kept. Host key and login user are among its tags.
FIELDS = (
    "id",
    "name",
    "project",
    "cloud",
    "region",
    "availability_zone",
    "state",
    "instance_type",
    "gpu",
    "image",
    "private_address",
    "public_address",
    "launched_at",
    "price_class",
    "tags",
    "details",
)
# The sources of a host's name, besides a tag and an expression.
HOSTNAMES = ("name", "id", "private_address", "public_address")
# How many machines a warning names, and how much of a value it shows.
_MOST_NAMED = 5
_LONGEST_VALUE = 60
# As host names, these would receive plays meant for the controller, or be confused with a group.
_RESERVED = frozenset(["all", "ungrouped", "localhost", "127.0.0.1", GROUP])


def pack(instance: Instance) -> dict[str, Any]:
    """Return the machine's FIELDS as plain JSON data."""
    packed = {name: getattr(instance, name) for name in FIELDS}
    packed["gpu"] = dataclasses.asdict(instance.gpu) if instance.gpu else None
    packed["tags"] = dict(instance.tags)
    packed["details"] = dict(instance.details)
    return packed


def unpack(packed: Mapping[str, Any]) -> Instance:
    """The reverse of :func:`pack`. Raises KeyError or TypeError if a cache contains something else."""
    values = {name: packed[name] for name in FIELDS}
    values["gpu"] = Gpu(**values["gpu"]) if values["gpu"] else None
    return Instance(**values)


def wanted_name(
    preferences: Sequence[str], variables: dict[str, Any], evaluate: Callable[[str, dict[str, Any]], Any]
) -> str:
    """Return the first usable name that the preferences give for the host with these variables, or an empty string.

    A preference is one of HOSTNAMES, ``tag:KEY``, or an expression, which ``evaluate`` turns into a value.
    """
    for preference in preferences:
        if preference in HOSTNAMES:
            value = variables[f"haven_{preference}"]
        elif preference.startswith("tag:"):
            value = variables["haven_instance_tags"].get(preference[4:])
        else:
            value = evaluate(preference, variables)
        text = str(value) if isinstance(value, (str, int)) else ""
        if is_host_name(text):
            return text
    return ""


def names(instances: Sequence[Instance], wanted: Optional[Sequence[str]] = None) -> dict[str, str]:
    """Return the host name of each machine, by id: the preferred one (by default its name) if it is usable and unique,
    otherwise its alias."""
    chosen = [instance.name for instance in instances] if wanted is None else wanted
    shared = Counter(name.lower() for name in chosen)
    ids = {instance.id.lower(): instance.id for instance in instances}
    return {
        instance.id: name
        if is_host_name(name) and shared[name.lower()] == 1 and ids.get(name.lower(), instance.id) == instance.id
        else alias(instance)
        for instance, name in zip(instances, chosen)
    }


def is_host_name(name: object) -> bool:
    """Whether the text can be a host's name and has no other meaning to Ansible."""
    return (
        isinstance(name, str) and is_alias(name) and name.lower() not in _RESERVED and not name.startswith(f"{GROUP}_")
    )


def alias(instance: Instance) -> str:
    """The machine's name for ssh: its id, or a substitute if ssh would misread the id."""
    if is_alias(instance.id):
        return instance.id
    return f"unusable-id-{hashlib.sha256(instance.id.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


def address(instance: Instance, settings: Settings) -> Optional[str]:
    """The address to connect to: behind hops preferably the private one, without hops the public one."""
    private, public = instance.private_address, instance.public_address
    choice = {"private": [private], "public": [public]}.get(
        settings.address, [private, public] if settings.hops else [public, private]
    )
    return next((each for each in choice if is_address(each)), None)


def login_user(instance: Instance, settings: Settings) -> Optional[str]:
    """The machine's own login user, which depends on its image, or the one for all."""
    return instance.login_user if is_user(instance.login_user) else settings.login_user


def ignored_tags(instances: Iterable[Instance]) -> list[str]:
    """A sentence for each of our tags whose value cannot be used, with the machines that have such a value.

    Anyone who may write tags can have written them.
    """
    listed = list(instances)
    bad_users = [(each, each.login_user) for each in listed if each.login_user and not is_user(each.login_user)]
    bad_keys = [(each, each.host_key) for each in listed if each.host_key and not public_key(each.host_key)]
    found = (
        (TAG_LOGIN_USER, bad_users, "is no user name, so login_user, or your own user name, is used instead"),
        (TAG_HOST_KEY, bad_keys, "is no public host key, so connections are refused"),
    )
    return [f"The tag {tag} of {_those(bad)} {why}. Correct it in the cloud." for tag, bad, why in found if bad]


def _those(bad: Sequence[tuple[Instance, str]]) -> str:
    """Name the machines by id, each with the value."""
    told = [f"{shown(each.id)} ({shown(value)[:_LONGEST_VALUE]})" for each, value in bad[:_MOST_NAMED]]
    return ", ".join([*told, *([f"and {len(bad) - _MOST_NAMED} more"] if len(bad) > _MOST_NAMED else [])])


def _certified_name(instance: Instance) -> str:
    """The name that the machine's certificate must have. Without a usable name it is the id, for which none exists."""
    name = principal(instance.name, instance.project)
    return name if is_alias(name) else ""


def machine(instance: Instance, settings: Settings) -> Machine:
    return Machine(
        alias=alias(instance),
        name=instance.name,
        address=address(instance, settings),
        user=login_user(instance, settings),
        host_key=public_key(instance.host_key),
        identity=_certified_name(instance) if settings.host_key_authority else "",
        authority=settings.host_key_authority,
        key=settings.private_key or settings.public_keys or None,
        depth=len(settings.hops) if settings.looked_up else None,
    )


def hostvars(instance: Instance, settings: Settings) -> dict[str, Any]:
    """The variables of one host, as plain data. Those that are the same for all hosts are in :func:`groupvars`."""
    known = {
        "haven_id": instance.id,
        "haven_name": instance.name,
        "haven_project": instance.project,
        "haven_cloud": instance.cloud,
        "haven_region": instance.region,
        "haven_availability_zone": instance.availability_zone or "",
        "haven_state": instance.state,
        "haven_instance_type": instance.instance_type or "",
        "haven_image": instance.image or "",
        "haven_private_address": instance.private_address or "",
        "haven_public_address": instance.public_address or "",
        "haven_address": address(instance, settings) or "",
        "haven_gpu": dataclasses.asdict(instance.gpu) if instance.gpu else None,
        "haven_launched_at": instance.launched_at or "",
        "haven_price_class": instance.price_class,
        "haven_hourly_price": price(instance, settings),
        "haven_instance_tags": dict(instance.tags),
        "haven_host_key": public_key(instance.host_key) or "",
        "haven_is_jump_host": is_jump_host(instance, settings),
        "ansible_host": alias(instance),
    }
    if settings.details:
        known["haven_details"] = dict(instance.details)
    if settings.name:
        known["haven_source"] = settings.name
    user = login_user(instance, settings)
    return {**known, "haven_login_user": user, "ansible_user": user} if user else known


def is_jump_host(instance: Instance, settings: Settings) -> bool:
    """Whether a machine of the project is one of its own jump hosts, by name, by tags, or by its address."""
    own = {each for each in (instance.public_address, instance.private_address) if each}
    return any(
        hop.means(instance) if isinstance(hop, HopLookup) else hop.host in own
        for hop in settings.looked_up or settings.hops
    )


def price(instance: Instance, settings: Settings) -> Optional[float]:
    """The user's price per hour for the instance type. A spot instance has no known price."""
    return None if instance.price_class == "spot" else settings.prices.get(instance.instance_type or "")


def groupvars(settings: Settings, ssh_config: str) -> dict[str, Any]:
    """The variables of the group of a source."""
    shared = {**hops_variable(settings), "haven_ssh_config": ssh_config}
    signer = settings.host_key_authority
    return {**shared, "haven_host_key_authority": signer} if signer else shared


def hops_variable(settings: Settings) -> dict[str, Any]:
    return {"haven_hops": [hop_as_dict(hop) for hop in settings.hops]}


def hop_as_dict(hop: Hop) -> dict[str, Any]:
    return {name: value for name, value in dataclasses.asdict(hop).items() if value is not None}


def answer_group(answers: bool) -> str:
    """The group of a machine that was probed."""
    return f"{GROUP}_reachable" if answers else f"{GROUP}_unreachable"


def source_group(settings: Settings) -> str:
    """The group of a source's machines, or that of all machines if the source has no name."""
    return _group("source", settings.name) if settings.name else GROUP


def groups(instance: Instance) -> list[str]:
    """The names of the machine's groups."""
    parts: Iterable[tuple[str, Optional[str]]] = [
        ("project", instance.project),
        ("cloud", instance.cloud),
        ("state", instance.state),
        ("type", instance.instance_type),
        ("gpu", instance.gpu.model if instance.gpu else None),
    ]
    return [_group(kind, value) for kind, value in parts if value]


def _group(kind: str, value: str) -> str:
    return f"{GROUP}_{kind}_{re.sub(r'[^A-Za-z0-9_]', '_', value)[:100]}"
