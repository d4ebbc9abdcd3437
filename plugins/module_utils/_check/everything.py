# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Asks everything that can be known before something is created, in one go."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any, Optional, TypeVar, Union

from .._cloud import Cloud
from .._clouds import package
from .._errors import HavenError, InvalidRequest
from .._findings import attempt, ok, unknown, wrong
from .._models import Finding, FirewallSpec, Hop, Instance, KeyPairSpec, Spec
from .._options import checked_name, keypair_spec, project_of, specs
from .._plan import check_supported
from .._retry import both
from .._ssh.checks import lines_of_keys
from .._ssh.hops import HopLookup, WantedHop, wanted_hops, with_key
from . import cloud as _cloud
from . import keys, route
from .cloud import CREDENTIALS, Wanted

# Gets the parameters of the module instance, and returns them as that module would see them.
Validate = Callable[[dict[str, Any]], dict[str, Any]]
_T = TypeVar("_T")
Connect = Callable[[], AbstractContextManager[Cloud]]


@dataclass(frozen=True)
class Checked:
    """The findings, and the names of the instances that would be created."""

    findings: tuple[Finding, ...]
    creates: tuple[str, ...]


def check(params: Mapping[str, Any], validate: Validate, connect: Connect) -> Checked:
    """Check the options of the module project_check. Raises nothing: what is wrong is a finding.

    If no instance has to be created, the cloud gets a single call, and neither it nor the hops are asked anything else.
    """
    findings: list[Finding] = []
    wanted = Wanted(
        project=str(params["project"]),
        specs=tuple(_specs(params, validate, findings)),
        key_pair=_key_pair(params, findings),
        firewall=_firewall(params, findings),
        gpus=params["gpus"],
        gpu_required=params["gpu_required"],
    )
    hops = _hops(params, findings)
    try:
        with connect() as cloud:
            listed = _cloud.listed(cloud, wanted)
            if isinstance(listed, Finding):
                return _without_cloud(params, wanted, hops, [*findings, listed])
            creating = wanted.missing(listed)
            if not creating:
                return Checked((*findings, ok("instances", "all of them exist")), ())
            asked, local = both(
                partial(_cloud.check, cloud, wanted, creating), partial(_around, params, wanted, hops, listed)
            )
    except HavenError as error:
        return _without_cloud(params, wanted, hops, [*findings, wrong(CREDENTIALS, error)])
    return Checked((*findings, *asked, *local), tuple(spec.name for spec in creating))


def _without_cloud(
    params: Mapping[str, Any], wanted: Wanted, hops: Sequence[WantedHop], findings: Sequence[Finding]
) -> Checked:
    """What can be checked if the cloud cannot be asked."""
    names = [spec.name for spec in wanted.specs]
    rest = unknown("image, instance type, network, quota", "not tried: the cloud cannot be asked")
    return Checked((*findings, rest, *_around(params, wanted, hops, [])), tuple(names))


def _specs(params: Mapping[str, Any], validate: Validate, findings: list[Finding]) -> list[Spec]:
    """The instances; one that is not right is left out, and what is wrong with it is a finding."""
    found: list[Spec] = []
    for number, entry in enumerate(params["instances"], start=1):
        about = f"instance {entry.get('name') or number}"
        try:
            read = specs(validate(_with_defaults(params, entry)))
            check_supported(read[0], package(params["cloud"]).TRAITS)
            found += read
        except HavenError as error:
            findings.append(wrong(about, error))
    names = [spec.name for spec in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    findings += [wrong(f"instance {name}", "Two entries have this name: give each its own.") for name in twice]
    return found


def _with_defaults(params: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of the module instance for one entry."""
    cloud, name = params["cloud"], entry.get("name")
    own = {**(params.get(cloud) or {}), **(entry.get(cloud) or {})}
    given = {
        "state": "running",
        **params["instance_defaults"],
        **entry,
        "name": [name] if isinstance(name, str) else name,
        "cloud": cloud,
        "project": params["project"],
        cloud: {key: value for key, value in own.items() if value is not None},
    }
    return {key: value for key, value in given.items() if value is not None}


def _key_pair(params: Mapping[str, Any], findings: list[Finding]) -> Optional[KeyPairSpec]:
    if not params["key_pair"] or not params["public_key"]:
        return None
    given = {"name": params["key_pair"], "public_key": params["public_key"], "state": "present", "recreate": False}
    read = attempt("key pair", lambda: keypair_spec({**given, "cloud": params["cloud"], "project": params["project"]}))
    return _kept(read, findings)


def _firewall(params: Mapping[str, Any], findings: list[Finding]) -> Optional[FirewallSpec]:
    if not params["firewall"]:
        return None
    read = attempt(
        "project", lambda: FirewallSpec(project_of(params), checked_name(params["firewall"], "The name of a firewall"))
    )
    return _kept(read, findings)


def _kept(read: Union[_T, Finding], findings: list[Finding]) -> Optional[_T]:
    if isinstance(read, Finding):
        findings.append(read)
        return None
    return read


def _hops(params: Mapping[str, Any], findings: list[Finding]) -> tuple[WantedHop, ...]:
    try:
        return with_key(wanted_hops(params["hops"]), lines_of_keys(params.get("public_keys") or []))
    except InvalidRequest as error:
        findings.append(wrong("jump hosts", error))
        return ()


def _around(
    params: Mapping[str, Any],
    wanted: Wanted,
    hops: Sequence[WantedHop],
    instances: Sequence[Instance],
) -> list[Finding]:
    """The checks that ask no cloud: keys, hops, and the proxy."""
    own = [each.rest if isinstance(each, HopLookup) else each for each in hops]
    paths = [
        (f"key of jump host {_name(each)}", hop.key)
        for each, hop in zip(hops, own)
        if hop.key and keys.is_path(hop.key)
    ]
    public = wanted.key_pair.public_key if wanted.key_pair else None
    found = keys.check(paths, params["private_key"], public)
    return [*found, *route.check(hops, instances, wanted.specs, params["proxy"])]


def _name(hop: WantedHop) -> str:
    return hop.host if isinstance(hop, Hop) else hop.shown
