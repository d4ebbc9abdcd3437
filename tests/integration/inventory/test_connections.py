# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real connections through the sandbox's jump host: the right machine is reached, any other is refused."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.haven.gpu.plugins.module_utils._ssh.proxy_helper import REMEMBERED
from tests.integration.clouds import Api
from tests.integration.sandbox_guests import gate_hop

from .conftest import KEY, Project, fingerprint, refusal

NAME = f"connections-{os.getpid()}"
# One connection for each question: a shared one would be checked only once.
UNSHARED = "-o ControlMaster=no -o ControlPath=none"


@dataclass
class Guest:
    """A machine in the sandbox that the jump host reaches. found: as the module instance returned it."""

    api: Api
    found: dict[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return str(self.found["id"])

    @property
    def key(self) -> str:
        return self.api.environment["HAVEN_SANDBOX_KEY"]

    def module(self, name: str, /, **options: Any) -> dict[str, Any]:
        """Run one of our modules, as it runs on a controller."""
        arguments = {"cloud": self.api.cloud, "project": NAME, **options}
        done = subprocess.run(
            [sys.executable, "-m", f"ansible_collections.haven.gpu.plugins.modules.{name}"],
            input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
            env={**os.environ, **self.api.environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        answer: dict[str, Any] = json.loads(done.stdout)
        assert not answer.get("failed"), answer
        return answer

    def gate(self) -> dict[str, Any]:
        return gate_hop(self.api.environment)

    def instance(self, name: str = "guest", **options: Any) -> dict[str, Any]:
        route = {"hops": [self.gate()], "private_key": self.key, "wait": "ssh"}
        answer = self.module("instance", name=name, **route, **options)
        found: dict[str, Any] = answer["instances"][0]
        return found

    def make(self, name: str = "guest", **options: Any) -> dict[str, Any]:
        what = {"key_pair": "tests", "firewalls": ["tests"], "login_user": "debian", **self.api.basics}
        return self.instance(name, **what, **options)

    def tag(self, host_key: str) -> None:
        """Record another host key; an empty one takes the record away."""
        self.api.write_tag(self.id, "haven:host-key", host_key)


@pytest.fixture(scope="module", params=["ec2", pytest.param("openstack", marks=pytest.mark.long)])
def guest(request: pytest.FixtureRequest) -> Iterator[Guest]:
    name = {"ec2": "ec2_guests_api", "openstack": "openstack_guests_api"}[request.param]
    one = Guest(request.getfixturevalue(name))
    one.module("keypair", name="tests", public_key=Path(f"{one.key}.pub").read_text())
    one.module("firewall", name="tests", rules=[{"protocol": "tcp", "ports": "22", "from": ["10.0.0.0/8"]}])
    try:
        one.found = one.make(public_address=True)
        yield one
    finally:
        one.module("instance", name=["guest", "twin"], state="absent")
        one.module("firewall", name="tests", state="absent")
        one.module("keypair", name="tests", state="absent")


@pytest.fixture
def controller(guest: Guest, tmp_path: Path) -> Iterator[Controller]:
    """The inventory of a controller with an empty home. The guest's tags are put right afterwards."""
    yield Controller(Project(guest.api, NAME, tmp_path), guest)
    guest.tag(guest.found["host_key"])


class Controller:
    """One controller, and the guest it connects to."""

    def __init__(self, project: Project, guest: Guest) -> None:
        self.project = project
        self.guest = guest
        self.set(key=guest.key)

    def set(self, *, key: str | None, more_hops: Sequence[dict[str, Any]] = (), **hop: Any) -> None:
        """Write the inventory: with this key, these hops behind the first, and this of it instead of what is true."""
        wanted = {
            "haven_project": NAME,
            "haven_cloud": self.guest.api.cloud,
            "haven_private_key": key,
            "haven_hops": [{**self.guest.gate(), "key": key, **hop}, *more_hops],
        }
        self.project.write("group_vars/all.yml", json.dumps(wanted))

    def connect(
        self, ssh_args: str = UNSHARED, *, host: str = "guest", options: Sequence[str] = (), **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Ask the machine who we are there."""
        agent = {"SSH_AUTH_SOCK": "", **environment}
        command = [host, *options, "-m", "ansible.builtin.raw", "-a", "id -un"]
        return self.project.ansible("ansible", *command, ANSIBLE_SSH_ARGS=ssh_args, **agent)

    def works(self, host: str = "guest", *options: str, **environment: str) -> bool:
        done = self.connect(host=host, options=options, **environment)
        return done.returncode == 0 and "debian" in done.stdout.split()


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


def test_a_controller_with_an_empty_home_connects_strictly(controller: Controller, guest: Guest) -> None:
    assert controller.works()
    # It was our file that vouched for both, not somebody's earlier trust.
    known = next(controller.project.home.glob(".ansible/haven/*/known_hosts")).read_text().splitlines()
    assert [line.split()[0] for line in known][1:] == [guest.id]
    assert re.fullmatch(r"haven-hop-[a-z0-9-]+", known[0].split()[0])


def test_a_connection_that_worked_is_not_noted_as_a_failure(controller: Controller, guest: Guest) -> None:
    controller.project.write("haven.yml", "plugin: haven.gpu.instances\ncache: true\n")
    note = Path(controller.project.hosts()["guest"]["haven_ssh_config"]).with_name("failed")
    # With a connection that is kept for a while, and with those that ssh ends at once.
    assert all(controller.works() for _time in range(3))
    assert controller.connect("-o ControlPersist=5").returncode == 0
    assert note.stat().st_mtime == 0
    guest.tag(KEY)
    controller.project.hosts("--flush-cache")
    assert not controller.works()
    assert note.stat().st_mtime > 0


def test_a_machine_of_ones_own_is_reached_and_proven_like_the_clouds(controller: Controller, guest: Guest) -> None:
    def listed(host_key: str) -> None:
        own = {"name": "own", "address": guest.found["private_address"], "user": "debian", "host_key": host_key}
        # The same machine, and no cloud that says so.
        options = {"plugin": "haven.gpu.instances", "sources": [], "machines": [own]}
        controller.project.write("haven.yml", json.dumps(options))

    listed(guest.found["host_key"])
    assert controller.works("own")
    listed(KEY)
    done = controller.connect(host="own")
    assert done.returncode != 0
    assert refusal("own", guest.found["host_key"], KEY) in " ".join(done.stdout.split())


def test_a_machine_that_shows_another_key_is_refused(controller: Controller, guest: Guest) -> None:
    guest.tag(KEY)
    done = controller.connect()
    assert done.returncode != 0
    assert refusal(f"guest ({guest.id})", guest.found["host_key"], KEY) in " ".join(done.stdout.split())


def test_a_machine_whose_key_is_not_recorded_is_refused(controller: Controller, guest: Guest) -> None:
    guest.tag("")
    done = controller.connect()
    assert done.returncode != 0
    shown = f"haven.gpu refuses {guest.id}: it shows the host key {fingerprint(guest.found['host_key'])}, and none is"
    assert shown in " ".join(done.stdout.split())


@pytest.mark.parametrize("recorded", [KEY, ""], ids=["another", "none"])
def test_switching_the_checking_off_in_ansible_does_not_switch_it_off_here(
    controller: Controller, guest: Guest, recorded: str
) -> None:
    assert controller.works(ANSIBLE_HOST_KEY_CHECKING="False")
    guest.tag(recorded)
    done = controller.connect(ANSIBLE_HOST_KEY_CHECKING="False")
    assert done.returncode != 0
    assert f"it shows the host key {fingerprint(guest.found['host_key'])}" in " ".join(done.stdout.split())


def test_a_jump_host_that_shows_another_key_is_refused(controller: Controller) -> None:
    facts = controller.guest.api.environment
    controller.set(key=controller.guest.key, host_key=KEY)
    # With what Ansible has unless it is told otherwise, which loses what a ProxyCommand writes to stderr.
    done = controller.connect("-C -o ControlMaster=auto -o ControlPersist=60s")
    assert done.returncode != 0
    (said,) = set(re.findall(r"haven\.gpu refuses .*? is known", " ".join(done.stdout.split())))
    shown = re.sub(r"\(haven-hop-[a-z0-9-]+\)", "(HOP)", said)
    name = f"{facts['HAVEN_SANDBOX_GATE_HOST']} (HOP)"
    assert shown == refusal(name, facts["HAVEN_SANDBOX_GATE_HOST_KEY"], KEY)


def test_trust_on_first_use_is_kept_and_a_change_is_refused(controller: Controller, guest: Guest) -> None:
    guest.tag("")
    controller.project.write("haven.yml", "plugin: haven.gpu.instances\nhost_keys: tofu\n")
    assert controller.works()
    (accepted,) = controller.project.home.glob(".ansible/haven/*/known_hosts.accepted")
    assert accepted.read_text().startswith(f"{guest.id} ssh-ed25519 ")
    accepted.write_text(f"{guest.id} {KEY}\n")
    assert not controller.works()


def test_a_key_that_only_an_agent_holds_is_enough(controller: Controller, agent: str) -> None:
    controller.set(key=None)
    assert not controller.works(SSH_AUTH_SOCK=agent)
    time.sleep(REMEMBERED)  # the refusal counts for whoever comes right after it
    add(agent, controller.guest.key)
    assert controller.works(SSH_AUTH_SOCK=agent)


def test_a_key_file_with_a_passphrase_works_with_an_agent(controller: Controller, agent: str, tmp_path: Path) -> None:
    key = tmp_path / "locked key"
    shutil.copy(controller.guest.key, key)
    subprocess.run(["ssh-keygen", "-q", "-p", "-P", "", "-N", "a passphrase", "-f", str(key)], check=True)
    controller.set(key=str(key))
    assert not controller.works(SSH_AUTH_SOCK=agent)
    time.sleep(REMEMBERED)  # the refusal counts for whoever comes right after it
    add(agent, str(key), "a passphrase")
    assert controller.works(SSH_AUTH_SOCK=agent)


def test_a_machine_that_was_stopped_and_started_is_still_the_same(controller: Controller, guest: Guest) -> None:
    guest.instance(state="stopped")
    again = guest.instance(state="running")
    if guest.api.cloud == "ec2":
        # A floating address stays with its server.
        assert again["public_address"] != guest.found["public_address"]
    assert again["host_key"] == guest.found["host_key"]
    assert controller.works()


def test_a_jump_host_is_found_in_the_inventory_and_reached_without_itself(controller: Controller, guest: Guest) -> None:
    inner = {"name": "inner", "address": "127.0.0.1", "user": "debian", "host_key": guest.found["host_key"]}
    controller.project.write("haven.yml", json.dumps({"plugin": "haven.gpu.instances", "machines": [inner]}))
    controller.set(key=guest.key, more_hops=[{"instance": "guest", "key": guest.key}])
    assert controller.works("inner")
    assert controller.works("guest")
    controller.set(key=guest.key, more_hops=[{"tag": {"haven:project": NAME}, "key": guest.key}])
    assert controller.works("inner")
    # A module finds it, too, and asks for nothing but the name.
    hops = [guest.gate(), {"instance": "guest", "key": guest.key}]
    found = guest.module("instance", name="guest", wait="ssh", private_key=guest.key, hops=hops, state="restarted")
    assert found["changed"]


def test_a_machine_that_was_rebuilt_has_the_key_that_was_recorded_then(controller: Controller, guest: Guest) -> None:
    if guest.api.cloud == "ec2":
        pytest.skip("EC2 knows no rebuilding")
    before = guest.found
    guest.found = guest.instance(state="rebuilt")
    assert (guest.found["id"], guest.found["host_key"] != before["host_key"]) == (before["id"], True)
    assert controller.works()


def test_who_answers_at_the_address_of_another_is_refused_and_a_new_machine_there_is_not(
    controller: Controller, guest: Guest
) -> None:
    """The same machine is both: a man in the middle to who knows the old one, and itself to who looks again."""
    controller.project.write("haven.yml", "plugin: haven.gpu.instances\ncache: true\n")
    victim = guest.make("twin")
    assert controller.works("twin")
    guest.module("instance", name="twin", state="absent")
    other = guest.make("twin", private_address=victim["private_address"])
    assert (other["id"] != victim["id"], other["private_address"]) == (True, victim["private_address"])

    done = controller.connect(host="twin")
    assert done.returncode != 0
    said = " ".join(done.stdout.split())
    assert refusal(f"twin ({victim['id']})", other["host_key"], victim["host_key"]) in said

    assert controller.works("twin", "--flush-cache")


# What people set for all their hosts; the last two are for everything that is not the jump host itself.
FOR_ALL_HOSTS = """\
Host *
  ControlMaster auto
  ControlPath ~/.ssh/cm-%C
  ControlPersist 10m
  RequestTTY force
  RemoteCommand echo not what was asked
  SessionType none
  StdinNull yes
  ForkAfterAuthentication yes
  PreferredAuthentications password
  AddKeysToAgent ask
  LogLevel QUIET
  IdentityFile ~/.ssh/other
  ClearAllForwardings yes
Host * !gate.example.org
  ProxyJump gate.example.org
"""


def of_ones_own(controller: Controller, name: str, text: str) -> Path:
    """A file in the ~/.ssh of this controller."""
    file = controller.project.home / ".ssh" / name
    file.parent.mkdir(mode=0o700, exist_ok=True)
    file.write_text(text)
    file.chmod(0o600)
    return file


@pytest.mark.parametrize("pipelining", ["False", "True"])
def test_what_people_set_for_all_their_hosts_hinders_no_module(controller: Controller, pipelining: str) -> None:
    of_ones_own(controller, "config", FOR_ALL_HOSTS)
    settings = {"ANSIBLE_SSH_ARGS": UNSHARED, "SSH_AUTH_SOCK": "", "ANSIBLE_PIPELINING": pipelining}
    done = controller.project.ansible("ansible", "guest", "-m", "ansible.builtin.setup", "-a", "filter=x", **settings)
    assert done.returncode == 0, done.stdout
    assert "SUCCESS" in done.stdout


def test_without_a_host_key_of_ours_a_jump_host_is_known_by_a_hashed_line_and_refused_by_a_revoked_one(
    controller: Controller,
) -> None:
    facts = controller.guest.api.environment
    name = f"[{facts['HAVEN_SANDBOX_GATE_HOST']}]:{facts['HAVEN_SANDBOX_GATE_PORT']}"
    key = " ".join(facts["HAVEN_SANDBOX_GATE_HOST_KEY"].split()[:2])
    controller.set(key=controller.guest.key, host_key=None)
    assert not controller.works()
    known = of_ones_own(controller, "known_hosts", f"{name} {key}\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(known)], check=True, capture_output=True)
    hashed = known.read_text()
    assert name not in hashed
    # Before any connection to the jump host is open, which others would share.
    known.write_text(f"{hashed}@revoked * {key}\n")
    assert not controller.works()
    known.write_text(hashed)
    assert controller.works()
