# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An sshd that locks out addresses (PerSourcePenalties, OpenSSH 9.8) lets ours in after all that we try in vain.

Everything comes from one address, the gate's, as from an office's.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.haven.gpu.plugins.module_utils._errors import LoginRefused
from ansible_collections.haven.gpu.plugins.module_utils._models import TAG_HOST_KEY, Instance
from ansible_collections.haven.gpu.plugins.module_utils._retry import Deadline
from ansible_collections.haven.gpu.plugins.module_utils._ssh.handshake import Route
from ansible_collections.haven.gpu.plugins.module_utils._ssh.hops import wanted_hops
from tests.integration.sandbox_guests import ROOT, Guest, Sandbox, gate_hop

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def gate() -> str:
    """The line of our own gate, as the role writes it."""
    lines = (ROOT / "roles/jump_host/templates/sshd.conf.j2").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("PerSourcePenalties ")]
    return line


@pytest.fixture(scope="module")
def guest(sandbox: Sandbox, gate: str) -> Iterator[Guest]:
    with sandbox.guest("trixie") as made:
        made.output(f"echo '{gate}' > /etc/ssh/sshd_config.d/10-gate.conf && systemctl restart ssh")
        yield made


def route(guest: Guest, *further: dict[str, Any], user: str = "debian", console: bool = False) -> Route:
    gate = gate_hop(guest.sandbox.env)
    hops = wanted_hops([{**each, "key": gate["key"]} for each in (gate, *further)])
    seen = guest.sandbox.machines.console(guest.id) if console else ""
    return Route(hops, login_user=user, private_key=gate["key"], console=lambda _instance: seen)


def instance(guest: Guest, name: str = "one") -> Instance:
    where = {"cloud": "ec2", "region": "here", "project": "p", "state": "running"}
    tags = {TAG_HOST_KEY: guest.host_key()}
    return Instance(id=f"i-{name}", name=name, private_address=guest.address, tags=tags, **where)


def refused(asked: Route, *instances: Instance) -> None:
    with pytest.raises(LoginRefused):
        asked.wait(instances, Deadline(120), {})


def login(guest: Guest, user: str = "debian") -> subprocess.CompletedProcess[str]:
    return guest.sandbox.ssh(user, guest.address, "echo in", guest.host_key())


def test_no_wait_of_ours_is_punished(guest: Guest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    # Its boot is complete, so a second refusal is final.
    refused(route(guest, user="ubuntu", console=True), instance(guest))
    assert login(guest).stdout == "in\n"
    # Nothing is known of its boot.
    refused(route(guest, user="ubuntu"), instance(guest))
    assert login(guest).stdout == "in\n"
    # It is the jump host of many, who are waited for at the same time.
    behind = {"host": guest.address, "host_key": guest.host_key(), "user": "mallory"}
    refused(route(guest, behind), *(instance(guest, f"n{number}") for number in range(12)))
    assert login(guest).stdout == "in\n"
    # And it does lock out who is not so careful.
    for _ in range(5):
        login(guest, "mallory")
    assert login(guest).returncode != 0
