# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two controllers that make a firewall at the same moment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from ansible_collections.haven.gpu.plugins.module_utils._clouds.openstack import access, shapes
from ansible_collections.haven.gpu.plugins.module_utils._models import FirewallSpec

NAME = "pathology/web"


class Neutron:
    """Security groups, all made in one second. The other controller makes its own a moment after ours."""

    def __init__(self, ours: str, theirs: str) -> None:
        self.groups: dict[str, dict[str, Any]] = {}
        self._next, self._theirs = ours, theirs

    def _add(self, group_id: str, body: Mapping[str, Any]) -> dict[str, Any]:
        self.groups[group_id] = {"id": group_id, "created_at": "2026-03-01T09:00:00Z", **body}
        return self.groups[group_id]

    def make(self, _service: str, _path: str, body: dict[str, Any], _look: Callable[[], Any]) -> dict[str, Any]:
        return {"security_group": self._add(self._next, body["security_group"])}

    def pages(self, _service: str, _path: str, _key: str, **_query: Any) -> list[dict[str, Any]]:
        return list(self.groups.values())

    def delete(self, _service: str, path: str) -> None:
        del self.groups[path.rpartition("/")[2]]

    def others_create(self, _seconds: float) -> None:
        description = shapes.marked("pathology", "web", "x")
        self._add(self._theirs, {"name": NAME, "description": description})


@pytest.mark.parametrize(("ours", "theirs"), [("a", "b"), ("b", "a")])
def test_both_use_the_same_group_and_each_removes_only_its_own(
    monkeypatch: pytest.MonkeyPatch, ours: str, theirs: str
) -> None:
    neutron = Neutron(ours, theirs)
    monkeypatch.setattr(access.time, "sleep", neutron.others_create)
    made = access.Access(neutron).create_firewall(FirewallSpec("pathology", "web"))  # type: ignore[arg-type]
    assert made.id == "a"
    assert ("b" in neutron.groups) is (ours == "a")
