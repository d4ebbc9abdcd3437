# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host key for user data is a whole new one, and nothing of it stays on the controller."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import pytest

from ansible_collections.haven.gpu.plugins.module_utils._errors import InvalidRequest
from ansible_collections.haven.gpu.plugins.module_utils._ssh import host_key as _host_key
from ansible_collections.haven.gpu.plugins.module_utils._ssh.config import public_key


def test_each_key_is_new_whole_and_nowhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    one, other = _host_key.make(), _host_key.make()
    assert list(tmp_path.iterdir()) == []
    assert one.private != other.private
    assert public_key(one.public) == one.public
    file = tmp_path / "key"
    file.touch(0o600)
    file.write_text(one.private)
    derived = subprocess.run(["ssh-keygen", "-y", "-f", str(file)], capture_output=True, text=True, check=True)
    assert derived.stdout.strip() == one.public
    assert one.private not in repr(one)


def test_a_signer_vouches_for_the_key_under_one_name(tmp_path: Path) -> None:
    signer = tmp_path / "signer"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(signer)], check=True)
    made = _host_key.make(str(signer), "demo.project")
    file = tmp_path / "cert.pub"
    file.write_text(made.certificate)
    shown = subprocess.run(["ssh-keygen", "-L", "-f", str(file)], capture_output=True, text=True, check=True).stdout
    assert "host certificate" in shown
    assert shown.split("Principals:")[1].split()[0] == "demo.project"
    public = tmp_path / "public.pub"
    public.write_text(made.public)
    for each in (public, Path(f"{signer}.pub")):
        done = subprocess.run(["ssh-keygen", "-l", "-f", str(each)], capture_output=True, text=True, check=True)
        assert done.stdout.split()[1] in shown


def test_a_signer_that_cannot_sign_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="host_key_signer must be the private key of your authority"):
        _host_key.make(str(tmp_path / "missing"), "demo.project")


def test_without_ssh_keygen_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InvalidRequest, match="install the OpenSSH client"):
        _host_key.make()
