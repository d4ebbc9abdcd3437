# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the end of a project removes itself, and what it leaves to the cloud."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from ansible_collections.haven.gpu.plugins.module_utils import _teardown
from ansible_collections.haven.gpu.plugins.module_utils._cloud import Cloud
from ansible_collections.haven.gpu.plugins.module_utils._errors import Incomplete, Refused
from ansible_collections.haven.gpu.plugins.module_utils._models import FirewallSpec, Instance, Pacing, Resource, Volume
from ansible_collections.haven.gpu.plugins.module_utils._teardown import tear_down
from tests.clouds.world import MemoryWorld


class FakeCloud:
    """One instance with a root disk that goes with it, and a data disk that does not; a firewall."""

    pacing = Pacing(0.001, 0.001)

    def __init__(self, *, forgets: bool = True, late: int = 0, protected: bool = False) -> None:
        self.removed: list[str] = []
        self._protected = protected
        self._late = late
        self._forgets = forgets
        self.terminated = False
        disks = (Volume("root", "/dev/xvda", True), Volume("data", "/dev/sdf", False))
        self._instance = Instance("i-1", "one", "p", "ec2", "r", state="running", volumes=disks)
        self._resources = [
            Resource("instance", "i-1", "one", "running", True),
            Resource("volume", "root", "one", "in-use", True),
            Resource("volume", "data", "one-data", "in-use", True),
            Resource("firewall", "sg-1", "p", "", True),
        ]

    def instances(self, project: str) -> Sequence[Any]:
        return [self._instance]

    def resources(self, project: str) -> list[Resource]:
        if self.terminated and self._forgets:
            self._late -= 1
            if self._late < 0:
                self._take("root")
        return list(self._resources)

    def terminate(self, ids: Sequence[str]) -> None:
        if self._protected:
            raise Refused("It is protected.")
        self._take("i-1")
        self.terminated = True

    def refresh(self, ids: Sequence[str]) -> dict[str, Any]:
        return {} if self.terminated else {"i-1": self._instance}

    def remove(self, resource: Resource) -> None:
        self.removed.append(resource.id)
        self._take(resource.id)

    def _take(self, gone: str) -> None:
        self._resources = [each for each in self._resources if each.id != gone]


@pytest.mark.parametrize("late", [0, 3])
def test_a_disk_that_goes_with_its_instance_is_left_to_the_cloud(late: int) -> None:
    """Or the permission to delete disks would be needed by users who have none of their own."""
    cloud = FakeCloud(late=late)
    tear_down(cast(Cloud, cloud), "p", 5, False)
    assert cloud.removed == ["data", "sg-1"]


def test_one_that_did_not_go_is_named_and_goes_the_next_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_teardown, "SETTLE_TIMEOUT", 0.01)
    cloud = FakeCloud(forgets=False)
    with pytest.raises(Incomplete, match="root"):
        tear_down(cast(Cloud, cloud), "p", 5, False)
    cloud.instances = lambda project: []  # type: ignore[method-assign, assignment]
    tear_down(cast(Cloud, cloud), "p", 5, False)
    assert cloud.removed == ["data", "sg-1", "root"]


def test_nobody_waits_for_the_disk_of_an_instance_that_stays() -> None:
    cloud = FakeCloud(protected=True)
    began = time.monotonic()
    with pytest.raises(Incomplete, match="protected"):
        tear_down(cast(Cloud, cloud), "p", 5, False)
    assert time.monotonic() - began < _teardown.SETTLE_TIMEOUT / 2


@pytest.fixture
def world(tmp_path: Path) -> Iterator[MemoryWorld]:
    """A cloud in memory with two machines behind a firewall."""
    world = MemoryWorld(tmp_path)
    project = world.project()
    cloud = world.cloud()
    cloud.create_firewall(FirewallSpec(project, project))
    for name in ("one", "two"):
        world.made(world.spec(project, name, firewalls=(project,)))
    yield world
    world.hostile()
    world.end()


def gone(world: MemoryWorld, timeout: float = 5.0) -> bool:
    """End the project. Return whether nothing is left."""
    (project,) = world.projects
    tear_down(world.cloud(), project, timeout, False)
    return not world.cloud().resources(project)


def test_a_cloud_that_fails_while_instances_end_slowly_delays_the_end_only(world: MemoryWorld) -> None:
    world.hostile(slow_ends=5, refresh="before")
    assert gone(world)


def test_an_error_does_not_say_that_an_instance_stays(world: MemoryWorld) -> None:
    """The call for all of them fails, and so does the one for the first, although it is carried out."""
    world.hostile(slow_ends=3, terminate="after")
    world.hostile(slow_ends=3, terminate="after")
    assert gone(world)


def test_what_a_late_instance_used_goes_as_soon_as_that_has_gone(world: MemoryWorld) -> None:
    """The time to wait is over before the instances are gone, but they go before the end of the run."""
    world.hostile(slow_ends=1)
    assert gone(world, timeout=0.0)


def test_what_a_slow_instance_uses_is_left_with_that_reason(world: MemoryWorld) -> None:
    world.hostile(slow_ends=1000)
    told = r"firewall .*: Instance (one|two) uses it\. Not terminated after 0 s"
    with pytest.raises(Incomplete, match=told) as caught:
        gone(world, timeout=0.0)
    assert {each["kind"] for each in caught.value.values["left"]} == {"firewall"}
    world.hostile()
    assert gone(world)
