# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Private files are written whole, once, and for their owner only."""

from __future__ import annotations

import os
import pathlib
import stat

import pytest

from ansible_collections.haven.gpu.plugins.plugin_utils._files import private_folder, write_private


def mode(path: pathlib.Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_file_is_its_owners_alone(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "file"
    assert write_private(str(file), "text ä\n")
    assert (file.read_text(encoding="utf-8"), mode(file)) == ("text ä\n", 0o600)


def test_the_same_text_is_not_written_again(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "file"
    write_private(str(file), "text")
    before = file.stat().st_ino
    assert not write_private(str(file), "text")
    assert file.stat().st_ino == before


def test_a_file_that_others_can_read_is_replaced(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "file"
    file.write_text("text")
    file.chmod(0o644)
    assert write_private(str(file), "text")
    assert mode(file) == 0o600


def test_a_link_is_replaced_and_its_target_kept(tmp_path: pathlib.Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("precious")
    link.symlink_to(target)
    write_private(str(link), "text")
    assert (target.read_text(), link.is_symlink(), link.read_text()) == ("precious", False, "text")


def test_a_write_that_fails_leaves_the_old_text_and_nothing_else(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    write_private(str(file), "old")

    def full(_source: str, _target: str) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="no space left"):
        write_private(str(file), "new")
    assert (file.read_text(), [path.name for path in tmp_path.iterdir()]) == ("old", ["file"])


def test_a_folder_becomes_its_owners_alone(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "a" / "b"
    assert private_folder(str(folder)) == str(folder)
    assert mode(folder) == 0o700
    folder.chmod(0o755)
    private_folder(str(folder))
    assert mode(folder) == 0o700
