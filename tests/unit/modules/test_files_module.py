# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Several files are written in one call: whole, only where they differ, and with their own permissions."""

from __future__ import annotations

import json
import os
import pathlib
import stat
from collections.abc import Callable
from typing import Any

import pytest
from ansible.module_utils.common.parameters import PASS_VARS
from ansible.module_utils.testing import patch_module_args

from ansible_collections.haven.gpu.plugins.modules import files

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """Calls run the module itself; they return what it answers."""

    def run(*entries: dict[str, Any], check: bool = False) -> dict[str, Any]:
        flags = {"_ansible_check_mode": check, "_ansible_diff": True}
        if "inject_invocation" in PASS_VARS:
            # Until ansible-core 2.20 every answer has it.
            flags["_ansible_inject_invocation"] = True
        with patch_module_args({"files": list(entries), **flags}), pytest.raises(SystemExit):
            files.main()
        answer: dict[str, Any] = json.loads(capfd.readouterr().out)
        return answer

    return run


def mode(path: pathlib.Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_folder_and_its_files_are_made_and_a_second_call_changes_nothing(run: Run, tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "conf"
    wanted = [
        {"path": str(folder), "state": "directory", "mode": "0750"},
        {"path": str(folder / "a"), "content": "ä\n"},
        {"path": str(folder / "b"), "content": "", "mode": "0600"},
    ]
    answer = run(*wanted)
    assert answer["paths"] == [entry["path"] for entry in wanted]
    assert (folder / "a").read_text(encoding="utf-8") == "ä\n"
    assert [mode(path) for path in (folder, folder / "a", folder / "b")] == [0o750, 0o644, 0o600]
    before = (folder / "a").stat()
    again = run(*wanted)
    assert (again["changed"], again["paths"], again["diff"]) == (False, [], [])
    assert (folder / "a").stat().st_mtime_ns == before.st_mtime_ns
    assert sorted(os.listdir(folder)) == ["a", "b"]


def test_missing_parents_become_like_the_folder_and_those_there_stay(run: Run, tmp_path: pathlib.Path) -> None:
    tmp_path.chmod(0o711)
    run({"path": str(tmp_path / "a/b"), "state": "directory", "mode": "0700"})
    assert [mode(path) for path in (tmp_path, tmp_path / "a", tmp_path / "a/b")] == [0o711, 0o700, 0o700]


def test_check_mode_says_the_same_and_writes_nothing(run: Run, tmp_path: pathlib.Path) -> None:
    (tmp_path / "old").write_text("before\n")
    wanted = [
        {"path": str(tmp_path / "conf"), "state": "directory"},
        {"path": str(tmp_path / "conf/new"), "content": "x\n", "validate": "false %s"},
        {"path": str(tmp_path / "old"), "content": "after\n"},
    ]
    checked = run(*wanted, check=True)
    assert (tmp_path / "old").read_text() == "before\n"
    assert not (tmp_path / "conf").exists()
    wanted[1]["validate"] = "true %s"
    real = run(*wanted)
    assert (checked["paths"], checked["diff"]) == (real["paths"], real["diff"])
    assert (checked["diff"][2]["before"], checked["diff"][2]["after"]) == ("before\n", "after\n")


def test_a_wrong_mode_alone_is_mended_and_shown(run: Run, tmp_path: pathlib.Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    file.chmod(0o666)
    entry = {"path": str(file), "content": "x", "mode": "0600"}
    checked = run(entry, check=True)
    assert mode(file) == 0o666
    assert checked["diff"] == run(entry)["diff"]
    assert (checked["diff"][0]["before"]["mode"], mode(file)) == ("0666", 0o600)


def test_content_that_its_check_refuses_takes_nobodys_place(run: Run, tmp_path: pathlib.Path) -> None:
    file = tmp_path / "file"
    file.write_text("good\n")
    answer = run(
        {"path": str(file), "content": "bad\n", "validate": "grep -q good %s"},
        {"path": str(tmp_path / "next"), "content": "x"},
    )
    assert answer["failed"]
    assert "the command in validate refused it" in answer["msg"]
    assert file.read_text() == "good\n"
    assert os.listdir(tmp_path) == ["file"]
    assert run({"path": str(file), "content": "good too\n", "validate": "grep -q good %s"})["changed"]


def test_a_command_that_is_not_told_the_path_is_refused(run: Run, tmp_path: pathlib.Path) -> None:
    answer = run({"path": str(tmp_path / "file"), "content": "x", "validate": "true"})
    assert "must contain %s" in answer["msg"]
    assert os.listdir(tmp_path) == []


def test_a_link_is_replaced_and_what_it_led_to_stays(run: Run, tmp_path: pathlib.Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("mine")
    link.symlink_to(target)
    assert run({"path": str(link), "content": "mine"})["changed"]
    assert not link.is_symlink()
    assert target.read_text() == "mine"


def test_contents_are_in_the_diff_only_and_not_there_where_it_is_off(run: Run, tmp_path: pathlib.Path) -> None:
    file = tmp_path / "file"
    file.write_text("canary one")
    answer = run({"path": str(file), "content": "canary two", "diff": False})
    assert answer["diff"]
    assert file.read_text() == "canary two"
    assert "canary" not in json.dumps(answer)
    shown = run({"path": str(file), "content": "canary three"})
    assert "canary" in json.dumps(shown.pop("diff"))
    assert "invocation" in shown
    assert "canary" not in json.dumps(shown)


def test_a_check_that_quotes_the_content_is_quoted_only_where_it_may_be_shown(run: Run, tmp_path: pathlib.Path) -> None:
    quoting = {"path": str(tmp_path / "file"), "content": "canary\n", "validate": "sh -c 'cat \"$0\"; false' %s"}
    assert "canary" in run(quoting)["msg"]
    assert "canary" not in json.dumps(run({**quoting, "diff": False}))


@pytest.mark.parametrize(("path", "reason"), [("missing/file", "folder exists"), ("folder", "is a folder")])
def test_what_cannot_be_written_is_said_so(run: Run, tmp_path: pathlib.Path, path: str, reason: str) -> None:
    (tmp_path / "folder").mkdir()
    answer = run({"path": str(tmp_path / path), "content": "x"})
    assert answer["failed"]
    assert reason in answer["msg"]
