# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the end of a project removes itself, and what it leaves to the cloud."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, cast

import pytest

from ansible_collections.haven.gpu.plugins.module_utils import _teardown
from ansible_collections.haven.gpu.plugins.module_utils._cloud import Cloud
from ansible_collections.haven.gpu.plugins.module_utils._errors import Incomplete, Refused
from ansible_collections.haven.gpu.plugins.module_utils._models import Instance, Pacing, Resource, Volume
from ansible_collections.haven.gpu.plugins.module_utils._teardown import tear_down


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
        return {}

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
