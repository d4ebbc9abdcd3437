# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads what the plans of one call need to know, in as few API calls as possible."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Optional

from . import _cloud_init
from ._cloud import Cloud
from ._models import Instance, Observed, Resource, Spec
from ._plan import attributes_that_matter, by_name, creates, volumes_matter
from ._retry import both, together


def observe(cloud: Cloud, specs: Sequence[Spec]) -> list[Observed]:
    """Return what is known about each name, in the order of the specs, which differ only in their names."""
    first = specs[0]
    names = [spec.name for spec in specs] + ([first.former_name] if first.former_name else [])
    listing, firewalls = _listing(cloud, first, names)
    listed = _renamed(first, listing)
    live = [instance for instance in listed if not instance.gone]
    detailed = {instance.id: instance for instance in _with_details(cloud, first, live)}
    found = _by_key(first, [detailed.get(instance.id, instance) for instance in listed])
    keys = _host_keys(cloud, first, list(detailed.values()))
    image = gpu = None
    if first.image and any(creates(spec, found.get(spec.key, ())) for spec in specs):
        choice, size = first.image, first.instance_type or ""
        image, gpu = both(lambda: cloud.image(choice), lambda: cloud.gpu(size))
    leftovers: list[Resource] = []
    if first.state == "absent" and first.delete_volumes:
        leftovers = cloud.leftovers(first.project, sorted({each.name for each in listed}) if first.id else names)
    return [
        Observed(
            found=tuple(found.get(spec.key, ())),
            image=image,
            gpu=gpu,
            host_key=next((keys[each.id] for each in found.get(spec.key, ()) if each.id in keys), None),
            leftovers=_to_delete(spec, found.get(spec.key, ()), leftovers),
            firewall_ids=firewalls,
        )
        for spec in specs
    ]


def _listing(cloud: Cloud, spec: Spec, names: Sequence[str]) -> tuple[list[Instance], Optional[tuple[str, ...]]]:
    """The instances of these names (or all, for ids), and the ids of the requested firewalls if all of them exist."""
    wanted = spec.firewalls or ()
    listed = partial(cloud.instances, spec.project, () if spec.id else names)
    if not wanted or spec.state == "absent":
        return listed(), () if spec.firewalls is not None else None
    listing, known = both(listed, lambda: cloud.firewall_ids(spec.project, wanted, spec.subnet))
    return listing, tuple(known[each] for each in wanted) if all(each in known for each in wanted) else None


def _by_key(spec: Spec, listed: Sequence[Instance]) -> Mapping[str, Sequence[Instance]]:
    """The listed instances by name, or by id for those that are requested by id."""
    return {each.id: [each] for each in listed} if spec.id else by_name(listed)


def _renamed(spec: Spec, listed: list[Instance]) -> list[Instance]:
    """Use the instance with the former name if none has the new name. The plan sees the difference in its tag Name."""
    if not spec.former_name:
        return listed
    if any(each.name == spec.name and not each.gone for each in listed):
        return [each for each in listed if each.name == spec.name]
    return [dataclasses.replace(each, name=spec.name) for each in listed]


def _with_details(cloud: Cloud, spec: Spec, live: Sequence[Instance]) -> Sequence[Instance]:
    if live and volumes_matter(spec) and spec.state != "absent":
        live = cloud.with_volumes(live)
    wanted = attributes_that_matter(spec)
    return cloud.with_attributes(live, wanted) if live and wanted else live


def _host_keys(cloud: Cloud, spec: Spec, live: Sequence[Instance]) -> dict[str, str]:
    """Read the consoles of running instances without a recorded key, because a run was interrupted or did not wait."""
    if not spec.record_host_key or spec.state == "absent":
        return {}
    asked = [instance for instance in live if instance.state == "running" and not instance.host_key]
    said = together(lambda each: _cloud_init.host_key(cloud.console(each)), asked)
    return {instance.id: key for instance, key in zip(asked, said) if key}


def _to_delete(spec: Spec, found: Sequence[Instance], leftovers: Sequence[Resource]) -> tuple[Resource, ...]:
    """The disks of this name, or of the instance with this id, that are not deleted with the instance anyway."""
    volumes = [volume for each in found for volume in each.volumes]
    going = {volume.id for volume in volumes if volume.delete_with_instance}
    own = {volume.id for volume in volumes}
    return tuple(
        each for each in leftovers if each.id not in going and (each.id in own if spec.id else each.name == spec.name)
    )
