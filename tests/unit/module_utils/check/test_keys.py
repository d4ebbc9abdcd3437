# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files of private keys are read without a passphrase, and what ssh would ignore is named."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from ansible_collections.haven.gpu.plugins.module_utils._check.keys import check, read
from ansible_collections.haven.gpu.plugins.module_utils._errors import InvalidRequest
from ansible_collections.haven.gpu.plugins.module_utils._models import Finding


def make(folder: Path, name: str, *options: str) -> tuple[str, str]:
    """The path of a new key, and its public half."""
    path = folder / name
    command = ["ssh-keygen", "-q", "-f", str(path), *(options or ("-t", "ed25519", "-N", ""))]
    subprocess.run(command, check=True, capture_output=True)
    return str(path), " ".join((folder / f"{name}.pub").read_text().split()[:2])


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the agent lists."""
    program, listed = tmp_path / "bin" / "ssh-add", tmp_path / "listed"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ncat {listed}\n")
    program.chmod(0o755)
    listed.write_text("The agent has no identities.\n")
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path))
    return listed


def only(findings: list[Finding]) -> Finding:
    (finding,) = findings
    return finding


@pytest.mark.parametrize(
    ("options", "locked"),
    [
        (("-t", "ed25519", "-N", ""), False),
        (("-t", "ed25519", "-N", "a passphrase"), True),
        (("-t", "rsa", "-b", "1024", "-m", "PEM", "-N", ""), False),
        (("-t", "ecdsa", "-N", ""), False),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else str(value),
)
def test_the_public_half_is_read_without_the_passphrase(tmp_path: Path, options: tuple[str, ...], locked: bool) -> None:
    path, public = make(tmp_path, "key", *options)
    key = read(path)
    assert (key.public, key.locked) == (public, locked)


def test_an_old_key_with_a_passphrase_hides_its_public_half(tmp_path: Path) -> None:
    path, _public = make(tmp_path, "key", "-t", "rsa", "-b", "1024", "-m", "PEM", "-N", "a passphrase")
    assert (read(path).public, read(path).locked) == (None, True)


def test_what_ssh_would_ignore_is_named(tmp_path: Path) -> None:
    path, _public = make(tmp_path, "key")
    (tmp_path / "notes").write_text("a text")
    (tmp_path / "cut").write_text("\n".join(Path(path).read_text().splitlines()[:3]))
    for name in ("notes", "cut"):
        (tmp_path / name).chmod(0o600)
    Path(f"{path}.pub").chmod(0o600)
    for name, said in {
        "gone": "does not exist",
        ".": "is a folder",
        "key.pub": "is a public key",
        "notes": "is not a private key",
        "cut": "is damaged",
    }.items():
        with pytest.raises(InvalidRequest, match=said):
            read(str(tmp_path / name))
    Path(path).chmod(0o644)
    with pytest.raises(InvalidRequest, match=r"mode 0644.*chmod 600"):
        read(path)


def test_a_key_with_a_passphrase_has_to_be_in_the_agent(tmp_path: Path, agent: Path) -> None:
    path, public = make(tmp_path, "key", "-t", "ed25519", "-N", "a passphrase")
    finding = only(check([("key of jump host gate", path)], None, None))
    assert (finding.verdict, finding.about) == ("wrong", "key of jump host gate")
    assert "ssh-add" in finding.said
    agent.write_text(f"{public} somebody\n")
    assert only(check([("key of jump host gate", path)], None, None)).verdict == "ok"


def test_the_private_key_has_to_fit_the_key_pair(tmp_path: Path, agent: Path) -> None:
    path, public = make(tmp_path, "key")
    _other, another = make(tmp_path, "other")
    assert only(check([], path, public)).verdict == "ok"
    finding = only(check([], path, another))
    assert finding.verdict == "wrong"
    assert "does not fit the public key" in finding.said


def test_without_a_private_key_ssh_finds_it_by_itself_or_it_is_not_sure(tmp_path: Path, agent: Path) -> None:
    (tmp_path / ".ssh").mkdir()
    _path, public = make(tmp_path / ".ssh", "id_ed25519")
    _other, another = make(tmp_path, "other")
    assert only(check([], None, public)).verdict == "ok"
    assert only(check([], None, another)).verdict == "unknown"
    agent.write_text(f"{another} somebody\n")
    assert only(check([], None, another)).said == "the SSH agent has it"
    # Somebody who has only the public half.
    (tmp_path / ".ssh" / "id_ed25519").unlink()
    assert only(check([], None, public)).verdict == "wrong"
