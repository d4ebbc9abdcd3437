# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Deletes everything that carries a project's mark, by id, because anyone may change names.

If something cannot be deleted, everything else still is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial

from ._cloud import Cloud
from ._errors import BadCredentials, CloudFailure, HavenError, Incomplete, Throttled, UnexpectedAnswer, Unreachable
from ._models import Instance, Resource
from ._progress import progress
from ._retry import Deadline, Pace, together
from ._wait import until_state

# Groups that are deleted in parallel, in this order: disks are free once their instances are gone, and firewalls once
# all ports are.
_ORDER = (("volume", "port", "address"), ("firewall", "key_pair"))
# After these errors, nothing else can be deleted either.
_FINAL = (BadCredentials, UnexpectedAnswer, Unreachable)
# These errors say nothing about the next attempt.
_PASSING = (CloudFailure, Throttled)
# Seconds after an instance is gone within which its disks are, too.
SETTLE_TIMEOUT = 30.0
# The maximum number of resources that a message names.
_MOST_NAMED = 10
# An instance that could not be terminated, and why.
_Staying = tuple[Instance, str]


def tear_down(cloud: Cloud, project: str, timeout: float, check: bool) -> list[Resource]:
    """Delete the project's instances with their disks, then its other resources. Return what was found.

    ``timeout``: how long to wait until the instances are gone, and then until nothing uses the rest, in seconds each.
    Lists everything again at the end and raises Incomplete, which names what is left. Raises other HavenErrors if the
    cloud does not answer.
    """
    instances = cloud.instances(project)
    left = found = cloud.resources(project)
    if check or not (found or any(each.state == "terminating" for each in instances)):
        return found
    staying = _terminate(cloud, instances, timeout)
    failures = {each.id: why for each, why in staying}
    while True:
        # The cloud deletes what goes with its instance. Asking for it would need a permission that nothing else needs.
        kept = {each.id for each, _why in staying}
        volumes = [volume for each in instances if each.id not in kept for volume in each.volumes]
        leaving = {each.id for each in volumes if each.delete_with_instance}
        failures.update(_remove(cloud, left, staying, leaving, timeout))
        left = _settled(cloud, project, leaving)
        if not left:
            return found
        present = _present(cloud, [each for each, _why in staying])
        if len(present) == len(staying):
            raise _incomplete(project, left, failures)
        # An instance has gone after all, and what it used can be deleted now.
        staying = [(each, why) for each, why in staying if each.id in present]


def _remove(
    cloud: Cloud, found: Sequence[Resource], staying: Sequence[_Staying], leaving: Collection[str], timeout: float
) -> dict[str, str]:
    """Delete all that no remaining instance uses. Return, by id, why something could not be deleted.

    ``timeout``: how long to wait for what is still in use, in seconds.
    """
    # Waiting for something that a remaining instance uses would be pointless.
    failures = {
        each.id: f"Instance {one.name or one.id} uses it. {why}"
        for each in found
        if each.kind != "instance"
        for one, why in staying
        if _holds(one, each)
    }
    # A cloud takes a while to see that nothing uses a disk or a firewall any more.
    cloud.deadline = Deadline(timeout)
    for kinds in _ORDER:
        doomed = [each for each in found if each.kind in kinds and each.id not in failures.keys() | leaving]
        if doomed:
            progress.begins(f"deletes each {', each '.join(sorted({each.kind for each in doomed}))}".replace("_", " "))
        whys = together(lambda each: _attempt(partial(cloud.remove, each)), doomed)
        failures.update({each.id: why for each, why in zip(doomed, whys)})
    return failures


def _settled(cloud: Cloud, project: str, leaving: Collection[str]) -> list[Resource]:
    """What is left, once the cloud had time to delete the disks that go with their instances (by id)."""
    deadline, pace = Deadline(SETTLE_TIMEOUT), Pace(cloud.pacing, cloud.pacing.first)
    progress.begins("looks at what is left")
    while True:
        left = cloud.resources(project)
        if deadline.over or not any(each.id in leaving for each in left):
            return left
        pace.sleep()


def _terminate(cloud: Cloud, instances: Sequence[Instance], timeout: float) -> list[_Staying]:
    """Terminate the instances and wait until they are gone, including those that somebody else is terminating.

    Return those that stay, and why. What the cloud shows decides that, not an error: a cloud that fails while an
    instance is being terminated may terminate it all the same.
    """
    ids = [each.id for each in instances if each.state not in ("terminating", "terminated")]
    failures: dict[str, str] = {}
    if ids and _attempt(partial(cloud.terminate, ids)):
        # A call for several instances is refused as a whole if one of them is protected.
        whys = together(lambda each: _attempt(partial(cloud.terminate, [each])), ids)
        failures = {each: why for each, why in zip(ids, whys) if why}
    failed = [each for each in instances if each.id in failures]
    kept = {key for key, each in _present(cloud, failed).items() if each.state != "terminating"}
    leaving = [each for each in instances if each.state != "terminated" and each.id not in kept]
    late = _await_end(cloud, leaving, Deadline(timeout))
    present = _present(cloud, leaving) if late else {}
    reasons = {**dict.fromkeys(present, late), **{each: failures[each] for each in kept}}
    return [(each, reasons[each.id]) for each in instances if each.id in reasons]


def _await_end(cloud: Cloud, instances: Sequence[Instance], deadline: Deadline) -> str:
    """Wait until the instances are gone, even if the cloud fails now and then. Return why that has not happened."""
    pace = Pace(cloud.pacing)
    while True:
        try:
            until_state(cloud, instances, "terminated", deadline)
        except _PASSING as error:
            if deadline.over:
                return str(error)
        except _FINAL:
            raise
        except HavenError as error:
            return str(error)
        else:
            return ""
        pace.sleep()


def _present(cloud: Cloud, instances: Sequence[Instance]) -> dict[str, Instance]:
    """Those of these instances that are still there, by id. If the cloud cannot say, all of them."""
    known = {each.id: each for each in instances}
    try:
        seen = cloud.refresh(list(known)) if known else {}
    except _FINAL:
        raise
    except HavenError:
        return known
    return {key: each for key, each in seen.items() if each.state != "terminated"}


def _holds(instance: Instance, resource: Resource) -> bool:
    if resource.kind == "firewall":
        return resource.id in instance.firewall_ids or resource.name in instance.firewalls
    if resource.kind == "volume":
        return resource.id in {volume.id for volume in instance.volumes}
    return resource.name == instance.name and resource.kind in ("port", "address")


def _attempt(step: Callable[[], object]) -> str:
    """Run the step. Return why it failed, or an empty string."""
    try:
        step()
    except _FINAL:
        raise
    except HavenError as error:
        return str(error)
    return ""


def _incomplete(project: str, left: Sequence[Resource], failures: Mapping[str, str]) -> Incomplete:
    told: list[str] = []
    known: set[str] = set()
    for each in left[:_MOST_NAMED]:
        why = failures.get(each.id) or "it is still in use."
        # Why an instance stays is said of itself, and not again of everything that it uses.
        short = next((why.removesuffix(f" {one}") for one in known if why.endswith(f" {one}")), why)
        known.add(why)
        told.append(f"{each.kind} {each.name or 'without a name'} ({each.id}): {short}")
    if len(left) > len(told):
        told.append(f"And {len(left) - len(told)} more.")
    error = Incomplete(
        f"{len(left)} resources of project {project} are left, and may still cost money. {' '.join(told)} "
        "Everything else has been deleted. Run this again, or use the cloud's console."
    )
    error.values = {"left": [each.as_dict() for each in left]}
    return error
