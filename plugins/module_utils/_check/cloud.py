# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can be asked of any cloud before something is created."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Optional, Union

from .._cloud import Cloud, Foresees
from .._errors import HavenError, NotFound
from .._findings import attempt, ok, unknown, wrong
from .._firewall_keypair import plan_key_pair
from .._models import Finding, Firewall, FirewallSpec, Image, ImageChoice, Instance, KeyPairSpec, Spec, Wishes
from .._plan import by_name, creates
from .._retry import together

CREDENTIALS = "credentials"
# States that only an existing instance can get.
_OF_EXISTING = ("stopped", "restarted", "shelved", "rebuilt")


@dataclasses.dataclass(frozen=True)
class Wanted:
    """Everything that the user wants: all instances, and the key pair and the firewall for them."""

    project: str
    specs: tuple[Spec, ...]
    key_pair: Optional[KeyPairSpec] = None
    firewall: Optional[FirewallSpec] = None
    # How many GPUs each instance has to have at least, and whether one without any is a mistake.
    gpus: int = 0
    gpu_required: bool = False

    def missing(self, listed: Sequence[Instance]) -> tuple[Spec, ...]:
        """The instances that would be created. ``listed`` are those of the project."""
        found = by_name(listed)
        return tuple(spec for spec in self.specs if creates(spec, found.get(spec.name, ())))


def listed(cloud: Cloud, wanted: Wanted) -> Union[list[Instance], Finding]:
    """The project's instances, with the first call, or what is wrong with the credentials."""
    return attempt(CREDENTIALS, lambda: cloud.instances(wanted.project))


def check(cloud: Cloud, wanted: Wanted, specs: Sequence[Spec]) -> list[Finding]:
    """Ask about everything that these instances need, several questions at the same time."""
    choices = sorted({spec.image for spec in specs if spec.image}, key=_choice)
    questions: list[Callable[[], Union[Image, Finding, Firewall, None]]] = [
        *(lambda choice=choice: attempt(f"image {_choice(choice)}", lambda: cloud.image(choice)) for choice in choices),
        lambda: _key_pair(cloud, wanted.key_pair),
        lambda: _firewall(cloud, wanted.firewall, {spec.subnet for spec in specs}),
    ]
    answers = together(lambda ask: ask(), questions)
    images = {choice: each for choice, each in zip(choices, answers) if isinstance(each, Image)}
    firewall = answers[-1] if isinstance(answers[-1], Firewall) else None
    wishes = Wishes(
        specs=tuple(specs),
        images=images,
        key_pair=wanted.key_pair if answers[-2] is None else None,
        new_firewall=wanted.firewall if answers[-1] is None else None,
        firewall=firewall,
    )
    findings = [
        *_too_small(specs, images),
        ok(CREDENTIALS, f"{cloud.name} answers{f' in {cloud.region}' if cloud.region else ''}"),
    ]
    findings += [
        *_incomplete(specs),
        *_gpus(cloud, wanted, specs),
        *(each for each in answers if isinstance(each, Finding)),
    ]
    findings += [
        ok(f"image {_choice(choice)}", f"{image.name or image.id} ({image.id})") for choice, image in images.items()
    ]
    if isinstance(cloud, Foresees):
        try:
            findings += cloud.foresee(wishes)
        except HavenError as error:
            findings.append(wrong("what the cloud foresees", error))
    return findings


def _choice(choice: ImageChoice) -> str:
    return choice.id or choice.name or choice.parameter or ""


def _incomplete(specs: Sequence[Spec]) -> list[Finding]:
    """Instances that cannot be created without something that was not given, or are not to be created."""
    found = [
        wrong(
            f"instance {spec.name}", f"It does not exist, so it cannot be {spec.state}: create it with state: running."
        )
        for spec in specs
        if spec.state in _OF_EXISTING
    ]
    return found + [
        wrong(f"instance {spec.name}", f"It does not exist and cannot be created without {field}: give it.")
        for spec in specs
        for field in ("image", "instance_type")
        if not getattr(spec, field)
    ]


def _too_small(specs: Sequence[Spec], images: Mapping[ImageChoice, Image]) -> list[Finding]:
    """Root disks that are smaller than their image."""
    sizes = [
        (spec.name, spec.root_volume.size_gib, images[spec.image].min_disk_gib)
        for spec in specs
        if spec.image and spec.image in images and spec.root_volume and spec.root_volume.size_gib
    ]
    return [
        wrong(f"instance {name}", f"Its root_volume has {size} GiB, and the image needs {least}: increase size_gib.")
        for name, size, least in sizes
        if size < least
    ]


def _gpus(cloud: Cloud, wanted: Wanted, specs: Sequence[Spec]) -> list[Finding]:
    """Instance types that have fewer GPUs than the machine is checked for later. A type that is not there is named
    elsewhere, and a number that a cloud does not say is 0."""
    if not wanted.gpus:
        return []
    found = []
    for name in sorted({spec.instance_type for spec in specs if spec.instance_type}):
        about = f"instance type {name}"
        try:
            gpu = cloud.gpu(name)
        except HavenError:
            continue
        if gpu is None and wanted.gpu_required:
            found.append(
                wrong(about, "It has no GPU, and haven_gpu_required is true: choose one that has, or set it to false.")
            )
        elif gpu and 0 < gpu.count < wanted.gpus:
            said = f"It has {gpu.count} of the {wanted.gpus} GPUs in cuda_gpu_count: choose a larger one, or lower it."
            found.append(wrong(about, said))
    return found


def _key_pair(cloud: Cloud, spec: Optional[KeyPairSpec]) -> Optional[Finding]:
    """None if it has to be imported."""
    if spec is None:
        return unknown("key pair", "none is imported, or it is not known which one")
    about = f"key pair {spec.name}"
    try:
        current = cloud.key_pair(spec.project, spec.name)
        plan_key_pair(spec, current)
    except HavenError as error:
        return wrong(about, error)
    return ok(about, "it is there") if current else None


def _firewall(
    cloud: Cloud, spec: Optional[FirewallSpec], subnets: Collection[Optional[str]]
) -> Union[Finding, Firewall, None]:
    """None if it has to be created in the network of one of the subnets."""
    if spec is None:
        return unknown("firewall", "it is not known which one")
    about = f"firewall {spec.name}"
    try:
        # None: in the cloud's default network.
        networks = {cloud.network_of(subnet) if subnet else spec.network for subnet in subnets}
        found = [cloud.firewall(spec.project, spec.name, each) for each in networks or {spec.network}]
    except NotFound:
        # A subnet that does not exist is named by the cloud's own checks.
        return None
    except HavenError as error:
        return wrong(about, error)
    if None in found:
        return None
    return found[0] if len(found) == 1 else ok(about, "it is there, in each of the networks")
