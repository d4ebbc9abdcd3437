# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ssh is asked of instances that are waited for, and what its answers mean. ssh is a stand-in."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.haven.gpu.plugins.module_utils._errors import InvalidRequest, TimedOut, Untrusted
from ansible_collections.haven.gpu.plugins.module_utils._models import Instance
from ansible_collections.haven.gpu.plugins.module_utils._retry import Deadline
from ansible_collections.haven.gpu.plugins.module_utils._ssh.handshake import Route
from ansible_collections.haven.gpu.plugins.module_utils._ssh.hops import wanted_hops
from tests.unit.module_utils.ssh.readings import KEY

GATE = {"host": "gate.example.org", "host_key": KEY}


def instance(name: str, host_key: str = KEY) -> Instance:
    tags = {"haven:host-key": host_key, "haven:login-user": "debian"} if host_key else {}
    addresses = {"private_address": "10.0.0.5", "public_address": "198.51.100.5"}
    return Instance(
        id=f"i-{name}", name=name, project="p", cloud="ec2", region="r", state="running", tags=tags, **addresses
    )


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder: what ssh answers is in ``answer``, its status in ``status``, and what it was given in ``config``."""
    program = tmp_path / "bin" / "ssh"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\ncp "$2" {tmp_path}/config\ncat {tmp_path}/answer\ncat {tmp_path}/answer >&2\n'
        f"exit $(cat {tmp_path}/status)\n"
    )
    program.chmod(0o755)
    (tmp_path / "status").write_text("0")
    (tmp_path / "answer").write_text("boot-2\n")
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return tmp_path


@pytest.mark.parametrize(("hops", "address"), [([GATE], "10.0.0.5"), ([], "198.51.100.5")])
def test_an_instance_is_asked_at_the_address_that_its_hops_reach(
    ssh: Path, hops: list[dict[str, str]], address: str
) -> None:
    route = Route(wanted=wanted_hops(hops), private_key="/keys/mine")
    assert route.boots([instance("one"), instance("unknown", host_key="")]) == {"i-one": "boot-2"}
    config = (ssh / "config").read_text()
    block = config[config.index("Host i-one") :].partition("\n\n")[0]
    assert f"  HostName {address}\n" in block
    assert {"  User debian", '  IdentityFile "/keys/mine"', "  StrictHostKeyChecking yes"} <= set(block.splitlines())
    assert ("haven-hop-gate-example-org-" in block) == bool(hops)


def test_a_wait_ends_with_another_boot_than_the_one_before(ssh: Path) -> None:
    route = Route()
    route.wait([instance("one")], Deadline(0.0), {"i-one": "boot-1"})
    with pytest.raises(TimedOut, match="it has not restarted"):
        route.wait([instance("one")], Deadline(0.0), {"i-one": "boot-2"})


def test_who_shows_another_host_key_is_not_waited_for(ssh: Path) -> None:
    (ssh / "status").write_text("255")
    (ssh / "answer").write_text("haven.gpu refuses one (i-one): it shows the host key A, and B is known. Why.\n")
    with pytest.raises(Untrusted, match=r"refuses one \(i-one\).*haven:host-key"):
        Route().wait([instance("one")], Deadline(3600.0), {})


def test_without_a_host_key_nobody_is_waited_for(ssh: Path) -> None:
    with pytest.raises(InvalidRequest, match="host key of blank is not known"):
        Route().wait([instance("one"), instance("blank", host_key="")], Deadline(0.0), {})
    assert not (ssh / "config").exists()
