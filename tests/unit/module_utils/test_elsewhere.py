# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a wrong region left is found, and a region that does not answer keeps nobody waiting."""

from __future__ import annotations

from threading import Event
from typing import cast

from ansible_collections.haven.gpu.plugins.module_utils._cloud import Cloud
from ansible_collections.haven.gpu.plugins.module_utils._elsewhere import look_elsewhere
from ansible_collections.haven.gpu.plugins.module_utils._errors import Denied
from ansible_collections.haven.gpu.plugins.module_utils._models import Resource

RELEASED = Event()
LEFT = Resource("volume", "vol-1", "demo", "available")


class Regions:
    """A cloud with something in region b, which denies c, and whose region d is silent."""

    def __init__(self, region: str = "a", may_list: bool = True) -> None:
        self.region = region
        self._may_list = may_list

    def regions(self) -> list[str]:
        if not self._may_list:
            raise Denied("No permission.")
        return ["d", "c", "b", "a"]

    def in_region(self, region: str) -> Regions:
        return Regions(region)

    def resources(self, project: str) -> list[Resource]:
        assert project == "p"
        assert self.region != "a"
        if self.region == "c":
            raise Denied("An organisation denies it.")
        if self.region == "d":
            RELEASED.wait(60)
        return [LEFT]


def test_the_other_regions_are_asked_side_by_side_and_for_a_limited_time() -> None:
    # The silent region is still being waited for when everything else is known.
    seen = look_elsewhere(cast(Cloud, Regions()), "p", limit=1)
    RELEASED.set()
    assert seen.as_dict() == {
        "regions": ["a", "b"],
        "resources": [{"region": "b", **LEFT.as_dict()}],
        "not_asked": {"c": "An organisation denies it.", "d": "no answer within 1 s."},
    }


def test_without_the_permission_the_own_region_is_all_and_that_is_said() -> None:
    seen = look_elsewhere(cast(Cloud, Regions(may_list=False)), "p")
    assert seen.as_dict() == {"regions": ["a"], "resources": [], "not_asked": {"": "No permission."}}
