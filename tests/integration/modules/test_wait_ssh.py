# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""wait: ssh means that the right guest has answered through the jump host: real guests, real ssh."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.haven.gpu.plugins.module_utils._models import Instance
from ansible_collections.haven.gpu.plugins.module_utils._ssh.checks import hops_from, public_key
from ansible_collections.haven.gpu.plugins.module_utils._ssh.hops import FoundHops
from ansible_collections.haven.gpu.plugins.plugin_utils._hosts import variables as _hosts
from ansible_collections.haven.gpu.plugins.plugin_utils._settings import Settings
from ansible_collections.haven.gpu.plugins.plugin_utils._sources.machines import machines_from
from ansible_collections.haven.gpu.plugins.plugin_utils._ssh import inventory_files as _ssh_files
from tests.controller.fido import fido_agent
from tests.integration.clouds import Api
from tests.integration.forks import Forks
from tests.integration.sandbox_guests import Sandbox, gate_hop

from .conftest import Account, Answer


@pytest.fixture(scope="module", params=["ec2", pytest.param("openstack", marks=pytest.mark.long)])
def guests(forks: Forks, request: pytest.FixtureRequest) -> Iterator[Account]:
    """A project with a key pair and a firewall in a sandbox with guests; everything is removed at the end."""
    name = {"ec2": "ec2_guests_api", "openstack": "openstack_guests_api"}[request.param]
    api: Api = request.getfixturevalue(name)
    account = Account(api, f"wait-{os.urandom(3).hex()}", forks)
    key = Path(api.environment["HAVEN_SANDBOX_KEY"]).with_suffix(".pub").read_text()
    assert account.run("keypair", name="me", public_key=key).ok
    assert account.run("firewall", name="ssh", rules=[{"ports": "22", "from": ["0.0.0.0/0"]}]).ok
    yield account
    for name in account.living():
        account.instance(name, state="absent", delete_volumes=True)
    account.run("firewall", name="ssh", state="absent")
    account.run("keypair", name="me", state="absent")
    assert account.run("instance_info", resources=True)["resources"] == []


def fingerprint(key: str) -> str:
    """As the real ssh writes it."""
    done = subprocess.run(["ssh-keygen", "-l", "-f", "-"], input=key, capture_output=True, text=True, check=True)
    return done.stdout.split()[1]


def reached(guests: Account, **options: Any) -> Answer:
    """Run instance with wait: ssh for the one guest of these tests."""
    environment = guests.api.environment
    route = {"hops": [gate_hop(environment)], "private_key": environment["HAVEN_SANDBOX_KEY"], "login_user": "debian"}
    wish = {
        **guests.api.basics,
        "key_pair": "me",
        "firewalls": ["ssh"],
        "wait": "ssh",
        "wait_timeout": 60,
        **route,
        **options,
    }
    return guests.instance("reached", **wish)


def test_a_new_guest_has_answered_through_the_jump_host(guests: Account) -> None:
    answer = reached(guests, user_data="#cloud-config\nruncmd: [[touch, /run/ran]]\n")
    assert answer["changed"], answer.message
    assert answer.instances["reached"]["host_key"].startswith("ssh-ed25519 ")
    again = reached(guests)
    assert again.ok, again.message
    assert not again["changed"]


def test_a_login_that_sshd_refuses_is_not_waited_for(guests: Account) -> None:
    """Its boot is complete, so the user does not exist. ssh itself says so, after the right host key."""
    refused = reached(guests, login_user="ubuntu", wait_timeout=600)
    assert refused["reason"] == "login_refused", refused.message
    assert "ubuntu@" in refused.message
    assert "key pair me" in refused.message
    assert "reached" in refused.instances


@pytest.fixture
def agent(guests: Account, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The variables of an agent with eight keys, of which the last one is right, and of a home folder without keys."""
    key = Path(guests.api.environment["HAVEN_SANDBOX_KEY"])
    said = subprocess.run(["ssh-agent", "-s"], capture_output=True, text=True, check=True).stdout
    found = dict(word.split("=") for word in said.replace(";", " ").split() if "=" in word)
    environment = {**os.environ, **found}
    for number in range(7):
        other = tmp_path / f"other{number}"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(other)], check=True)
        subprocess.run(["ssh-add", "-q", str(other)], check=True, env=environment)
    subprocess.run(["ssh-add", "-q", str(key)], check=True, env=environment)
    yield {"SSH_AUTH_SOCK": found["SSH_AUTH_SOCK"], "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    os.kill(int(found["SSH_AGENT_PID"]), signal.SIGTERM)


def test_of_an_agent_with_eight_keys_only_the_right_one_is_offered(guests: Account, agent: dict[str, str]) -> None:
    """sshd hangs up after six. Neither the instance nor the jump host has a key of its own in the options."""
    route = {"hops": [{**gate_hop(guests.api.environment), "key": None}], "private_key": None}
    public = Path(guests.api.environment["HAVEN_SANDBOX_KEY"]).with_suffix(".pub").read_text()
    answer = reached(guests, **route, public_keys=[public], env=agent)
    assert answer.ok, answer.message
    too_many = reached(guests, **route, wait_timeout=3, env=agent)
    assert "Too many authentication failures" in too_many.message


@pytest.mark.long
def test_keys_that_not_every_cloud_imports_come_with_cloud_init_and_log_in(
    guests: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An ECDSA key in a file, and a FIDO key of which only an agent has the other half. The jump host knows neither."""
    (tmp_path / ".ssh").mkdir(mode=0o700)
    file = tmp_path / ".ssh/id_ecdsa"
    subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", str(file)], check=True)
    ecdsa, environment = Path(f"{file}.pub").read_text().strip(), guests.api.environment
    route = {"hops": [gate_hop(environment)], "login_user": "debian"}
    monkeypatch.setenv("HOME", str(tmp_path))
    with tempfile.TemporaryDirectory(prefix="haven-") as short, fido_agent(Path(short, "agent")) as fido:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(Path(short, "agent")))
        wish = {**guests.api.basics, "firewalls": ["ssh"], "ssh_keys": [ecdsa, fido], "wait": "ssh", **route}
        answer = guests.instance("keys", **wish, public_keys=[ecdsa])
        assert answer.ok, answer.message
        found = answer.instances["keys"]
        said = {"name": "box", "address": found["private_address"], "host_key": found["host_key"]}
        for public in (ecdsa, fido):
            (box,) = machines_from({"machines": [said], **route, "public_keys": [public]})
            done = who(_ssh_files.write(str(tmp_path), "machines.yml", [box.machine], box.settings), "box")
            assert done.stdout == "debian\n", done.stderr
    guests.instance("keys", state="absent")


@pytest.mark.long
def test_a_login_that_the_jump_host_refuses_is_final(guests: Account) -> None:
    assert reached(guests).ok
    wrong = {**gate_hop(guests.api.environment), "user": "mallory"}
    refused = reached(guests, hops=[wrong], wait_timeout=600)
    assert refused["reason"] == "login_refused", refused.message
    assert "jump host" in refused.message
    assert "mallory@" in refused.message


def test_an_injected_host_key_is_known_without_the_console_and_signed(guests: Account, tmp_path: Path) -> None:
    signer, stranger = tmp_path / "signer", tmp_path / "stranger"
    for each in (signer, stranger):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(each)], check=True)
    environment = guests.api.environment
    wish = {
        **guests.api.basics,
        "key_pair": "me",
        "firewalls": ["ssh"],
        "host_key_source": "injected",
        "host_key_signer": str(signer),
        "user_data": "#cloud-config\nruncmd: [[touch, /run/ran]]\n",
        "login_user": "debian",
        "wait": "ssh",
        "hops": [gate_hop(environment)],
        "private_key": environment["HAVEN_SANDBOX_KEY"],
    }
    answer = guests.instance("injected", **wish)
    # Strictly verified: it is the key that was given.
    assert answer["changed"], answer.message
    assert not [call for call in guests.calls if "console" in call.lower() or call.endswith("/action")]
    assert "PRIVATE KEY" not in f"{answer.values}{answer.stderr}"
    again = guests.instance("injected", **wish)
    assert (again.ok, again["changed"]) == (True, False), again.message
    found = answer.instances["injected"]
    for trusted, right in ((signer, True), (stranger, False)):
        settings = Settings(
            cloud=guests.api.cloud,
            projects=(guests.project,),
            found_hops=FoundHops(tuple(hops_from([gate_hop(environment)]))),
            private_key=environment["HAVEN_SANDBOX_KEY"],
            host_key_authority=public_key(Path(f"{trusted}.pub").read_text().strip()),
        )
        # With a tag that somebody forged.
        tags = {**found["tags"], "haven:host-key": Path(f"{stranger}.pub").read_text().strip()}
        known = {"id": found["id"], "name": "injected", "project": guests.project, "tags": tags}
        machine = Instance(**known, **{name: found[name] for name in ("cloud", "region", "state", "private_address")})
        config = _ssh_files.write(str(tmp_path), "haven.yml", [_hosts.machine(machine, settings)], settings)
        done = who(config, found["id"])
        assert (done.stdout == "debian\n") is right, done.stderr
        name = f"injected (injected.{guests.project})"
        assert (f"haven.gpu refuses {name}: it shows the host key" in done.stderr) is not right
    # The same guest as a machine of no cloud, at an address that its certificate names.
    gate, address = Sandbox(Path(environment["HAVEN_SANDBOX_DIR"])), f"injected.{guests.project}"
    assert gate.on_gate(f"echo {found['private_address']} {address} >> /etc/hosts").returncode == 0
    for trusted, right in ((signer, True), (stranger, False)):
        authority = Path(f"{trusted}.pub").read_text().strip()
        said = {"name": "box", "address": address, "host_key": f"@cert-authority {authority}"}
        route = {
            "hops": [gate_hop(environment)],
            "private_key": environment["HAVEN_SANDBOX_KEY"],
            "login_user": "debian",
        }
        (box,) = machines_from({"machines": [said], **route})
        done = who(_ssh_files.write(str(tmp_path), "machines.yml", [box.machine], box.settings), "box")
        assert (done.stdout == "debian\n") is right, done.stderr
        assert (f"haven.gpu refuses box ({address}): it shows the host key" in done.stderr) is not right
    # And as a jump host, known by the name that its certificate holds.
    for trusted, right in ((signer, True), (stranger, False)):
        authority = Path(f"{trusted}.pub").read_text().strip()
        inner = {"user": "debian", "key": route["private_key"], "host_key": f"@cert-authority {address} {authority}"}
        hops = [*route["hops"], {"host": found["private_address"], **inner}]
        behind = {"name": "box", "address": found["private_address"], "host_key": found["host_key"], "hops": hops}
        (box,) = machines_from({"machines": [behind], **route})
        done = who(_ssh_files.write(str(tmp_path), "machines.yml", [box.machine], box.settings), "box")
        assert (done.stdout == "debian\n") is right, done.stderr
        assert (f"haven.gpu refuses {found['private_address']} ({address})" in done.stderr) is not right
    assert gate.on_gate(f"sed -i '/ {address}$/d' /etc/hosts").returncode == 0
    guests.instance("injected", state="absent")


def who(config: str, host: str) -> subprocess.CompletedProcess[str]:
    """Ask a host who logs in there."""
    command = ["ssh", "-F", config, "-o", "BatchMode=yes", host, "id -un"]
    return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False, timeout=60)


def test_a_restarted_guest_has_booted_anew(guests: Account) -> None:
    first = reached(guests).instances["reached"]
    answer = reached(guests, state="restarted")
    assert answer["changed"], answer.message
    assert answer.instances["reached"]["host_key"] == first["host_key"]


def test_a_guest_that_is_not_who_it_should_be_is_not_reached(guests: Account) -> None:
    guest = reached(guests).instances["reached"]
    wrong = guest["host_key"][:-8] + "AAAAAAAA"
    guests.write_tag(guest["id"], "haven:host-key", wrong)
    try:
        answer = reached(guests)
    finally:
        guests.write_tag(guest["id"], "haven:host-key", guest["host_key"])
    assert answer["reason"] == "untrusted"
    shown, known = fingerprint(guest["host_key"]), fingerprint(wrong)
    refused = f"haven.gpu refuses reached ({guest['id']}): it shows the host key {shown}, and {known} is known."
    assert answer.message.startswith(refused)
    assert reached(guests).ok


def test_a_jump_host_that_does_not_answer_is_told(guests: Account) -> None:
    reached(guests)
    answer = reached(guests, wait_timeout=2, hops=[{**gate_hop(guests.api.environment), "port": 1}])
    assert answer["reason"] == "timeout"
    assert "hops" in answer.message
