# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module's answers: at once, after a wait, after too long a wait, in check mode, and to who is not root."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.common.parameters import PASS_VARS
from ansible.module_utils.testing import patch_module_args

from ansible_collections.haven.gpu.plugins.modules import first_boot

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Calls run the module on a machine whose files are in a folder; cloud-init is in its last stage there."""
    (tmp_path / "run/cloud-init").mkdir(parents=True)
    (tmp_path / "run/cloud-init/status.json").write_text('{"v1": {"stage": "modules-final"}}')
    monkeypatch.setattr(first_boot, "_ROOT", tmp_path)
    monkeypatch.setattr(first_boot, "unit_state", lambda _module, _unit: ("activating", "7"))
    monkeypatch.setattr(first_boot.os, "geteuid", lambda: 0)

    def run(check: bool = False, **options: Any) -> dict[str, Any]:
        flags: dict[str, Any] = {"_ansible_check_mode": check}
        if "inject_invocation" in PASS_VARS:
            flags["_ansible_inject_invocation"] = True
        with patch_module_args({**options, **flags}), pytest.raises(SystemExit):
            first_boot.main()
        printed = capfd.readouterr()
        # On a controller, and so after a test of a plugin, warnings are shown at once.
        answer: dict[str, Any] = {"warnings": printed.err, **json.loads(printed.out)}
        return answer

    return run


def test_too_long_a_wait_fails_with_what_was_waited_for(run: Run) -> None:
    answer = run(timeout=0)
    assert (answer["failed"], answer["reason"]) == (True, "timeout")
    assert "cloud-init, which is in its stage modules-final" in answer["msg"]
    assert "'cloud-init status --long'" in answer["msg"]


def test_errors_of_cloud_init_are_told_to_who_waited_for_it(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = tmp_path / "run/cloud-init/result.json"

    def unit_state(_module: object, _unit: str) -> tuple[str, str]:
        result.write_text('{"v1": {"errors": ["no such package"]}}')  # for the next look
        return "activating", "7"

    monkeypatch.setattr(first_boot, "unit_state", unit_state)
    answer = run()
    assert answer["waited_for"] == ["cloud-init, which is in its stage modules-final"]
    assert "errors" in str(answer["warnings"])
    assert run()["waited_for"] == []


def test_check_mode_does_not_wait(run: Run) -> None:
    answer = run(check=True, timeout=0)
    assert (answer["changed"], answer["waited_for"]) == (False, [])


def test_who_is_not_root_is_told_what_to_add(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_boot.os, "geteuid", lambda: 1000)
    assert "become: true" in run()["msg"]
