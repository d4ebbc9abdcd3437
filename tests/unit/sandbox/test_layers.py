# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Layers of images are kept by their content."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pytest

from tests.sandbox import images, profiles
from tests.sandbox.ec2 import seed
from tests.sandbox.errors import SandboxError
from tests.sandbox.layers import Files, Libraries, Packages


def test_files_are_written_with_their_modes_and_links(tmp_path: Path) -> None:
    layer = Files({"etc/setting": "1\n", "usr/bin/program": "#!/bin/sh\n"}, {"etc/link": "setting"})
    folder = tmp_path / layer.name([])
    layer.make([], folder)
    assert oct((folder / "etc/setting").stat().st_mode & 0o777) == "0o644"
    assert oct((folder / "usr/bin/program").stat().st_mode & 0o777) == "0o755"
    assert (folder / "etc/link").read_text() == "1\n"
    assert [each.name for each in tmp_path.iterdir()] == [folder.name]


def test_libraries_are_compiled_under_the_name_that_programs_load_them_by(tmp_path: Path) -> None:
    source = tmp_path / "answer.c"
    source.write_text("int answer(void) { return 42; }\n")
    layer = Libraries({"usr/lib/libanswer.so.1": source})
    folder = tmp_path / layer.name([])
    layer.make([], folder)
    assert ctypes.CDLL(str(folder / "usr/lib/libanswer.so.1")).answer() == 42
    source.write_text("int answer(void) { return 43; }\n")
    assert layer.name([]) != folder.name


def test_another_content_is_another_layer() -> None:
    layers = [Files({"a": "1"}), Files({"a": "2"}), Files({}, {"a": "1"}), Packages(("p",)), Packages(("p",), "true")]
    names = [layer.name([Path("below")]) for layer in layers]
    names.append(Packages(("p",)).name([Path("another")]))
    assert len(set(names)) == len(names)


def test_an_unknown_image_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match=r"no image ubuntu-lik: there are bookworm, .*ubuntu-like"):
        images.build_missing(tmp_path, ["ubuntu-lik"], print)


def test_a_profile_that_was_not_asked_for_is_named_with_the_option(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="run 'up --image ubuntu-like'"):
        images.locate(tmp_path, "ubuntu-like")


def test_the_catalogue_has_every_profile() -> None:
    assert set(profiles.PROFILES) <= {image.boots for image in seed.IMAGES}
