# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real connections through the sandbox's jump host: the right machine is reached, any other is refused.

Needs a running sandbox and its variables in the environment (`. build/sandbox/env`).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from .conftest import KEY, Api, Project

pytestmark = pytest.mark.skipif("HAVEN_SANDBOX_GATE_HOST" not in os.environ, reason="no sandbox is running")

NAME = f"connections-{os.getpid()}"
FACTS = {name: value for name, value in os.environ.items() if name.startswith(("AWS_", "HAVEN_SANDBOX_"))}
# One connection for each question: a shared one would be checked only once.
UNSHARED = "-o ControlMaster=no -o ControlPath=none"


def module(name: str, /, **options: Any) -> dict[str, Any]:
    """Run one of our modules, as it runs on a controller."""
    arguments = {"cloud": "ec2", "project": NAME, **options}
    done = subprocess.run(
        [sys.executable, "-m", f"ansible_collections.haven.gpu.plugins.modules.{name}"],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    assert not answer.get("failed"), answer
    return answer


def gate() -> dict[str, Any]:
    return {
        "host": FACTS["HAVEN_SANDBOX_GATE_HOST"],
        "port": int(FACTS["HAVEN_SANDBOX_GATE_PORT"]),
        "user": FACTS["HAVEN_SANDBOX_GATE_USER"],
        "host_key": FACTS["HAVEN_SANDBOX_GATE_HOST_KEY"],
        "key": FACTS["HAVEN_SANDBOX_KEY"],
    }


def instance(**options: Any) -> dict[str, Any]:
    found: dict[str, Any] = module(
        "instance",
        name="guest",
        wait="ssh",
        hops=[gate()],
        private_key=FACTS["HAVEN_SANDBOX_KEY"],
        public_address=True,
        **options,
    )["instances"][0]
    return found


@pytest.fixture(scope="module")
def guest() -> Iterator[dict[str, Any]]:
    """A machine in the sandbox that the jump host reaches."""
    key = FACTS["HAVEN_SANDBOX_KEY"]
    module("keypair", name="tests", public_key=Path(f"{key}.pub").read_text())
    module("firewall", name="tests", rules=[{"protocol": "tcp", "ports": "22", "from": ["10.0.0.0/8"]}])
    try:
        yield instance(
            image={"name": "haven-debian-12-2*", "owner": "self"},
            instance_type="c5.large",
            key_pair="tests",
            firewalls=["tests"],
            subnet=FACTS["HAVEN_SANDBOX_SUBNET"],
            login_user="debian",
        )
    finally:
        module("instance", name="guest", state="absent")
        module("firewall", name="tests", state="absent")
        module("keypair", name="tests", state="absent")


@pytest.fixture
def way(guest: dict[str, Any], tmp_path: Path) -> Iterator[Way]:
    """The inventory of a controller with an empty home. The guest's tags are put right afterwards."""
    yield Way(Project(Api(FACTS), NAME, tmp_path))
    tag(guest, guest["host_key"])


class Way:
    """One controller's way to the guest."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.set()

    def set(self, *, key: str | None = FACTS.get("HAVEN_SANDBOX_KEY"), **hop: Any) -> None:
        """Write the inventory: with this key, and with this about the hop instead of what is true."""
        wanted = {
            "haven_project": NAME,
            "haven_cloud": "ec2",
            "haven_private_key": key,
            "haven_hops": [{**gate(), "key": key, **hop}],
        }
        self.project.write("group_vars/all.yml", json.dumps(wanted))

    def connect(self, **environment: str) -> subprocess.CompletedProcess[str]:
        """Ask the guest who we are there."""
        agent = {"SSH_AUTH_SOCK": "", **environment}
        return self.project.ansible(
            "ansible", "guest", "-m", "ansible.builtin.raw", "-a", "id -un", ANSIBLE_SSH_ARGS=UNSHARED, **agent
        )

    def works(self, **environment: str) -> bool:
        done = self.connect(**environment)
        return done.returncode == 0 and "debian" in done.stdout.split()


def tag(guest: dict[str, Any], host_key: str) -> None:
    """Record another host key; an empty one takes the record away."""
    client, tags = boto3.client("ec2"), [{"Key": "haven:host-key", "Value": host_key}]
    if host_key:
        client.create_tags(Resources=[guest["id"]], Tags=tags)
    else:
        client.delete_tags(Resources=[guest["id"]], Tags=[{"Key": "haven:host-key"}])


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[str]:
    """An empty agent; the path of its socket."""
    # In a folder with a short name: the path of a unix socket has at most 107 bytes.
    folder = Path("/tmp") / f"haven-agent-{os.getpid()}"
    folder.mkdir(mode=0o700)
    socket = folder / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL)
    try:
        while not socket.exists():
            assert process.poll() is None
            time.sleep(0.02)
        yield str(socket)
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder)


def add(agent: str, key: str, passphrase: str = "") -> None:
    """Give the agent a key, as a user does who types the passphrase."""
    helper = Path(agent).parent / "askpass"
    helper.write_text(f"#!/bin/sh\necho '{passphrase}'\n")
    helper.chmod(0o700)
    subprocess.run(
        ["ssh-add", "-q", key],
        env={**os.environ, "SSH_AUTH_SOCK": agent, "SSH_ASKPASS": str(helper), "SSH_ASKPASS_REQUIRE": "force"},
        stdin=subprocess.DEVNULL,
        check=True,
    )


def test_a_controller_with_an_empty_home_connects_strictly(way: Way, guest: dict[str, Any]) -> None:
    assert way.works()
    # It was our file that vouched for both, not somebody's earlier trust.
    known = next(way.project.home.glob(".ansible/haven/*/known_hosts")).read_text().splitlines()
    assert [line.split()[0] for line in known][1:] == [guest["id"]]
    assert re.fullmatch(r"haven-hop-[a-z0-9-]+", known[0].split()[0])


def test_a_machine_that_shows_another_key_is_refused(way: Way, guest: dict[str, Any]) -> None:
    tag(guest, KEY)
    done = way.connect()
    assert done.returncode != 0
    assert "Host key verification failed" in done.stdout


def test_a_machine_whose_key_is_not_recorded_is_refused(way: Way, guest: dict[str, Any]) -> None:
    tag(guest, "")
    done = way.connect()
    assert done.returncode != 0
    assert f"host key is known for {guest['id']} and you have requested strict checking" in " ".join(
        done.stdout.split()
    )


def test_a_jump_host_that_shows_another_key_is_refused(way: Way) -> None:
    way.set(host_key=KEY)
    done = way.connect()
    assert done.returncode != 0
    assert "Host key verification failed" in done.stdout


def test_trust_on_first_use_is_kept_and_a_change_is_refused(way: Way, guest: dict[str, Any]) -> None:
    tag(guest, "")
    way.project.write("haven.yml", "plugin: haven.gpu.instances\nhost_keys: tofu\n")
    assert way.works()
    (accepted,) = way.project.home.glob(".ansible/haven/*/known_hosts.accepted")
    assert accepted.read_text().startswith(f"{guest['id']} ssh-ed25519 ")
    accepted.write_text(f"{guest['id']} {KEY}\n")
    assert not way.works()


def test_a_key_that_only_an_agent_holds_is_enough(way: Way, agent: str) -> None:
    way.set(key=None)
    assert not way.works(SSH_AUTH_SOCK=agent)
    add(agent, FACTS["HAVEN_SANDBOX_KEY"])
    assert way.works(SSH_AUTH_SOCK=agent)


def test_a_key_file_with_a_passphrase_works_with_an_agent(way: Way, agent: str, tmp_path: Path) -> None:
    key = tmp_path / "locked key"
    shutil.copy(FACTS["HAVEN_SANDBOX_KEY"], key)
    subprocess.run(["ssh-keygen", "-q", "-p", "-P", "", "-N", "a passphrase", "-f", str(key)], check=True)
    way.set(key=str(key))
    assert not way.works(SSH_AUTH_SOCK=agent)
    add(agent, str(key), "a passphrase")
    assert way.works(SSH_AUTH_SOCK=agent)


def test_a_machine_that_was_stopped_and_started_is_still_the_same(way: Way, guest: dict[str, Any]) -> None:
    instance(state="stopped")
    again = instance(state="running")
    assert again["public_address"] != guest["public_address"]
    assert again["host_key"] == guest["host_key"]
    assert way.works()
