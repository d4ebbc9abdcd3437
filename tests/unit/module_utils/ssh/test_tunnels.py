# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Local ports of tunnels: each is promised once, however many are opened at the same moment."""

from __future__ import annotations

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ansible_collections.haven.gpu.plugins.module_utils._ssh.config import Forward
from ansible_collections.haven.gpu.plugins.module_utils._ssh.tunnels import Tunnels, Wish
from tests.controller.hostile import userland
from tests.integration.sandbox_guests import wait_until

MANY = 24
# What ssh knows is asked first.
KNOWS = '[ "$1" != -o ] || exit 0\n'


def test_a_port_is_promised_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Who is started holds no port for as long as an ssh takes to connect.
    ssh = tmp_path / "bin" / "ssh"
    ssh.parent.mkdir()
    ssh.write_text(f"#!/bin/sh\n{KNOWS}exec sleep 60\n")
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{ssh.parent}:/usr/bin:/bin")
    with socket.create_server(("127.0.0.1", 0)) as trial:
        port: int = trial.getsockname()[1]
    wish = Wish("/dev/null", "box", "alice", (Forward(port, "/run/a.sock"), Forward(port, "/run/b.sock")))
    # As many processes would: each has its own.
    folders = [Tunnels(str(tmp_path / "state")) for _ in range(MANY)]
    try:
        with ThreadPoolExecutor(MANY) as pool:
            started = list(pool.map(lambda each: each[1].start(f"box{each[0]}", wish), enumerate(folders)))
        ports = [port for tunnel in started for port in tunnel.ports]
        assert len(set(ports)) == 2 * MANY
    finally:
        for number, folder in enumerate(folders):
            folder.close(f"box{number}")


@pytest.mark.parametrize(
    ("said", "pause"),
    [
        ("alice@box: Permission denied (publickey).", "60"),
        ("Received disconnect from 10.0.0.5 port 22:2: Too many authentication failures", "60"),
        ("connect to host box port 22: Permission denied", "1"),
        ("Connection refused", "1"),
    ],
)
def test_a_refused_login_is_not_tried_again_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, pause: str
) -> None:
    """sshd locks out an address that is refused often. 45 is the time that an attempt may take."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "ssh").write_text(f"#!/bin/sh\n{KNOWS}echo '{said}'\nexit 255\n")
    (programs / "sleep").write_text(f'#!/bin/sh\necho "$1" >>{tmp_path}/slept\nexec /bin/sleep 60\n')
    for each in programs.iterdir():
        each.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    tunnels = Tunnels(str(tmp_path / "state"))
    with socket.create_server(("127.0.0.1", 0)) as trial:
        port: int = trial.getsockname()[1]
    tunnels.start("box", Wish("/dev/null", "box", "alice", (Forward(port, "/run/a.sock"),)))
    try:
        slept = tmp_path / "slept"
        end = time.monotonic() + 60
        while not (slept.exists() and set(slept.read_text().split()) - {"45"}):
            assert time.monotonic() < end
            time.sleep(0.05)
        assert set(slept.read_text().split()) - {"45"} == {pause}
    finally:
        tunnels.close("box")


def test_a_tunnel_comes_back_and_ends_with_the_programs_of_any_unix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on macOS: no option of GNU's, and none of the programs that only Linux has."""
    ssh = tmp_path / "bin" / "ssh"
    ssh.parent.mkdir()
    # The first connection is lost at once.
    ssh.write_text(
        f'#!/bin/sh\n{KNOWS}set -eu\n: >"$HAVEN_TUNNEL_UP"\n'
        f"[ -e {tmp_path}/again ] || {{ : >{tmp_path}/again; exit 255; }}\n"
        f": >{tmp_path}/second\nexec sleep 60\n"
    )
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{ssh.parent}:{userland()}")
    monkeypatch.setenv("LC_ALL", "C")
    tunnels = Tunnels(str(tmp_path / "state"))
    tunnels.start("box", Wish("/dev/null", "box", "alice", (Forward(8888, "/run/a.sock"),)))
    try:
        assert wait_until(lambda: (tmp_path / "second").exists() and tunnels.is_up("box"), 20)
    finally:
        tunnels.close("box")
    assert tunnels.get("box") is None
    assert tunnels.names() == []
