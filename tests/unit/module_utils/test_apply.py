# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carrying out plans on a cloud that misbehaves in ways the sandbox's does not."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any, Literal, cast

import pytest

from ansible_collections.haven.gpu.plugins.module_utils._apply import Job, Result, Waiting, apply
from ansible_collections.haven.gpu.plugins.module_utils._cloud import Cloud
from ansible_collections.haven.gpu.plugins.module_utils._clouds import package
from ansible_collections.haven.gpu.plugins.module_utils._errors import InvalidRequest, NoCapacity, TokenUsed
from ansible_collections.haven.gpu.plugins.module_utils._models import (
    Change,
    Image,
    ImageChoice,
    Instance,
    Observed,
    Pacing,
    Plan,
    Resource,
    Spec,
)
from ansible_collections.haven.gpu.plugins.module_utils._ownership import marks
from ansible_collections.haven.gpu.plugins.module_utils._plan import plan
from ansible_collections.haven.gpu.plugins.module_utils._retry import Deadline
from ansible_collections.haven.gpu.plugins.module_utils._ssh.handshake import Route
from ansible_collections.haven.gpu.plugins.module_utils._wait import until_state


class Silent:
    """A cloud in memory whose instances run at once and never print a host key."""

    pacing = Pacing()

    def __init__(self, spent: int = 0, full_after: int = 99) -> None:
        self.made: list[tuple[str, int]] = []
        self._spent = spent
        self._full_after = full_after

    def create(self, spec: Spec, _image: Image, generation: int) -> Instance:
        if generation <= self._spent:
            raise TokenUsed("spent", terminated=True)
        if len(self.made) >= self._full_after:
            raise NoCapacity("None left.")
        self.made.append((spec.name, generation))
        return Instance(f"i-{spec.name}", spec.name, spec.project, "silent", "here", "running")

    def instances(self, _project: str, _names: Iterable[str]) -> list[Instance]:
        return []

    def remove(self, _resource: Resource) -> None:
        """Nothing outlives an instance."""

    def settle(self, instances: Sequence[Instance]) -> list[Instance]:
        return list(instances)

    def console(self, _instance: Instance) -> str:
        return "login: "


def make(cloud: Silent, *names: str, **fields: Any) -> Result:
    jobs = []
    for name in names:
        spec = Spec("p", name, image=ImageChoice(id="ami-1"), instance_type="small", **fields)
        observed = Observed(image=Image("ami-1"))
        jobs.append(Job(spec, observed, plan(spec, observed, package("ec2").TRAITS)))
    return apply(jobs, cast(Cloud, cloud), Waiting("running", 1, Route()))


def test_a_console_without_a_key_is_a_warning_and_no_failure() -> None:
    result = make(Silent(), "one", "two")
    assert [each.name for each in result.instances] == ["one", "two"]
    assert len(result.warnings) == 1
    assert "one, two" in result.warnings[0]


def test_without_host_keys_the_console_is_not_asked_for() -> None:
    assert make(Silent(), "one", record_host_key=False).warnings == []


def test_the_first_token_that_is_free_is_taken() -> None:
    cloud = Silent(spent=5)
    make(cloud, "one", record_host_key=False)
    assert cloud.made == [("one", 6)]


def test_a_failure_carries_what_was_made_before_it() -> None:
    with pytest.raises(NoCapacity, match="Could not create") as failed:
        make(Silent(full_after=2), "a", "b", "c", "d", record_host_key=False)
    assert len(failed.value.instances) == 2
    assert {dataclasses.asdict(each)["name"] for each in failed.value.instances} <= {"a", "b", "c", "d"}


@pytest.mark.parametrize("field", ["public_address", "firewalls"])
def test_what_needs_a_port_waits_until_the_instance_has_one(field: Literal["public_address", "firewalls"]) -> None:
    """The answer to a creation was lost, and the next run finds a server that still waits for a host."""

    class Slow(Silent):
        pacing = Pacing(0.001, 0.001)
        state = "pending"

        def refresh(self, ids: Sequence[str]) -> dict[str, Instance]:
            self.state = "running"
            return {each: self.instance() for each in ids}

        def instance(self) -> Instance:
            return Instance("1", "one", "p", "openstack", "here", self.state)

        def update(self, _instance: Instance, _change: Change) -> None:
            assert self.state == "running", "it has no port yet"

    cloud = Slow()
    spec = Spec("p", "one", record_host_key=False)
    observed = Observed(found=(cloud.instance(),))
    change = Change("update", field, None, True)
    result = apply([Job(spec, observed, Plan("one", (change,)))], cast(Cloud, cloud), Waiting("none", 1, Route()))
    assert [each.state for each in result.instances] == ["running"]


class Full(Silent):
    """A cloud with one running instance, and no room for what it is changed to.

    ``refusals``: how many starts are refused. ``accepts``: whether that shows only after the start was accepted.
    """

    pacing = Pacing(0.001, 0.001)

    def __init__(self, *, refusals: int, accepts: bool = False, state: str = "running") -> None:
        super().__init__()
        self.one = Instance(
            "i-1", "one", "p", "ec2", "here", state, instance_type="small", tags=marks("p", "one", None, None)
        )
        self._refusals = refusals
        self._accepts = accepts
        self._next: list[str] = []

    def _become(self, *states: str) -> None:
        self._next = list(states)

    def refresh(self, ids: Sequence[str]) -> dict[str, Instance]:
        if self._next:
            self.one = dataclasses.replace(self.one, state=self._next.pop(0))
        return dict.fromkeys(ids, self.one)

    def stop(self, _ids: Sequence[str], *, hibernate: bool = False) -> None:
        self._become("stopped")

    def start(self, _ids: Sequence[str]) -> None:
        refused, self._refusals = self._refusals > 0, self._refusals - 1
        if refused and not self._accepts:
            raise NoCapacity("None left.")
        self._become("pending", *(["stopped"] if refused else ["running"]))

    def update(self, _instance: Instance, change: Change) -> None:
        assert self.one.state == "stopped"
        if change.after == "forbidden":
            raise InvalidRequest("Not for you.")
        self.one = dataclasses.replace(self.one, instance_type=change.after)

    def failure(self, _instance: Instance, wanted: str) -> NoCapacity:
        return NoCapacity(f"None left to become {wanted}.")


def change_type(cloud: Full, after: str = "big") -> Result:
    spec = Spec("p", "one", state="running", instance_type=after, allow_stop=True, record_host_key=False)
    observed = Observed(found=(cloud.one,))
    job = Job(spec, observed, plan(spec, observed, package("ec2").TRAITS))
    return apply([job], cast(Cloud, cloud), Waiting("running", 1, Route()))


@pytest.mark.parametrize("accepts", [False, True])
def test_what_was_stopped_for_a_type_without_room_runs_again_as_it_was(accepts: bool) -> None:
    cloud = Full(refusals=1, accepts=accepts)
    with pytest.raises(NoCapacity, match=r"None left.*one is running again, with the instance type small") as failed:
        change_type(cloud)
    assert (cloud.one.state, cloud.one.instance_type) == ("running", "small")
    assert [each.state for each in failed.value.instances] == ["running"]
    assert change_type(cloud).instances[0].instance_type == "big"


@pytest.mark.parametrize("accepts", [False, True])
def test_what_cannot_run_again_is_said_to_be_stopped_and_the_next_run_goes_on(accepts: bool) -> None:
    cloud = Full(refusals=2, accepts=accepts)
    with pytest.raises(NoCapacity, match="one is stopped now, with the instance type small"):
        change_type(cloud)
    assert (cloud.one.state, cloud.one.instance_type) == ("stopped", "small")
    assert change_type(cloud).instances[0].instance_type == "big"


def test_what_was_stopped_before_keeps_the_type_it_was_given() -> None:
    cloud = Full(refusals=1, state="stopped")
    with pytest.raises(NoCapacity, match="one is stopped now, with the instance type big"):
        change_type(cloud)
    assert change_type(cloud).instances[0].state == "running"


def test_what_was_stopped_for_a_change_that_is_refused_runs_again() -> None:
    cloud = Full(refusals=0)
    with pytest.raises(InvalidRequest, match="one is running again, with the instance type small"):
        change_type(cloud, "forbidden")
    assert cloud.one.state == "running"


def test_a_start_that_fails_after_it_was_accepted_is_not_waited_for() -> None:
    cloud = Full(refusals=1, accepts=True, state="stopped")
    cloud.start([])
    with pytest.raises(NoCapacity, match="to become running"):
        until_state(cast(Cloud, cloud), [cloud.one], "running", Deadline(5))
