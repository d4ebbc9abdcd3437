# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Private files are written whole, once, and for their owner only."""

from __future__ import annotations

import multiprocessing
import os
import pathlib
import stat
from typing import Any

import pytest

from ansible_collections.haven.gpu.plugins.module_utils._ssh.files import private_folder, write_private


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


def _write_again_and_again(path: str, text: str, ready: Any) -> None:
    ready.wait()
    for _ in range(150):
        write_private(path, text)


def test_whoever_reads_while_many_write_reads_one_whole_text(tmp_path: pathlib.Path) -> None:
    """Each as long as a file of a large inventory, so that a write in place would be seen half done."""
    file = tmp_path / "file"
    texts = {str(number) * 500_000 for number in range(6)}
    write_private(str(file), next(iter(texts)))
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(len(texts) + 1)
    writers = [context.Process(target=_write_again_and_again, args=(str(file), text, ready)) for text in texts]
    for writer in writers:
        writer.start()
    ready.wait()
    seen = set()
    while any(writer.is_alive() for writer in writers):
        seen.add(file.read_text())
        assert mode(file) == 0o600
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * len(writers)
    assert seen <= texts
    assert len(seen) > 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
