# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files of a configuration lie together, name each other, and are the user's alone."""

from __future__ import annotations

import pathlib
import re
import stat
import subprocess
import sys
import tempfile

import pytest

from ansible_collections.haven.gpu.plugins.module_utils._errors import InvalidRequest
from ansible_collections.haven.gpu.plugins.module_utils._ssh.config import Machine, Paths, hop_alias
from ansible_collections.haven.gpu.plugins.module_utils._ssh.files import socket_folder, texts, write
from tests.unit.module_utils.ssh.readings import HOPS, KEY, MACHINE, OTHER_KEY


def test_all_files_are_written_for_their_owner_only_and_name_each_other(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "new" / "folder"
    config = write({tuple(HOPS): [MACHINE]}, Paths.of_this_run(str(folder)))
    assert config == str(folder / "config")
    assert {each.name for each in folder.iterdir()} == {"config", "known_hosts", "proxy_helper.py"}
    assert {stat.S_IMODE(each.stat().st_mode) for each in folder.iterdir()} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    text = (folder / "config").read_text()
    assert f'"{folder}/known_hosts"' in text
    assert f"'{sys.executable}' -IS '{folder}/proxy_helper.py' through verified '{config}' " in text
    # The helper runs where it lies.
    check = [sys.executable, "-IS", str(folder / "proxy_helper.py"), "check", "verified", "HOSTNAME", "i-1", "x", "y"]
    done = subprocess.run([*check, str(folder / "known_hosts")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.startswith("haven.gpu refuses i-1: ")) == (1, True)


def test_nothing_is_written_where_the_user_made_a_mistake(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "folder"
    with pytest.raises(InvalidRequest, match="host_keys must be verified or tofu, not 'none'"):
        write({(): [MACHINE]}, Paths(str(folder)), host_keys="none")
    assert not folder.exists()


def test_machines_behind_other_hops_share_the_files(tmp_path: pathlib.Path) -> None:
    paths = Paths(str(tmp_path))
    outer, both = (HOPS[0],), tuple(HOPS)
    other = Machine("i-2", address="10.0.0.6", host_key=OTHER_KEY)
    said = texts({outer: [MACHINE], both: [other]}, paths)
    assert list(said) == [paths.known_hosts, paths.helper, paths.config]
    known = [f"{hop_alias(HOPS, 0)} {KEY} gate.example.org", f"i-1 {OTHER_KEY} i-1", f"i-2 {OTHER_KEY} i-2"]
    assert said[paths.known_hosts].splitlines() == known
    config = said[paths.config]
    assert (config.count("\nHost i-1\n"), config.count("\nHost i-2\n")) == (1, 1)


def test_without_machines_there_are_all_files(tmp_path: pathlib.Path) -> None:
    paths = Paths(str(tmp_path))
    said = texts({}, paths)
    assert said[paths.known_hosts] == ""
    assert said[paths.config].startswith("# Made by haven.gpu")


@pytest.mark.parametrize(
    "name",
    ["var/folders/zz/zyxvpxvq6csfxvn_n0000000000000/T", "with a space", "h\u00e5rd", "100%", "a:b", "l" * 60, "q'uote"],
)
def test_a_socket_fits_wherever_temporary_files_are(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """ssh binds it under a longer name first, and is told of it in options that have characters of their own."""
    base = tmp_path / name
    base.mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(base))
    folder = pathlib.Path(socket_folder())
    try:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert re.fullmatch(r"[A-Za-z0-9/._-]+", str(folder))
        # macOS has room for 103 bytes.
        assert len(str(folder / "s").encode()) + 17 <= 103
    finally:
        folder.rmdir()
