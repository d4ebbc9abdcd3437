# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The helper tells the recorded host key, or one that the authority signed, from any other. Run as ssh runs it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from ansible_collections.haven.gpu.plugins.module_utils._ssh import proxy_helper
from ansible_collections.haven.gpu.plugins.module_utils._ssh.config import Machine, known_hosts
from tests.unit.module_utils.ssh.readings import KEY

FINGERPRINT = "SHA256:fMI3RONfHJAcsCr4s0SDWDfyKLqV/mRbCFuLZjNO5Lc"
BLOB = KEY.split()[1]
OTHER = "SHA256:R4xHBOBo01xaQDGCJCnTg5Ll0hDcY3fkMCiZiEyn67Q"
NOTEBOOK = Machine("i-1", host_key=KEY, name="notebook")


def checked(tmp_path: Path, *arguments: str, known: Sequence[Machine] = (NOTEBOOK,)) -> tuple[int, str]:
    """What the helper makes of a key: its exit status and what it says."""
    file = tmp_path / "known_hosts"
    file.write_text(known_hosts(known, []) + "# a comment\nbroken\n\n@cert-authority\n")
    command = [sys.executable, "-IS", proxy_helper.__file__, "check", *arguments, str(file), str(tmp_path / "missing")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    # Whatever it printed would be taken for a known key.
    assert done.stdout == ""
    return done.returncode, done.stderr


@pytest.mark.parametrize("mode", ["verified", "tofu"])
def test_the_known_key_passes_and_another_is_refused_in_every_mode(tmp_path: Path, mode: str) -> None:
    assert checked(tmp_path, mode, "ORDER", "i-1", "NONE", "NONE") == (0, "")
    assert checked(tmp_path, mode, "HOSTNAME", "i-1", FINGERPRINT, BLOB) == (0, "")
    assert checked(tmp_path, mode, "HOSTNAME", "I-1", FINGERPRINT, BLOB) == (0, "")
    status, said = checked(tmp_path, mode, "HOSTNAME", "i-1", OTHER, BLOB)
    assert status == 1
    start = f"haven.gpu refuses notebook (i-1): it shows the host key {OTHER}, and {FINGERPRINT} is known."
    assert said.startswith(start)


def test_a_machine_without_a_known_key_passes_on_first_use_only_where_that_is_asked(tmp_path: Path) -> None:
    assert checked(tmp_path, "tofu", "HOSTNAME", "i-2", OTHER, BLOB) == (0, "")
    status, said = checked(tmp_path, "verified", "HOSTNAME", "i-2", OTHER, BLOB)
    assert status == 1
    assert said.startswith(f"haven.gpu refuses i-2: it shows the host key {OTHER}, and none is known.")


def generated(file: Path, kind: str = "ed25519") -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "", "-f", str(file)], check=True)
    return file


def certificate(signer: Path, key: Path, *options: str, names: str = "demo.project") -> str:
    command = ["ssh-keygen", "-q", "-s", str(signer), "-I", "test", "-n", names, *options, f"{key}.pub"]
    subprocess.run(command, check=True, capture_output=True)
    return Path(f"{key}-cert.pub").read_text().split()[1]


def printed(key: Path) -> str:
    done = subprocess.run(["ssh-keygen", "-l", "-f", f"{key}.pub"], capture_output=True, text=True, check=True)
    return done.stdout.split()[1]


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_what_the_authority_signed_for_this_host_passes(tmp_path: Path, kind: str) -> None:
    signer, key = generated(tmp_path / "signer"), generated(tmp_path / "key", kind)
    trusting = [Machine("i-1", identity="demo.project", authority=Path(f"{signer}.pub").read_text().strip())]
    signed = certificate(signer, key, "-h", names="other.project,demo.project")
    assert checked(tmp_path, "verified", "HOSTNAME", "demo.project", printed(key), signed, known=trusting) == (0, "")


@pytest.mark.parametrize(
    ("options", "names"),
    [(["-h"], "other.project"), ([], "demo.project"), (["-h", "-V", "20200101:20210101"], "demo.project")],
    ids=["for another host", "for a user", "no longer valid"],
)
@pytest.mark.parametrize("mode", ["verified", "tofu"])
def test_any_other_certificate_is_refused(tmp_path: Path, mode: str, options: list[str], names: str) -> None:
    signer, key = generated(tmp_path / "signer"), generated(tmp_path / "key")
    trusting = [
        Machine("i-1", identity="demo.project", authority=Path(f"{signer}.pub").read_text().strip(), name="demo")
    ]
    signed = certificate(signer, key, *options, names=names)
    status, said = checked(tmp_path, mode, "HOSTNAME", "demo.project", printed(key), signed, known=trusting)
    assert status == 1
    assert f"demo (demo.project): it shows the host key {printed(key)}, and one signed by {printed(signer)} is" in said


def test_a_plain_key_or_somebody_elses_certificate_is_not_enough_where_an_authority_is_asked(tmp_path: Path) -> None:
    signer, other, key = generated(tmp_path / "signer"), generated(tmp_path / "other"), generated(tmp_path / "key")
    # A recorded key counts for nothing then: whoever may write tags wrote it.
    trusting = [
        Machine(
            "i-1",
            identity="demo.project",
            host_key=Path(f"{key}.pub").read_text().strip(),
            authority=Path(f"{signer}.pub").read_text().strip(),
        )
    ]
    plain = Path(f"{key}.pub").read_text().split()[1]
    signed = certificate(other, key, "-h")
    for shown in (plain, signed, signed[:200], "", "AAAA", "====" * 9):
        status, said = checked(tmp_path, "verified", "HOSTNAME", "demo.project", printed(key), shown, known=trusting)
        assert (status, f"one signed by {printed(signer)} is known" in said) == (1, True)
