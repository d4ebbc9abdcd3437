# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The helper beside each ssh configuration, as the real ssh runs it. With jump hosts: test_jump_hosts.py."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.haven.gpu.plugins.module_utils._ssh import files as _files
from ansible_collections.haven.gpu.plugins.module_utils._ssh import proxy_helper
from ansible_collections.haven.gpu.plugins.module_utils._ssh.config import NO_ADDRESS, Hop, Machine, Paths

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


def written(folder: Path, *hops: Hop, notes: bool = False, **values: Any) -> Path:
    machine = Machine("i-1", **{"address": "10.0.0.5", "host_key": KEY, "name": "notebook", **values})
    paths = replace(Paths.of_this_run(str(folder), notes=notes), included_by=f"{folder}/config")
    return Path(_files.write({hops: [machine]}, paths))


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


@pytest.mark.parametrize(
    ("reason", "attempts"), [("me@gate: Permission denied (publickey).", 1), ("Connection refused", 3)]
)
def test_a_jump_host_that_refuses_the_login_is_not_asked_by_each_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: str, attempts: int
) -> None:
    """sshd adds up penalties for an address that is refused again and again."""
    tried: list[str] = []

    def refused(_shared: object, hop: str, _control: str) -> str:
        tried.append(hop)
        return reason

    monkeypatch.setattr(proxy_helper, "_start_master", refused)
    said = [proxy_helper._open(["ssh"], "gate", str(tmp_path / "control")) for _process in range(3)]
    assert said == [reason] * 3
    assert len(tried) == attempts
    note = tmp_path / "control.failed"
    os.utime(note, (0, note.stat().st_mtime - proxy_helper.REMEMBERED))
    assert proxy_helper._open(["ssh"], "gate", str(tmp_path / "control")) == reason
    assert len(tried) == attempts + 1


def test_a_refusal_is_told_whatever_ssh_says_after_it() -> None:
    said = "Received disconnect from 10.0.0.5 port 22:2: Too many authentication failures\nDisconnected from 10.0.0.5\n"
    assert proxy_helper.told(said).endswith("Too many authentication failures")
    said = 'sign_and_send_pubkey: signing failed for ED25519-SK "k" from agent: agent refused operation\n'
    said += "me@gate: Permission denied (publickey).\n"
    assert "agent refused operation -- me@gate: Permission denied (publickey)." in proxy_helper.told(said)


def test_being_terminated_ends_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    wait, children = os.waitpid, []

    def terminated(process: int, options: int) -> tuple[int, int]:
        if options:
            return wait(process, options)
        children.append(process)
        raise SystemExit

    monkeypatch.setattr(proxy_helper.os, "waitpid", terminated)
    with pytest.raises(SystemExit):
        proxy_helper._run(["sleep", "600"])
    [child] = children
    assert os.waitstatus_to_exitcode(wait(child, 0)[1]) == -signal.SIGTERM


def test_being_terminated_as_the_program_ends_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """And whoever has the program's number by then is left alone."""
    wait, signalled = os.waitpid, []

    def ended_and_terminated(process: int, options: int) -> tuple[int, int]:
        if options:
            return wait(process, options)
        wait(process, 0)
        raise SystemExit

    monkeypatch.setattr(proxy_helper.os, "waitpid", ended_and_terminated)
    monkeypatch.setattr(proxy_helper.os, "kill", lambda *arguments: signalled.append(arguments))
    with pytest.raises(SystemExit):
        proxy_helper._run(["true"])
    assert signalled == []
