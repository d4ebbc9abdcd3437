# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An action on a server whose answer is an error, or none."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.haven.gpu.plugins.module_utils._clouds.openstack import adapter, client
from ansible_collections.haven.gpu.plugins.module_utils._errors import HavenError, Unreachable
from ansible_collections.haven.gpu.plugins.module_utils._retry import Deadline

ID = "404a4c05-6009-401f-a12e-69f173f682bc"


class Nova:
    """One server. An action is refused with ``failure``, and carried out all the same if ``acts``."""

    region = "here"

    def __init__(self, failure: Exception, *, acts: bool) -> None:
        self.deadline = Deadline()
        self.server: dict[str, Any] = {"id": ID, "name": "one", "status": "ACTIVE", "metadata": {"haven:project": "p"}}
        self._failure, self._acts = failure, acts

    def pages(self, *_listing: str, **_query: Any) -> list[dict[str, Any]]:
        return [dict(self.server)]

    def attempt(self, *_request: Any, **_more: Any) -> dict[str, Any]:
        if self._acts:
            self.server["OS-EXT-STS:task_state"] = "powering-off"
        raise self._failure


def refusal(status: int) -> client.RefusedCall:
    return client.RefusedCall(status, "Unexpected API Error.", "POST /servers/{id}/action", "compute")


@pytest.mark.parametrize(
    ("failure", "acts", "fine"),
    [
        (refusal(500), True, True),
        (refusal(504), True, True),
        (Unreachable("Nothing."), True, True),
        (refusal(500), False, False),
        (Unreachable("Nothing."), False, False),
        # Somebody else does something at the same moment: a refusal stays one.
        (refusal(409), True, False),
    ],
)
def test_what_is_under_way_all_the_same_is_no_failure(
    monkeypatch: pytest.MonkeyPatch, failure: Exception, *, acts: bool, fine: bool
) -> None:
    monkeypatch.setattr(adapter.time, "sleep", lambda _seconds: None)
    cloud = adapter.OpenStack(Nova(failure, acts=acts))  # type: ignore[arg-type]
    assert [each.id for each in cloud.instances("p")] == [ID]
    if fine:
        cloud.stop([ID])
        return
    with pytest.raises(HavenError):
        cloud.stop([ID])
