# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules in a playbook: the action group, what the environment gives, check mode, and what is logged."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from .conftest import Account

SECRET = "canary-9c1e"


def play(account: Account, folder: Path, tasks: list[dict[str, Any]], *options: str) -> str:
    """Run a play on this computer whose modules get the cloud and project from the action group's defaults."""
    account.wrote = True
    file = folder / "play.yml"
    defaults = {"group/haven.gpu.cloud": {"cloud": account.api.cloud, "project": account.project}}
    # JSON is YAML.
    file.write_text(
        json.dumps([{"hosts": "localhost", "gather_facts": False, "module_defaults": defaults, "tasks": tasks}])
    )
    program = str(Path(sys.executable).parent / "ansible-playbook")
    done = subprocess.run(
        [program, "-i", "localhost,", "-c", "local", *options, str(file)],
        env={**os.environ, **account.api.environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.stdout + done.stderr


def tasks(account: Account) -> list[dict[str, Any]]:
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAr2m4Tn0f8P0mB4W7i6bq2y1lJt9o3m5Zk7h0s8Qx1d"
    instance = {
        "name": "one",
        **account.api.basics,
        "key_pair": "k",
        "firewalls": ["f"],
        "user_data": f"#!/bin/sh\n# {SECRET}\n",
    }
    return [
        {"haven.gpu.keypair": {"name": "k", "public_key": key}},
        {"haven.gpu.firewall": {"name": "f", "rules": [{"ports": "22", "from": ["10.0.0.1/32"]}]}},
        {"haven.gpu.instance": instance},
        {"haven.gpu.instance_info": {}},
    ]


def test_a_playbook_does_what_its_check_mode_says_and_then_nothing(account: Account, tmp_path: Path) -> None:
    assert "changed=3 " in play(account, tmp_path, tasks(account), "--check", "--diff")
    assert account.living() == []
    assert "changed=3 " in play(account, tmp_path, tasks(account), "--diff")
    assert "changed=0 " in play(account, tmp_path, tasks(account), "--check", "--diff")
    assert "changed=0 " in play(account, tmp_path, tasks(account))


def test_secrets_appear_nowhere_in_a_verbose_run(account: Account, tmp_path: Path) -> None:
    environment = account.api.environment
    if account.api.cloud == "ec2":
        secret = environment["AWS_SECRET_ACCESS_KEY"]
        keys = {"access_key": environment["AWS_ACCESS_KEY_ID"], "secret_key": secret}
        options: dict[str, Any] = {"ec2": {**keys, "session_token": f"{SECRET}-token"}}
    else:
        cloud = yaml.safe_load(Path(environment["OS_CLIENT_CONFIG_FILE"]).read_text())["clouds"]["haven"]
        secret = cloud["auth"]["password"]
        options = {"openstack": {"auth": cloud["auth"], "region": cloud["region_name"]}}
    listed = [{"haven.gpu.instance_info": options}]
    output = play(account, tmp_path, [*tasks(account), *listed], "-vvv", "--diff")
    assert "haven.gpu.instance" in output
    assert SECRET not in output
    assert secret not in output


@pytest.mark.only("ec2")
def test_a_wait_says_what_it_waits_for_unless_nobody_wants_that(account: Account, tmp_path: Path) -> None:
    """The instances of this API never answer ssh."""
    instance = {"name": "deaf", **account.api.basics, "wait": "ssh", "wait_timeout": 7}
    out = play(account, tmp_path, [{"haven.gpu.instance": instance}])
    assert re.search(
        r"^progress: \[localhost\] deaf: (waits for the first answer of ssh|first ssh: ).* \(\d+ s\)$", out, re.M
    )
    assert "Instance deaf does not answer ssh after 7 s" in out
    quiet = play(account, tmp_path, [{"haven.gpu.instance": instance, "vars": {"haven_progress": False}}])
    assert "Instance deaf does not answer ssh after 7 s" in quiet
    assert "progress:" not in quiet


@pytest.mark.long
@pytest.mark.only("ec2")
def test_a_refused_login_is_said_from_the_first_one_on(
    account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ssh is a stand-in, because the instances of this API have no sshd. Their consoles do not say that they booted."""
    ssh = tmp_path / "bin" / "ssh"
    ssh.parent.mkdir()
    ssh.write_text(f"#!/bin/sh\ndate >> {tmp_path}/tried\necho 'x@y: Permission denied (publickey).' >&2\nexit 255\n")
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{ssh.parent}:{os.environ['PATH']}")
    out = play(account, tmp_path, [{"haven.gpu.instance": {"name": "shut", **account.api.basics, "wait": "ssh"}}])
    said = r"^progress: \[localhost\] shut: first ssh: refused .*\(x@y: Permission denied \(publickey\)\)"
    assert len(re.findall(said, out, re.M)) >= 3
    assert "Instance shut refused the login 4 times" in out
    assert len((tmp_path / "tried").read_text().splitlines()) == 4


def test_cloud_and_project_come_from_the_environment_too(account: Account, tmp_path: Path) -> None:
    file = tmp_path / "play.yml"
    file.write_text(
        json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": [{"haven.gpu.instance_info": {}}]}])
    )
    named = {"HAVEN_CLOUD": account.api.cloud, "HAVEN_PROJECT": account.project}
    done = subprocess.run(
        [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "localhost,", "-c", "local", str(file)],
        env={**os.environ, **account.api.environment, **named},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "ok=1 " in done.stdout, done.stdout
