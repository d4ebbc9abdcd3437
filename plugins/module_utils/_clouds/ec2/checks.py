# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What EC2 can be asked before something is created: subnets, instance types, and permissions by dry runs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Optional

from ..._errors import Denied, HavenError, NotFound
from ..._findings import ok, unknown, wrong
from ..._models import Finding, Spec, Wishes
from ..._ownership import TAG_NAME, TAG_PROJECT
from ..._retry import together
from . import shapes
from .client import Connection, RefusedCall

# The error of a dry run that would have succeeded.
_WOULD_SUCCEED = "DryRunOperation"
# What the whole story needs beside the three actions that are tried.
_NOT_TRIED = (
    "AuthorizeSecurityGroupIngress, CreateTags, GetConsoleOutput, and what start, stop, and destroy need: EC2 cannot "
    "be asked for them without doing it"
)
_Answer = Mapping[str, Mapping[str, Any]]


class Checks:
    """The part of the adapter that looks ahead. See Foresees in _cloud.py."""

    _ec2: Connection
    subnets_of: Callable[[Optional[str]], list[dict[str, Any]]]

    def foresee(self, wishes: Wishes) -> list[Finding]:
        subnets, zones, types = together(lambda ask: ask(wishes), [self._subnets_for, self._zones, self._architectures])
        findings = [*_subnet_findings(wishes, subnets), *_type_findings(wishes, zones, subnets)]
        findings += _architecture_findings(wishes, types)
        network = _network_of(wishes, subnets)
        named = {each.about for each in findings if each.verdict == "wrong"}
        findings += together(lambda ask: ask(), list(self._dry_runs(wishes, network, named)))
        findings.append(unknown("other permissions", _NOT_TRIED))
        findings.append(unknown("quota", "EC2 says it only when an instance is launched"))
        return findings

    # -- looking up; an error is the answer where the permission is lacking

    def _subnets_for(self, wishes: Wishes) -> Any:
        """Those that are named, by id; if an instance names none, also those that EC2 would choose from."""
        found: dict[str, Any] = {}
        for name in sorted({spec.subnet or "" for spec in wishes.specs}):
            try:
                found |= {item["SubnetId"]: item for item in self.subnets_of(name or None)}
            except NotFound:
                continue
            except HavenError as error:
                return error
        return found

    def _zones(self, wishes: Wishes) -> Any:
        """The availability zones that offer each instance type."""
        types = {"instance-type": wishes.instance_types}
        try:
            items = self._ec2.pages(
                "DescribeInstanceTypeOfferings",
                "InstanceTypeOfferings",
                LocationType="availability-zone",
                Filters=shapes.filters(types),
            )
        except HavenError as error:
            return error
        found: dict[str, list[str]] = {name: [] for name in wishes.instance_types}
        for item in items:
            # A filter takes patterns, and a name with an asterisk would match others.
            if item["InstanceType"] in found:
                found[item["InstanceType"]].append(item["Location"])
        return found

    def _architectures(self, wishes: Wishes) -> Any:
        """The architectures of each instance type."""
        types = {"instance-type": wishes.instance_types}
        try:
            items = self._ec2.pages("DescribeInstanceTypes", "InstanceTypes", Filters=shapes.filters(types))
        except HavenError as error:
            return error
        return {
            item["InstanceType"]: list((item.get("ProcessorInfo") or {}).get("SupportedArchitectures") or [])
            for item in items
        }

    # -- permissions

    def _dry_runs(
        self, wishes: Wishes, network: Optional[str], named: Collection[str]
    ) -> Iterator[Callable[[], Finding]]:
        """``named`` is what is known to be wrong, which a launch would only be refused for again."""
        for spec in _different(wishes):
            image = wishes.image_of(spec)
            if image is None or not spec.instance_type:
                continue
            if {f"subnet {spec.subnet}", f"instance type {spec.instance_type}"} & set(named):
                continue
            groups = [wishes.firewall.id] if wishes.firewall else []
            run = shapes.run_parameters(spec, image, 1, groups)
            if wishes.key_pair and spec.key_pair:
                # It is not there yet.
                del run["KeyName"]
            about = f"launch of {spec.instance_type}{f' in {spec.subnet}' if spec.subnet else ''}"
            yield partial(self._dry_run, "RunInstances", about, run)
        if wishes.key_pair:
            key = wishes.key_pair
            tags = shapes.tag_specifications({TAG_PROJECT: key.project, TAG_NAME: key.name}, "key-pair")
            material = (key.public_key or "").encode()
            name = shapes.scoped(key.project, key.name)
            wish = {"KeyName": name, "PublicKeyMaterial": material, "TagSpecifications": tags}
            yield partial(self._dry_run, "ImportKeyPair", "import of the key pair", wish)
        if wishes.new_firewall:
            group = wishes.new_firewall
            marks = {TAG_PROJECT: group.project, TAG_NAME: group.name}
            parameters = {
                "GroupName": shapes.scoped(group.project, group.name),
                "Description": group.description or f"haven.gpu project {group.project}",
                "TagSpecifications": shapes.tag_specifications(marks, "security-group"),
                **({"VpcId": network} if network else {}),
            }
            yield partial(self._dry_run, "CreateSecurityGroup", "creation of the firewall", parameters)

    def _dry_run(self, action: str, about: str, parameters: Mapping[str, Any]) -> Finding:
        try:
            self._ec2.attempt(action, DryRun=True, **parameters)
        except RefusedCall as refused:
            if refused.code != _WOULD_SUCCEED:
                return wrong(about, refused.explain())
        except HavenError as error:
            return wrong(about, error)
        return ok(about, f"{action} is allowed")


def _different(wishes: Wishes) -> list[Spec]:
    """One instance of each image, type, and subnet."""
    found = {(spec.image, spec.instance_type, spec.subnet): spec for spec in wishes.specs}
    return list(found.values())


def _subnet_findings(wishes: Wishes, subnets: Any) -> Iterator[Finding]:
    if isinstance(subnets, HavenError):
        yield _unasked("subnet", subnets)
        return
    for name in sorted({spec.subnet or "" for spec in wishes.specs}):
        about = f"subnet {name}" if name else "subnet"
        found = [subnets[name]] if name in subnets else [] if name else _defaults(subnets)
        if not found:
            said = "This region has no such subnet: check haven_subnet and the region."
            none = "This region has no default network, so EC2 cannot choose a subnet: set haven_subnet."
            yield wrong(about, said if name else none)
            continue
        free = sum(int(item.get("AvailableIpAddressCount") or 0) for item in found)
        if not free:
            yield wrong(about, "It has no free address: use another subnet, or terminate something in it.")
            continue
        zones = ", ".join(sorted({str(item.get("AvailabilityZone")) for item in found}))
        yield ok(about, f"{found[0].get('VpcId')}, {zones}, {free} free addresses")


def _defaults(subnets: _Answer) -> list[Mapping[str, Any]]:
    return [item for item in subnets.values() if item.get("DefaultForAz")]


def _network_of(wishes: Wishes, subnets: Any) -> Optional[str]:
    """The network of the subnets, if it is not the default one."""
    if isinstance(subnets, HavenError):
        return None
    named = (subnets.get(spec.subnet) for spec in wishes.specs)
    return next((str(item["VpcId"]) for item in named if item), None)


def _type_findings(wishes: Wishes, zones: Any, subnets: Any) -> Iterator[Finding]:
    if isinstance(zones, HavenError):
        yield _unasked("instance types", zones)
        return
    for name in wishes.instance_types:
        about = f"instance type {name}"
        wanted = _zones_of([spec for spec in wishes.specs if spec.instance_type == name], subnets)
        offered = sorted(zones[name])
        if not offered:
            yield wrong(about, "This region does not offer it: check its spelling and the region.")
        elif wanted - set(offered):
            yield wrong(
                about,
                f"{', '.join(sorted(wanted - set(offered)))} does not offer it: use a subnet in {', '.join(offered)}.",
            )
        else:
            yield ok(about, f"offered in {', '.join(offered)}")


def _zones_of(specs: Sequence[Spec], subnets: Any) -> set[str]:
    """The availability zones that the user has chosen, by a subnet or directly."""
    known: _Answer = {} if isinstance(subnets, HavenError) else subnets
    named = (known.get(spec.subnet or "") for spec in specs)
    chosen = {str(item.get("AvailabilityZone")) for item in named if item}
    return chosen | {spec.availability_zone for spec in specs if spec.availability_zone}


def _architecture_findings(wishes: Wishes, types: Any) -> Iterator[Finding]:
    if isinstance(types, HavenError):
        return
    for spec in _different(wishes):
        image, possible = wishes.image_of(spec), types.get(spec.instance_type) or []
        if image and image.architecture and possible and image.architecture not in possible:
            yield wrong(
                f"image {image.name or image.id}",
                f"It is for {image.architecture}, and {spec.instance_type} is {' or '.join(possible)}: use an image for"
                " that, or another instance type.",
            )


def _unasked(about: str, error: HavenError) -> Finding:
    return unknown(about, f"not tried: {error}") if isinstance(error, Denied) else wrong(about, error)
