# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Brings instances to the requested state: observe, plan, apply."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Optional

from ._cloud import Cloud
from ._errors import (
    BadCredentials,
    HavenError,
    MissingLibrary,
    Throttled,
    TimedOut,
    UnexpectedAnswer,
    Unreachable,
    Untrusted,
)
from ._models import Instance, Observed, Plan, Spec, Traits
from ._observe import observe
from ._plan import plan, render
from ._retry import together

if TYPE_CHECKING:
    from ._ssh.handshake import Route

# Errors that are not about the one instance they happened with, or that name it and do not affect the others.
_NOT_OF_ONE = (BadCredentials, MissingLibrary, Throttled, TimedOut, UnexpectedAnswer, Unreachable, Untrusted)
# The states in which an instance costs less.
_SAVING = ("stopped", "shelved", "absent")


@dataclass(frozen=True)
class Patience:
    """What to wait for (running, ssh, or none), how many seconds, and a function that returns the :class:`Route`."""

    kind: str
    timeout: float
    route: Callable[[], Route]


@dataclass
class Converged:
    """The result for the instances. ``diff`` is Ansible's."""

    changed: bool = False
    diff: dict[str, Any] = field(default_factory=dict)
    instances: list[Instance] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def converge(cloud: Cloud, specs: Sequence[Spec], traits: Traits, patience: Patience, check: bool) -> Converged:
    """Process all specs together; they differ only in their name or id. Raises a HavenError with ``instances``.

    Instances given by id were found, not named by the user, so each is processed on its own, and the others are
    processed even if one fails. So are instances that shall cost less from now on, because a call for many is refused
    as a whole if the cloud refuses one of them, and all the others would go on costing money.
    """
    try:
        return _together(cloud, specs, traits, patience, check)
    except HavenError as error:
        alone = specs[0].id or specs[0].state in _SAVING
        if not alone or len(specs) == 1 or isinstance(error, _NOT_OF_ONE):
            raise
    return _each_alone(cloud, specs, traits, patience, check)


def _together(cloud: Cloud, specs: Sequence[Spec], traits: Traits, patience: Patience, check: bool) -> Converged:
    found = observe(cloud, specs)
    plans = [plan(spec, seen, traits) for spec, seen in zip(specs, found)]
    changed = any(each.changed for each in plans)
    living = [instance for seen in found for instance in seen.live]
    starting = any(each.state == "pending" for each in living) and patience.kind != "none"
    if check or not (changed or starting or patience.kind == "ssh"):
        return Converged(changed, render(plans), living)
    return _applied(cloud, specs, found, plans, patience)


def _applied(
    cloud: Cloud, specs: Sequence[Spec], found: Sequence[Observed], plans: Sequence[Plan], patience: Patience
) -> Converged:
    # Imported late: most runs change nothing, and loading it takes a while.
    from ._apply import Job, Waiting, apply

    jobs = [Job(*each) for each in zip(specs, found, plans)]
    result = apply(jobs, cloud, Waiting(patience.kind, patience.timeout, patience.route()))
    return Converged(any(each.changed for each in plans), render(plans), result.instances, result.warnings)


def _each_alone(cloud: Cloud, specs: Sequence[Spec], traits: Traits, patience: Patience, check: bool) -> Converged:
    def one(spec: Spec) -> tuple[Converged, Optional[HavenError]]:
        try:
            return _together(cloud, [spec], traits, patience, check), None
        except HavenError as error:
            return Converged(instances=list(error.instances)), error

    results = together(one, specs)
    whole = Converged(
        any(each.changed for each, _error in results),
        _merged([each.diff for each, _error in results]),
        [instance for each, _error in results for instance in each.instances],
        [text for each, _error in results for text in each.warnings],
    )
    failed = [(spec, error) for spec, (_each, error) in zip(specs, results) if error]
    if failed:
        names = {each.id: each.name for each in whole.instances}
        told = " ".join(f"{_called(spec, names)}: {error}" for spec, error in failed)
        others = " The others succeeded." if len(failed) < len(specs) else ""
        kind = type(failed[0][1])
        summary = kind(f"{len(failed)} of {len(specs)} instances failed. {told}{others}")
        summary.instances = whole.instances
        raise summary
    return whole


def _called(spec: Spec, names: Mapping[str, str]) -> str:
    """What to call an instance. An id alone says little to people."""
    name = names.get(spec.id or "")
    return f"{name} ({spec.id})" if name else spec.key


def _merged(diffs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        side: {key: value for diff in diffs for key, value in diff.get(side, {}).items()}
        for side in ("before", "after")
    }
