# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waits for instances, all in one query, as often as the cloud allows."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from ._cloud import Cloud
from ._errors import HavenError, TimedOut
from ._models import Instance
from ._progress import progress
from ._retry import Deadline, Pace


def explained(cloud: Cloud, instance: Instance, state: str) -> HavenError:
    """Return why an instance did not reach a state. Deletes one that never ran, because it may cost money."""
    error = cloud.failure(instance, state)
    error.removed = instance.id if instance.gone else ""
    if instance.failed_to_start:
        try:
            cloud.discard(instance)
        except HavenError as another:
            told = type(error)(f"{error} It could not be deleted: {another}")
            told.removed = error.removed
            return told
    return error


def until_state(cloud: Cloud, instances: Iterable[Instance], state: str, deadline: Deadline) -> list[Instance]:
    """Wait until all instances are in the state. Raises TimedOut, or the cloud's reason for a failure."""
    known = {instance.id: instance for instance in instances}
    waiting = [each.id for each in known.values() if each.state != state]
    # A start that was accepted can still fail. The instance is pending for a while, and then stopped again.
    began: set[str] = set()
    pace = Pace(cloud.pacing, cloud.pacing.first)
    while waiting:
        _report(known.values(), waiting, state)
        if deadline.over:
            names = ", ".join(f"{known[each].name} ({each}, {known[each].state})" for each in waiting)
            raise TimedOut(
                f"Not {state} after {deadline.seconds:.0f} s: {names}. Increase wait_timeout, or check the instance's "
                "console. A second run continues from here."
            )
        pace.sleep()
        seen = cloud.refresh(waiting)
        known.update(seen)
        if state == "terminated":
            # Terminated instances disappear from the listing after a while.
            waiting = [each for each in waiting if each in seen and seen[each].state != state]
            continue
        began |= {each.id for each in seen.values() if each.state == "pending"}
        for instance in seen.values():
            stopped_again = state == "running" and instance.state == "stopped" and instance.id in began
            if instance.gone or instance.state == "failed" or stopped_again:
                raise explained(cloud, instance, state)
        waiting = [each for each in waiting if known[each].state != state]
    _report(known.values(), waiting, state)
    return list(known.values())


def _report(instances: Iterable[Instance], waiting: Collection[str], state: str) -> None:
    for each in instances:
        name = each.name or each.id
        if each.id in waiting:
            progress.begins(f"state is {each.state}, waits until it is {state}", about=name)
        else:
            progress.ends(about=name)
