# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A volume that grows has its new size when that is reported."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.haven.gpu.plugins.module_utils._clouds.openstack import volumes
from ansible_collections.haven.gpu.plugins.module_utils._errors import CloudFailure
from ansible_collections.haven.gpu.plugins.module_utils._retry import Deadline


class Cinder:
    """One volume, which goes through these states (status and size) once it was asked to grow."""

    def __init__(self, *states: tuple[str, int]) -> None:
        self.deadline = Deadline()
        self.states = [*states]
        self.asked: list[Any] = []

    def post(self, _service: str, _path: str, body: Any) -> None:
        self.asked.append(body)

    def get(self, _service: str, _path: str) -> dict[str, Any]:
        status, size = self.states.pop(0)
        return {"volume": {"id": "v-1", "status": status, "size": size}}


def test_it_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volumes.time, "sleep", lambda _seconds: None)
    # Cinder has taken the request, has begun, has the size, and is done.
    cinder = Cinder(("in-use", 1), ("extending", 1), ("extending", 2), ("in-use", 2))
    volumes.Volumes(cinder).grow("v-1", 2)  # type: ignore[arg-type]
    assert cinder.asked == [{"os-extend": {"new_size": 2}}]
    assert cinder.states == []


def test_a_failure_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volumes.time, "sleep", lambda _seconds: None)
    with pytest.raises(CloudFailure, match="could not enlarge the volume v-1"):
        volumes.Volumes(Cinder(("extending", 1), ("error_extending", 1))).grow("v-1", 2)  # type: ignore[arg-type]
