# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read what the plans of one call depend on, in as few calls as there are kinds of questions."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from . import _cloud_init
from ._cloud import Cloud
from ._models import Instance, Observed, Resource, Spec
from ._plan import attributes_that_matter, by_name, creates, volumes_matter
from ._wait import together


def observe(cloud: Cloud, specs: Sequence[Spec]) -> list[Observed]:
    """What is known about each name, in the order of the specifications, which differ in their names only."""
    first = specs[0]
    names = [spec.name for spec in specs] + ([first.former_name] if first.former_name else [])
    listed = _renamed(first, cloud.instances(first.project, names))
    live = [instance for instance in listed if not instance.gone]
    detailed = {instance.id: instance for instance in _with_details(cloud, first, live)}
    found = by_name([detailed.get(instance.id, instance) for instance in listed])
    keys = _host_keys(cloud, first, list(detailed.values()))
    image = gpu = None
    if first.image and any(creates(spec, found.get(spec.name, ())) for spec in specs):
        choice, size = first.image, first.instance_type or ""
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(cloud.gpu, size)
            image = cloud.image(choice)
            gpu = asked.result()
    leftovers: list[Resource] = []
    if first.state == "absent" and first.delete_volumes:
        leftovers = cloud.leftover_volumes(first.project, [spec.name for spec in specs])
    return [
        Observed(
            found=tuple(found.get(spec.name, ())),
            image=image,
            gpu=gpu,
            host_key=next((keys[each.id] for each in found.get(spec.name, ()) if each.id in keys), None),
            leftovers=_to_delete(spec, found.get(spec.name, ()), leftovers),
        )
        for spec in specs
    ]


def _renamed(spec: Spec, listed: list[Instance]) -> list[Instance]:
    """The instance under its former name counts where there is none of the new name; its tag Name tells the plan."""
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
    """What consoles say about running instances that have no key recorded: a run was cut off, or did not wait."""
    if not spec.record_host_key or spec.state == "absent":
        return {}
    asked = [instance for instance in live if instance.state == "running" and not instance.host_key]
    said = together(lambda each: _cloud_init.host_key(cloud.console(each)), asked)
    return {instance.id: key for instance, key in zip(asked, said) if key}


def _to_delete(spec: Spec, found: Sequence[Instance], leftovers: Sequence[Resource]) -> tuple[Resource, ...]:
    """The disks of this name that do not go with the instance anyway."""
    going = {volume.id for each in found for volume in each.volumes if volume.delete_with_instance}
    return tuple(volume for volume in leftovers if volume.name == spec.name and volume.id not in going)
