# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A running instance whose GPU does not work, in a sentence of the status."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.haven.gpu.plugins.filter.gpu_lines import gpu_lines

LOST = "A GPU has fallen off the bus. Stop and start the instance."


def said(result: dict[str, Any] | None, **changed: Any) -> list[str]:
    hosts = [{"haven_id": "i-1"} if result is None else {"haven_id": "i-1", "__haven_cuda": result}]
    return gpu_lines([{"name": "demo", "id": "i-1", "state": "running", **changed}], hosts)


def report(ok: bool, summary: str) -> dict[str, Any]:
    return {"rc": 0 if ok else 1, "stdout": json.dumps({"ok": ok, "summary": summary})}


def test_an_instance_that_runs_without_its_gpu_is_told_with_what_to_do() -> None:
    assert said(report(False, LOST)) == [f"On demo, CUDA programs cannot run: {LOST}"]


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        ({"failed": True, "rc": 2, "stdout": "", "stderr": "There is no report of an earlier check"}, "no report"),
        ({"failed": True, "msg": "Timed out after 60 second(s)."}, "Timed out"),
        ({"rc": 1, "stdout": "Traceback"}, "no answer"),
    ],
)
def test_a_check_without_an_answer_is_told(result: dict[str, Any], reason: str) -> None:
    (line,) = said(result)
    assert "is unknown" in line
    assert reason in line


@pytest.mark.parametrize(
    ("result", "state"),
    [
        (report(True, "1 GPU"), "running"),
        (report(False, LOST), "stopped"),
        (None, "running"),
        ({"skipped": True}, "running"),
        ({"unreachable": True, "msg": "no route"}, "running"),
        ({"failed": True, "rc": 2, "stdout": "", "stderr": ""}, "running"),  # there is no such program
    ],
)
def test_where_nothing_is_wrong_nothing_is_said(result: dict[str, Any] | None, state: str) -> None:
    assert said(result, state=state) == []


def test_what_a_machine_says_cannot_move_the_cursor() -> None:
    (line,) = said(report(False, "gone\x1b[2J\n\u202e"))
    assert line.isprintable()


def test_anything_else_is_refused_with_a_sentence() -> None:
    with pytest.raises(AnsibleFilterError, match="instance_info"):
        gpu_lines([{"name": "x"}], [])
