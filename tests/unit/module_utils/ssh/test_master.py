# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A held connection: its files while it lasts, and what is said of a hop that cannot be passed. ssh is a stand-in."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from ansible_collections.haven.gpu.plugins.module_utils._errors import HavenError, LoginRefused, Unreachable, Untrusted
from ansible_collections.haven.gpu.plugins.module_utils._ssh.config import hop_alias
from ansible_collections.haven.gpu.plugins.module_utils._ssh.master import held
from tests.unit.module_utils.ssh.readings import HOPS, KEY, asked

Stand = Callable[[str], None]


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stand:
    """Be ssh with these lines of shell, for each connection that is opened."""

    def stand_in(lines: str) -> None:
        program = tmp_path / "bin" / "ssh"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\n{lines}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")

    return stand_in


def test_the_files_are_the_users_alone_and_end_with_the_connection(
    tmp_path: Path, ssh: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    ssh("exit 0")
    with held(HOPS, [("0", "10.0.0.5", 22)]) as connection:
        folder = Path(connection.folder)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert {"config", "known_hosts", "proxy_helper.py"} <= {each.name for each in folder.iterdir()}
        assert (folder / "known_hosts").read_text() == f"{hop_alias(HOPS, 0)} {KEY} gate.example.org\n"
        text = (folder / "config").read_text()
        command = connection.command("-O", "check")
    assert not folder.exists()
    assert command[1:5] == ["-F", f"{folder}/config", "-S", f"{folder}/s"]
    assert command[-1] == hop_alias(HOPS, 1)
    monkeypatch.undo()
    last = asked(tmp_path, text, hop_alias(HOPS, 1))
    assert last["localforward"] == f"{folder}/0 [10.0.0.5]:22"
    assert (last["stricthostkeychecking"], last["user"]) == ("true", "second")


@pytest.mark.parametrize(
    ("said", "kind", "message"),
    [
        ("me@fd00::1: Permission denied (publickey).", LoginRefused, r"jump host fd00::1 refuses the login \(me@fd00"),
        (
            "Received disconnect from fd00::1 port 22:2: Too many authentication failures",
            LoginRefused,
            r"refuses the login .*set the hop.s key",
        ),
        ("connect to host fd00::1 port 22: Permission denied", Unreachable, r"jump host fd00::1 cannot be reached"),
        ("Host key verification failed.", Untrusted, r"jump host fd00::1 shows a host key that is not known"),
        (
            "haven.gpu refuses gate (x): it shows the host key A, and B is known.",
            Untrusted,
            r"^haven\.gpu refuses gate \(x\).* Ask the jump host's operator",
        ),
        (f"ssh: {hop_alias(HOPS, 0)}: no", Unreachable, r"jump host gate\.example\.org cannot be reached"),
    ],
)
def test_the_hop_that_cannot_be_passed_is_named(ssh: Stand, said: str, kind: type[HavenError], message: str) -> None:
    ssh(f"echo '{said}' >&2; exit 255")
    with pytest.raises(kind, match=message), held(HOPS):
        pass
