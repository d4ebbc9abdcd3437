# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Deletes everything that carries a project's mark, by id, because anyone may change names.

What cannot be removed keeps nothing else from being removed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from ._cloud import Cloud
from ._errors import BadCredentials, HavenError, Incomplete, UnexpectedAnswer, Unreachable
from ._models import Instance, Resource
from ._retry import Deadline, together
from ._wait import until_state

# What is removed at the same time, in this order: a disk is free when its instance is gone, a firewall when every port
# is.
_ORDER = (("volume", "port", "address"), ("firewall", "key_pair"))
# With these nothing else can be removed either.
_FINAL = (BadCredentials, UnexpectedAnswer, Unreachable)


# How many things a message names.
_MOST_NAMED = 10


def tear_down(cloud: Cloud, project: str, timeout: float, check: bool) -> list[Resource]:
    """Remove the project's instances with their disks, then what else is its own; returns what was there.

    ``timeout``: seconds for the instances to be gone. Looks again at the end: raises Incomplete, which says what is
    left, and other HavenErrors when the cloud cannot be asked.
    """
    instances = cloud.instances(project)
    found = cloud.resources(project)
    if check or not (found or any(each.state == "terminating" for each in instances)):
        return found
    failures = _terminate(cloud, instances, timeout)
    staying = [each for each in instances if each.id in failures]
    for kinds in _ORDER:
        # What is held by an instance that stays would only be waited for.
        doomed = [each for each in found if each.kind in kinds and not any(_holds(one, each) for one in staying)]
        whys = together(lambda each: _attempt(partial(cloud.remove, each)), doomed)
        failures.update({each.id: why for each, why in zip(doomed, whys) if why})
    left = cloud.resources(project)
    if left:
        raise _incomplete(project, left, failures)
    return found


def _terminate(cloud: Cloud, instances: Sequence[Instance], timeout: float) -> dict[str, str]:
    """Terminate what is there and wait until it is gone, and so is what somebody else is terminating just now.

    Returns by id why something could not be terminated.
    """
    ids = [each.id for each in instances if each.state not in ("terminating", "terminated")]
    failures: dict[str, str] = {}
    if ids and _attempt(partial(cloud.terminate, ids)):
        # A call for many is refused whole where one of them is protected.
        whys = together(lambda each: _attempt(partial(cloud.terminate, [each])), ids)
        failures = {each: why for each, why in zip(ids, whys) if why}
    leaving = [each for each in instances if each.state != "terminated" and each.id not in failures]
    late = _attempt(partial(until_state, cloud, leaving, "terminated", Deadline(timeout)))
    return {**{each.id: late for each in leaving if late}, **failures}


def _holds(instance: Instance, resource: Resource) -> bool:
    if resource.kind == "firewall":
        return resource.id in instance.firewall_ids or resource.name in instance.firewalls
    if resource.kind == "volume":
        return resource.id in {volume.id for volume in instance.volumes}
    return resource.name == instance.name and resource.kind in ("port", "address")


def _attempt(step: Callable[[], object]) -> str:
    """Why it did not work; empty when it did."""
    try:
        step()
    except _FINAL:
        raise
    except HavenError as error:
        return str(error)
    return ""


def _incomplete(project: str, left: Sequence[Resource], failures: Mapping[str, str]) -> Incomplete:
    told = [
        f"{each.kind} {each.name or 'without a name'} ({each.id}): {failures.get(each.id) or 'it is still in use.'}"
        for each in left[:_MOST_NAMED]
    ]
    if len(left) > len(told):
        told.append(f"And {len(left) - len(told)} more.")
    error = Incomplete(
        f"{len(left)} resources of project {project} are left, and may still cost money. {' '.join(told)} Run this "
        "again, or delete them in the cloud's console. Everything else has been deleted."
    )
    error.values = {"left": [each.as_dict() for each in left]}
    return error
