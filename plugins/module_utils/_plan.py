# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plans the changes to an instance. Pure: it makes all decisions and no changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Optional

from . import _cloud_init
from ._errors import InvalidRequest, NotFound, Refused, Unsupported, shown
from ._models import Change, Field, Gpu, Instance, Observed, Plan, Resource, Spec, Traits, Volume, VolumeSpec
from ._ownership import is_system

# Attributes that are not in the listing: (name in Spec and in Instance.attributes, changeable in place).
ATTRIBUTES: dict[Field, bool] = {"termination_protection": True, "shutdown_behavior": True, "user_data": False}
_UP = ("pending", "running")
_POWER = ("stop", "start", "restart", "shelve")
# A starting instance has not printed its host key yet. It is recorded while waiting.
HOST_KEY_LATER: Field = "host_key"
# Alternatives on clouds that do not have a state.
_INSTEAD = {"shelved": "state: stopped", "rebuilt": "recreate: true"}


def creates(spec: Spec, found: Sequence[Instance]) -> bool:
    """Whether an instance will be created, so that its image has to be looked up first."""
    if spec.state == "absent":
        return False
    return spec.recreate or spec.state == "rebuilt" or all(instance.gone for instance in found)


def check_supported(spec: Spec, traits: Traits) -> None:
    """Raises Unsupported for anything that this cloud does not have."""
    instead = _INSTEAD.get(spec.state)
    if instead and spec.state not in traits.states:
        raise Unsupported(f"{traits.title} has no state: {spec.state}: use {instead}.")
    for name, sentence in traits.unsupported.items():
        if getattr(spec, name) not in (None, False):
            raise Unsupported(sentence)


def plan(spec: Spec, observed: Observed, traits: Traits) -> Plan:
    """Return the steps from the state found under this project and name to the requested state.

    Raises Refused, NotFound, or InvalidRequest if the user has not allowed any steps that lead there.
    """
    live = observed.live
    if spec.state == "absent":
        return Plan(
            spec.key, (*_removals(spec, [*live, *observed.remnants]), *_leftover_removals(spec, observed.leftovers))
        )
    if len(live) > 1:
        ids = ", ".join(sorted(instance.id for instance in live))
        raise Refused(
            f"Project {spec.project} has {len(live)} instances called {spec.name} ({ids}): "
            "terminate all but one in the cloud's console first."
        )
    if not live:
        if spec.id:
            raise NotFound(f"There is no instance {spec.id} in project {spec.project}: it may be gone by now.")
        if spec.state in ("stopped", "restarted", "shelved", "rebuilt"):
            raise NotFound(
                f"There is no instance {spec.name} in project {spec.project} that could be {spec.state}: "
                "create it with state: present first."
            )
        return Plan(spec.key, (*_removals(spec, observed.remnants), _creation(spec, observed, traits)))
    return _plan_existing(spec, live[0], observed, traits)


def generation(found: Sequence[Instance]) -> int:
    """The generation of the next instance created under this name."""
    return max((instance.generation for instance in found), default=0) + 1


def render(plans: Sequence[Plan]) -> dict[str, Any]:
    """The plans as Ansible's diff: two mappings, before and after, by instance."""
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    for each in plans:
        for change in each.changes:
            label = change.label or ("power" if change.action in _POWER else "instance")
            before.setdefault(each.name, {}).setdefault(label, change.before)
            after.setdefault(each.name, {})[label] = change.after
    return {"before": before, "after": after}


def _creation(spec: Spec, observed: Observed, traits: Traits) -> Change:
    image, gpu = observed.image, observed.gpu
    missing = [name for name, value in (("image", image), ("instance_type", spec.instance_type)) if not value]
    if missing:
        raise InvalidRequest(
            f"Instance {spec.name} of project {spec.project} does not exist and cannot be created without "
            f"{' and '.join(missing)}: give {'them' if len(missing) > 1 else 'it'}, or check the name."
        )
    after: dict[str, Any] = {
        "image": image.id if image else None,
        "image_name": shown(image.name) if image else None,
        "image_owner": (shown(image.owner) or None) if image else None,
        "instance_type": spec.instance_type,
        "gpu": _gpu_summary(gpu) if gpu else None,
        "price_class": ("spot" if spec.spot else "on-demand") if traits.sells_spot else None,
        "spot_max_price": spec.spot_max_price,
        "key_pair": spec.key_pair,
        "ssh_keys": list(spec.ssh_keys),
        "firewalls": list(spec.firewalls) if spec.firewalls is not None else None,
        "subnet": spec.subnet,
        "availability_zone": spec.availability_zone,
        "public_address": _named_address(spec, traits) or bool(spec.public_address),
        "private_address": spec.private_address,
        "root_volume": _volume_summary(spec.root_volume or VolumeSpec(), traits),
        "data_volumes": [_volume_summary(volume, traits) for volume in spec.data_volumes],
        "tags": spec.all_tags(),
    }
    return Change(
        "create", before=None, after={key: value for key, value in after.items() if value not in (None, [], {})}
    )


def _named_address(spec: Spec, traits: Traits) -> Any:
    """The public address that the user chose, on clouds that allow that."""
    return spec.options.get(traits.address_option)


def _gpu_summary(gpu: Gpu) -> str:
    memory = f", {gpu.memory_gib:g} GiB each" if gpu.memory_gib else ""
    return f"{gpu.count or 'unknown number'} x {gpu.model}{memory}"


def _volume_summary(volume: VolumeSpec, traits: Traits) -> dict[str, Any]:
    summary = {
        "device": volume.device,
        "size_gib": volume.size_gib,
        "type": volume.type,
        "encrypted": volume.encrypted is not False if traits.encrypts_disks else volume.encrypted,
    }
    return {key: value for key, value in summary.items() if value is not None}


def _removals(spec: Spec, live: Sequence[Instance]) -> list[Change]:
    changes = []
    for instance in sorted(live, key=lambda each: each.id):
        # Remove the protection only if the user asks for that in the same call.
        if spec.termination_protection is False and instance.attributes.get("termination_protection"):
            changes.append(Change("update", "termination_protection", True, False, target=instance.id))
        changes.append(Change("terminate", kind="instance", before=instance.state, target=instance.id))
    return changes


def _leftover_removals(spec: Spec, leftovers: Sequence[Resource]) -> list[Change]:
    if not spec.delete_volumes:
        return []
    return [Change("remove", kind=each.kind, before=each.state, target=each.id) for each in leftovers]


def _plan_existing(spec: Spec, current: Instance, observed: Observed, traits: Traits) -> Plan:
    fixed = _fixed_differences(spec, current, traits)
    if fixed:
        if not spec.recreate:
            raise Refused(_cannot_change(spec, fixed))
        replaced = [*_removals(spec, [current]), _creation(spec, observed, traits)]
        return Plan(spec.key, tuple(replaced))
    updates = _updates(spec, current, observed, traits)
    steps = _with_power(spec, current, updates)
    if spec.state == "rebuilt":
        image = observed.image.id if observed.image else current.image
        steps.append(Change("rebuild", before=current.image, after=image))
    return Plan(spec.key, tuple(steps))


def _cannot_change(spec: Spec, fixed: Sequence[Change]) -> str:
    what = "; ".join(f"{change.subject} from {_show(change.before)} to {_show(change.after)}" for change in fixed)
    return (
        f"Instance {spec.key} exists and cannot be changed in place: {what}. "
        "Ask for its current values, or set recreate: true to terminate it and create a new one (its root disk is "
        "lost)."
    )


def _show(value: Any) -> str:
    return "none" if value is None else str(value)


def _with_power(spec: Spec, current: Instance, updates: Sequence[Change]) -> list[Change]:
    """Add stopping and starting to the steps, in the right order."""
    up = current.state in _UP
    at_once = [change for change in updates if not change.needs_stop]
    stopped_only = [change for change in updates if change.needs_stop]
    if stopped_only and current.state == "shelved":
        names = " and ".join(sorted({change.subject for change in stopped_only}))
        raise Refused(f"Instance {spec.key} is shelved, so its {names} cannot change: use state: running first.")
    stop = Change("stop", before="running", after="stopped")
    start = Change("start", before="shelved" if current.state == "shelved" else "stopped", after="running")
    if stopped_only and up:
        if spec.state == "stopped":
            return [*at_once, stop, *stopped_only]
        if not spec.allow_stop:
            names = " and ".join(sorted({change.subject for change in stopped_only}))
            raise Refused(
                f"Instance {spec.key} has to be stopped to change its {names}: set allow_stop: true, or stop it first."
            )
        return [*at_once, stop, *stopped_only, start]
    steps = [*at_once, *stopped_only]
    failed = current.state == "failed"
    if spec.state == "stopped" and (up or failed):
        steps.append(stop)
    elif spec.state == "shelved" and current.state != "shelved":
        steps.append(Change("shelve", before=current.state, after="shelved"))
    elif (spec.state == "restarted" and up) or (spec.state in ("running", "restarted") and failed):
        steps.append(Change("restart", before=current.state if failed else "running", after="restarted"))
    elif spec.state in ("running", "restarted") and not up:
        steps.append(start)
    return steps


def _fixed_differences(spec: Spec, current: Instance, traits: Traits) -> list[Change]:
    """Differences that no cloud can change on an existing instance."""
    # Only an image id is compared: an image chosen by name or parameter remains right when a newer one appears.
    wanted: dict[Field, tuple[Any, Any]] = {
        "image": (current.image, spec.image.id if spec.image and spec.state != "rebuilt" else None),
        # An instance without one got its keys otherwise, and cannot get one any more.
        "key_pair": (current.key_pair, spec.key_pair if current.key_pair else None),
        # None: the cloud does not report it, or it was not given at creation.
        "subnet": (current.subnet, spec.subnet if current.subnet else None),
        "availability_zone": (current.availability_zone, spec.availability_zone),
        "private_address": (current.private_address, spec.private_address),
        "hibernation": (current.hibernation, spec.hibernation),
        "spot": (current.spot, True if spec.spot else None),
    }
    # A stopped instance has no public address in any case.
    if current.state == "running" and "public_address" not in traits.changeable:
        wanted["public_address"] = (current.public_address is not None, spec.public_address)
    changes = [
        Change("update", field, before, after)
        for field, (before, after) in wanted.items()
        if after is not None and before != after
    ]
    # Options that are not in the listing cannot be compared after creation.
    changes.extend(
        Change("update", "option", current.options[name], value, option=name)
        for name, value in spec.options.items()
        if name not in traits.changeable and value is not None and value != current.options.get(name, value)
    )
    changes.extend(_attribute_differences(spec, current, in_place=False))
    changes.extend(change for change, possible in _volume_differences(spec, current, traits) if not possible)
    return changes


def _updates(spec: Spec, current: Instance, observed: Observed, traits: Traits) -> list[Change]:
    """Differences that can be changed in place."""
    changes = _tag_changes(spec, current, observed.host_key, traits)
    changes.extend(_firewall_changes(spec, current, observed.firewall_ids))
    for name, value in spec.options.items():
        if name in traits.changeable and value is not None and current.options.get(name) != value:
            changes.append(Change("update", "option", current.options.get(name), value, option=name))
    if "public_address" in traits.changeable and not _named_address(spec, traits):
        has = current.public_address is not None
        if spec.public_address is not None and spec.public_address != has:
            before = current.public_address or False
            changes.append(Change("update", "public_address", before, spec.public_address, details=spec.options))
    changes.extend(_attribute_differences(spec, current, in_place=True))
    changes.extend(change for change, possible in _volume_differences(spec, current, traits) if possible)
    if spec.instance_type and spec.instance_type != current.instance_type:
        changes.append(Change("update", "instance_type", current.instance_type, spec.instance_type, needs_stop=True))
    return changes


def _tag_changes(spec: Spec, current: Instance, host_key: Optional[str], traits: Traits) -> list[Change]:
    wanted = spec.all_tags(host_key)
    after = {key: value for key, value in wanted.items() if current.tags.get(key) != value}
    before: dict[str, Optional[str]] = {key: current.tags.get(key) for key in after}
    changes = [Change("update", "tags", before, after)] if after else []
    if spec.record_host_key and current.state == "pending" and not current.host_key:
        changes.append(Change("update", HOST_KEY_LATER, None, "from the console"))
    surplus = sorted(
        key
        for key in current.tags
        if key not in wanted and not is_system(key) and not key.startswith(traits.reserved_tags)
    )
    if spec.purge_tags and surplus:
        changes.append(Change("update", "removed_tags", {key: current.tags[key] for key in surplus}, None))
    return changes


def _firewall_changes(spec: Spec, current: Instance, wanted: Optional[Sequence[str]]) -> list[Change]:
    """Compare by id, because a foreign firewall may have the same name. ``wanted`` is None if one is missing."""
    if spec.firewalls is None or (wanted is not None and set(wanted) == set(current.firewall_ids)):
        return []
    before, after = list(current.firewalls), list(spec.firewalls)
    return [Change("update", "firewalls", before if set(before) != set(after) else list(current.firewall_ids), after)]


def _attribute_differences(spec: Spec, current: Instance, *, in_place: bool) -> list[Change]:
    changes = []
    for name, possible in ATTRIBUTES.items():
        wanted, actual = getattr(spec, name), current.attributes.get(name)
        if possible is not in_place or wanted is None or name not in current.attributes:
            continue
        if wanted == actual or (name == "user_data" and _same_user_data(spec, actual)):
            continue
        # User data may contain secrets: the diff only says that it differs.
        shown = ("as it was", "different") if name == "user_data" else (actual, wanted)
        changes.append(Change("update", name, *shown))
    return changes


def _same_user_data(spec: Spec, actual: Any) -> bool:
    wanted = spec.user_data or ""
    # A rebuilt instance gets it again.
    if spec.state == "rebuilt":
        return True
    return (
        actual == _cloud_init.digest(spec.project, wanted)
        if isinstance(actual, str)
        else _cloud_init.same(actual or b"", wanted)
    )


def _volume_differences(spec: Spec, current: Instance, traits: Traits) -> list[tuple[Change, bool]]:
    """The differences of the disks, each with whether it can be changed in place."""
    by_device = {volume.device: volume for volume in current.volumes}
    root = next((volume for volume in current.volumes if volume.root), None)
    found: list[tuple[Change, bool]] = []
    if spec.root_volume and root:
        found.extend(_compare_volume("root_volume", spec.root_volume, root))
    for wanted in spec.data_volumes:
        actual = by_device.get(wanted.device or "")
        if actual is None:
            found.append((Change("update", "data_volumes", None, _volume_summary(wanted, traits)), False))
        else:
            found.extend(_compare_volume("data_volumes", wanted, actual))
    return found


def _compare_volume(
    part: Literal["root_volume", "data_volumes"], wanted: VolumeSpec, actual: Volume
) -> list[tuple[Change, bool]]:
    def change(field: Field, before: Any, after: Any) -> Change:
        return Change("update", field, before, after, target=actual.id, part=part)

    found: list[tuple[Change, bool]] = []
    if wanted.size_gib is not None and actual.size_gib is not None and wanted.size_gib != actual.size_gib:
        growth = wanted.size_gib > actual.size_gib
        found.append((change("size_gib", actual.size_gib, wanted.size_gib), growth))
    if wanted.type is not None and wanted.type != actual.type:
        found.append((change("type", actual.type, wanted.type), True))
    if wanted.encrypted is not None and wanted.encrypted != actual.encrypted:
        found.append((change("encrypted", actual.encrypted, wanted.encrypted), False))
    if wanted.delete_with_instance is not None and wanted.delete_with_instance != actual.delete_with_instance:
        found.append((change("delete_with_instance", actual.delete_with_instance, wanted.delete_with_instance), True))
    return found


def volumes_matter(spec: Spec) -> bool:
    """Whether the sizes and types of disks must be read for the comparison."""
    return spec.root_volume is not None or bool(spec.data_volumes)


def attributes_that_matter(spec: Spec) -> frozenset[str]:
    """The attributes that the user set and that are not in the listing."""
    if spec.state == "absent":
        return frozenset({"termination_protection"} if spec.termination_protection is False else ())
    wanted: set[str] = {name for name in ATTRIBUTES if getattr(spec, name) is not None}
    # Some listings contain names only, so the ids have to be read for the comparison.
    if spec.firewalls is not None:
        wanted.add("firewall_ids")
    return frozenset(wanted)


def by_name(instances: Sequence[Instance]) -> Mapping[str, list[Instance]]:
    """The listed instances, grouped by name."""
    grouped: dict[str, list[Instance]] = {}
    for instance in instances:
        grouped.setdefault(instance.name, []).append(instance)
    return grouped
