# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a stop would end, in a sentence; what could not be found out is told as well."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.haven.gpu.plugins.filter.work_lines import work_lines

DEMO = {"name": "demo", "id": "i-1", "state": "running"}


def said(result: dict[str, Any] | None, **changed: Any) -> list[str]:
    hosts = [] if result is None else [{"haven_id": "i-1", "__haven_work": result}]
    return work_lines([{**DEMO, **changed}], hosts)


def answer(*servers: tuple[str, list[str]]) -> dict[str, Any]:
    return {"rc": 0, "stdout": json.dumps([{"user": user, "work": work, "pending": False} for user, work in servers])}


def test_everybody_who_works_is_named_with_what_runs() -> None:
    kernel = "the kernel of train.ipynb is computing"
    assert said(answer(("alice", [kernel, "the program git runs in a terminal"]), ("bob", []))) == [
        f"On demo, the notebook server of alice is in use: {kernel}, and the program git runs in a terminal."
    ]


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (None, "the inventory does not list it"),
        ({"unreachable": True, "msg": "Failed to connect to the host via ssh: no route"}, "no route"),
        ({"failed": True, "msg": "Timed out after 20 second(s)."}, "(Timed out after 20 second(s))"),
        ({"failed": True, "rc": 2, "stdout": "", "stderr": "only root may ask"}, "only root may ask"),
        ({"failed": True, "msg": "Missing sudo password"}, "sudo password"),
        ({"rc": 0, "stdout": "{}\x1b[2J"}, "unknown"),
        ({}, "no answer"),
    ],
)
def test_who_does_not_answer_may_be_working(result: dict[str, Any] | None, reason: str) -> None:
    (line,) = said(result)
    assert reason in line
    assert "unknown" in line


@pytest.mark.parametrize(
    ("result", "state"),
    [
        ({"unreachable": True, "msg": "no route"}, "stopped"),
        (answer(), "running"),
        (answer(("alice", [])), "running"),
        # There is no such program: no notebook was ever set up.
        (
            {"failed": True, "rc": 2, "stdout": "", "stderr": "", "msg": "[Errno 2] No such file or directory"},
            "running",
        ),
        ({"skipped": True}, "running"),
    ],
)
def test_nothing_is_said_where_nobody_can_be_working(result: dict[str, Any], state: str) -> None:
    assert said(result, state=state) == []


def test_names_cannot_move_the_cursor() -> None:
    (line,) = said(answer(("alice", ["the kernel of \u202etxt.\x1b[2J\n is computing"])), name="de\x1bmo")
    assert line.isprintable()
    assert "de\\x1bmo" in line


def test_anything_else_is_refused_with_a_sentence() -> None:
    with pytest.raises(AnsibleFilterError, match="instance_info"):
        work_lines([{"name": "x"}], [])
