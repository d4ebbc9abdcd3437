# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Machines and hops for the tests of the ssh configuration, and what the real ssh makes of one."""

from __future__ import annotations

import pathlib
import subprocess

from ansible_collections.haven.gpu.plugins.module_utils._models import Hop
from ansible_collections.haven.gpu.plugins.module_utils._ssh.config import Machine, Paths, render

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGtQkg2pJ0Q1m1GZ1h6dXqg8xW6gQq3Yk8Qx2u8ZqQ0n"
OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHtQkg2pJ0Q1m1GZ1h6dXqg8xW6gQq3Yk8Qx2u8ZqQ0n"
HOPS = [
    Hop("gate.example.org", port=2222, user="sshuser", key="~/keys/gate 100% mine", host_key=KEY),
    Hop("fd00::1", user="second"),
]
# Without the user's own configuration, so that the outcome is the same on every computer.
PATHS = Paths("/k/100% h", included_by="/k/my config", python=("/p y/python",))
MACHINE = Machine("i-1", address="10.0.0.5", user="debian", host_key=OTHER_KEY)


def asked(folder: pathlib.Path, text: str, host: str) -> dict[str, str]:
    """What the real ssh makes of the configuration for one host; the last value of each keyword."""
    config = folder / "ssh_config"
    config.write_text(text)
    answer = subprocess.run(
        ["ssh", "-G", "-F", str(config), host], check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    return dict(line.partition(" ")[::2] for line in answer.stdout.splitlines())


def rendered(*machines: Machine, hops: list[Hop] | None = None, **options: str) -> str:
    return render(machines, HOPS if hops is None else hops, paths=PATHS, **options)


def proxy_command(hop: str, mode: str = "verified") -> str:
    """What ssh -G says of a ProxyCommand; it fills tokens in when it connects."""
    return f"'/p y/python' -IS '/k/100%% h/proxy_helper.py' through {mode} '/k/my config' {hop} '[%h]:%p'"
