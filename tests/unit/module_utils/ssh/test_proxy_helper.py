# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The helper beside each ssh configuration, as the real ssh runs it. With jump hosts: test_jump_hosts.py."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.haven.gpu.plugins.module_utils._ssh import proxy_helper
from ansible_collections.haven.gpu.plugins.module_utils._ssh.config import (
    NO_ADDRESS,
    Files,
    Hop,
    Machine,
    helper,
    known_hosts,
    render,
)

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGtQkg2pJ0Q1m1GZ1h6dXqg8xW6gQq3Yk8Qx2u8ZqQ0n"
FINGERPRINT = "SHA256:fMI3RONfHJAcsCr4s0SDWDfyKLqV/mRbCFuLZjNO5Lc"
BLOB = KEY.split()[1]
OTHER = "SHA256:R4xHBOBo01xaQDGCJCnTg5Ll0hDcY3fkMCiZiEyn67Q"


@pytest.fixture
def runtime() -> Iterator[Path]:
    """What XDG_RUNTIME_DIR names, with a path as short as it has there."""
    with tempfile.TemporaryDirectory(prefix="hv-", dir="/tmp") as folder:
        yield Path(folder)


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port of this machine that nobody listens on, and that nobody else gets."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield int(taken.getsockname()[1])


def written(folder: Path, *hops: Hop, notes: bool = False, **machine: Any) -> Path:
    files = replace(Files.in_folder(str(folder)), notes=notes)
    machines = [Machine("i-1", **{"address": "10.0.0.5", "host_key": KEY, "name": "notebook", **machine})]
    Path(files.helper).write_text(helper())
    Path(files.known_hosts).write_text(known_hosts(machines, hops))
    Path(files.config).write_text(render(machines, hops, files=files, include_user_config=False))
    return Path(files.config)


def start(config: Path, runtime: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["ssh", "-F", str(config), "-o", "BatchMode=yes", *options, "i-1", "true"],
        env={**os.environ, "XDG_RUNTIME_DIR": str(runtime)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


# As Ansible starts ssh: then a ProxyCommand's own words go to /dev/null.
@pytest.mark.parametrize(
    "shared", [[], ["-o", "ControlMaster=auto", "-o", "ControlPath=~/no", "-o", "ControlPersist=9"]]
)
def test_ssh_shows_why_a_jump_host_cannot_be_passed(
    tmp_path: Path, runtime: Path, closed_port: int, shared: list[str]
) -> None:
    config = written(tmp_path, Hop("127.0.0.1", port=closed_port, host_key=KEY))
    one = start(config, runtime, *shared)
    said = one.communicate(timeout=60)[1]
    assert one.returncode == 255
    assert "haven.gpu: the jump host haven-hop-127-0-0-1-" in said
    assert "Connection refused" in said


def test_nothing_is_left_of_many_who_failed_but_their_lock_and_note(
    tmp_path: Path, runtime: Path, closed_port: int
) -> None:
    config = written(tmp_path, Hop("127.0.0.1", port=closed_port, host_key=KEY))
    several = [start(config, runtime) for _ in range(6)]
    assert all("Connection refused" in one.communicate(timeout=60)[1] for one in several)
    (folder,) = runtime.glob("haven-ssh-*")
    assert sorted(path.suffix for path in folder.iterdir()) == [".failed", ".lock"]
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_others_can_enter_is_not_used(tmp_path: Path, runtime: Path, closed_port: int) -> None:
    folder = runtime / f"haven-ssh-{os.getuid()}"
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    one = start(written(tmp_path, Hop("127.0.0.1", port=closed_port, host_key=KEY)), runtime)
    assert "Connection refused" in one.communicate(timeout=60)[1]
    assert list(folder.iterdir()) == []


def test_a_link_to_somebody_elses_folder_is_not_used(tmp_path: Path, runtime: Path, closed_port: int) -> None:
    (tmp_path / "theirs").mkdir(mode=0o700)
    (runtime / f"haven-ssh-{os.getuid()}").symlink_to(tmp_path / "theirs")
    one = start(written(tmp_path, Hop("127.0.0.1", port=closed_port, host_key=KEY)), runtime)
    assert "Connection refused" in one.communicate(timeout=60)[1]
    assert list((tmp_path / "theirs").iterdir()) == []


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that says the same, and the end when it has heard the end."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            with server.accept()[0] as link:
                while heard := link.recv(1 << 16):
                    link.sendall(heard)

        threading.Thread(target=answer, daemon=True).start()
        yield server.getsockname()[1]


def test_a_connection_without_a_jump_host_carries_everything_in_both_directions(echo: int) -> None:
    sent = os.urandom(1 << 23)
    command = [sys.executable, "-IS", proxy_helper.__file__, "direct", f"[localhost]:{echo}"]
    assert subprocess.run(command, input=sent, capture_output=True, check=True, timeout=60).stdout == sent


# The last has no address yet, or none any more.
@pytest.mark.parametrize("address", ["127.0.0.1", "no-such-name.invalid", None])
def test_ssh_shows_why_a_machine_cannot_be_reached_and_it_is_noted(
    tmp_path: Path, closed_port: int, address: str | None
) -> None:
    note = tmp_path / proxy_helper.FAILED
    note.touch()
    os.utime(note, (0, 0))
    one = start(written(tmp_path, notes=True, address=address, port=closed_port), tmp_path)
    said = one.communicate(timeout=60)[1]
    assert f"haven.gpu: {address or NO_ADDRESS} port {closed_port} cannot be reached: " in said
    assert ("Connection refused" in said) == (address == "127.0.0.1")
    assert note.stat().st_mtime > 0


NOTEBOOK = Machine("i-1", host_key=KEY, name="notebook")


def checked(tmp_path: Path, *arguments: str, known: Sequence[Machine] = (NOTEBOOK,)) -> tuple[int, str]:
    """What the helper makes of a key: its exit status and what it says. Run as ssh runs it."""
    file, script = tmp_path / "known_hosts", tmp_path / "proxy_helper.py"
    file.write_text(known_hosts(known, []) + "# a comment\nbroken\n\n@cert-authority\n")
    script.write_text(helper())
    command = [sys.executable, "-IS", str(script), "check", *arguments, str(file), str(tmp_path / "missing")]
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


@pytest.mark.parametrize(
    ("said", "counts"),
    [
        ("", ""),
        ("\n\n", ""),
        ("first\nlast\n", "last"),
        ("Received disconnect from UNKNOWN port 65535:11: haven.gpu: no route\nDisconnected\n", "haven.gpu: no route"),
        ("haven.gpu refuses x\nHost key verification failed.\n", "haven.gpu refuses x"),
        ("tail\x1b[2J\x07\n", "tail[2J"),
        ("x" * 1000, "x" * 500),
    ],
)
def test_what_counts_in_sshs_output_is_one_plain_line(said: str, counts: str) -> None:
    assert proxy_helper.told(said) == counts


@pytest.mark.parametrize(("shown", "noted"), [(FINGERPRINT, False), (OTHER, True)])
def test_a_wrong_key_is_noted_for_the_inventory_that_waits_for_failures(
    tmp_path: Path, shown: str, noted: bool
) -> None:
    config = written(tmp_path, Hop("gate"))
    note = tmp_path / proxy_helper.FAILED
    command = [
        sys.executable,
        "-IS",
        str(config.with_name("proxy_helper.py")),
        "check",
        "verified",
        "HOSTNAME",
        "i-1",
        shown,
    ]
    command += [BLOB, str(tmp_path / "known_hosts")]
    assert subprocess.run(command, check=False, stderr=subprocess.DEVNULL).returncode == int(noted)
    # Nobody asked for a note.
    assert not note.exists()
    note.touch()
    os.utime(note, (0, 0))
    subprocess.run(command, check=False, stderr=subprocess.DEVNULL)
    assert (note.stat().st_mtime > 0) == noted
