# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for a state says which instances are waited for, and in which state they are."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest

from ansible_collections.haven.gpu.plugins.module_utils import _wait
from ansible_collections.haven.gpu.plugins.module_utils._cloud import Cloud
from ansible_collections.haven.gpu.plugins.module_utils._models import Instance, Pacing
from ansible_collections.haven.gpu.plugins.module_utils._progress import VARIABLE, Progress
from ansible_collections.haven.gpu.plugins.module_utils._retry import Deadline

ONE = Instance("i-1", "one", "p", "ec2", "here", "pending")
NAMELESS = Instance("i-2", "", "p", "ec2", "here", "pending")


class Slow:
    """Instances that are pending, then building, then running."""

    pacing = Pacing(0.0, 0.0)

    def __init__(self) -> None:
        self.states = ["pending", "building", "running"]

    def refresh(self, ids: Sequence[str]) -> dict[str, Instance]:
        state = self.states.pop(0)
        return {each.id: dataclasses.replace(each, state=state) for each in (ONE, NAMELESS) if each.id in ids}


def test_each_state_of_each_instance_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "said"))
    progress = Progress()
    progress.open()
    monkeypatch.setattr(_wait, "progress", progress)
    _wait.until_state(cast(Cloud, Slow()), [ONE, NAMELESS], "running", Deadline(60))
    said = [json.loads(line) for line in (tmp_path / "said").read_text().splitlines()]
    assert [(each["event"], each["text"]) for each in said if each["about"] == "one"] == [
        ("begins", "state is pending, waits until it is running"),
        ("begins", "state is building, waits until it is running"),
        ("ends", ""),
    ]
    assert {each["about"] for each in said} == {"one", "i-2"}
