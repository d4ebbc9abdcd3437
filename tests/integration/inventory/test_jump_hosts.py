# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Through any number of jump hosts: connections that all share, checked at every hop, and opened again after a loss.

Behind the sandbox's gate stands a jump host of these tests' own: its logins can be counted, and it can be killed.
A further hop is that one's sshd at ::1, for another user: the sandbox's wire knows IPv4 only.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.haven.gpu.plugins.filter.ssh_config import ssh_config
from ansible_collections.haven.gpu.plugins.module_utils._ssh.config import Machine, Paths
from ansible_collections.haven.gpu.plugins.module_utils._ssh.files import write
from tests.integration.sandbox_guests import Guest, Sandbox, allow, gate_hop, wait_until

from .conftest import KEY, ROOT, refusal

PLAY = """
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.raw: id -un
    - ansible.builtin.file: {path: "{{ folder }}/reached", state: touch, mode: "0600"}
      delegate_to: localhost
    - ansible.builtin.wait_for: {path: "{{ folder }}/restarted", timeout: 120, sleep: 1}
      delegate_to: localhost
    - ansible.builtin.wait_for_connection: {timeout: 120, sleep: 1, connect_timeout: 15}
    - ansible.builtin.raw: id -un
"""


@dataclass
class Controller:
    """A controller's folder, the jump host behind the gate, the machine behind that, and a key for its second user."""

    sandbox: Sandbox
    hop: Guest
    machine: Guest
    second_key: str
    folder: Path

    @property
    def key(self) -> str:
        return self.sandbox.env["HAVEN_SANDBOX_KEY"]

    def hops(self, *further: dict[str, Any]) -> list[dict[str, Any]]:
        return [gate_hop(self.sandbox.env), *further]

    def inner(self, **other: Any) -> dict[str, Any]:
        """The jump host behind the gate."""
        there = {"host": self.hop.address, "port": 2222, "user": "debian", "host_key": self.hop.host_key()}
        return {**there, "key": self.key, **other}

    def innermost(self, **other: Any) -> dict[str, Any]:
        """The same one from its own loopback, as somebody else."""
        there = {"host": "::1", "port": 2222, "user": "second", "host_key": self.hop.host_key()}
        return {**there, "key": self.second_key, **other}

    def listed(self, name: str, **other: Any) -> dict[str, Any]:
        there = {"address": self.machine.address, "host_key": self.machine.host_key(), "user": "debian"}
        return {"name": name, **there, "private_key": self.key, **other}

    def write(self, machines: list[dict[str, Any]], hops: list[dict[str, Any]]) -> Path:
        """The files of a controller for these machines, as the role ssh_config makes them; the configuration's path."""
        config = self.folder / "config"
        for file in ssh_config(machines, hops=hops, folder=str(self.folder), config=str(config)).values():
            Path(file["path"]).write_text(file["content"])
        return config

    def ssh(self, name: str, command: str = "echo $SSH_CONNECTION") -> subprocess.CompletedProcess[str]:
        full = ["ssh", "-F", str(self.folder / "config"), "-o", "BatchMode=yes", name, command]
        return subprocess.run(full, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=90)

    def start_ansible(self, program: str, *arguments: str) -> subprocess.Popen[str]:
        names = [line.split()[1] for line in (self.folder / "config").read_text().splitlines() if line[:5] == "Host "]
        machines = {name: {} for name in names if not name.startswith("haven-hop-")}
        variables = {"ansible_ssh_common_args": f"-F {self.folder / 'config'}", "folder": str(self.folder)}
        inventory = self.folder / "hosts.json"
        inventory.write_text(json.dumps({"all": {"hosts": machines, "vars": variables}}))
        return subprocess.Popen(
            [str(Path(sys.executable).with_name(program)), "-i", str(inventory), *arguments],
            env={**os.environ, "ANSIBLE_HOME": str(self.folder / "ansible"), "ANSIBLE_NOCOLOR": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def install_on_machine(self, package: str) -> None:
        """Through the proxy, as nothing else leads out."""
        facts = self.sandbox.env
        authority = Path(facts["HAVEN_SANDBOX_PROXY_CA"]).read_text()
        proxies = [f"-o Acquire::{kind}::Proxy={facts['HAVEN_SANDBOX_PROXY_URL']}" for kind in ("http", "https")]
        options = " ".join([*proxies, "-o Acquire::https::CAInfo=/srv/ca.pem", "-q"])
        self.machine.output(
            f"echo '{authority}' > /srv/ca.pem && export DEBIAN_FRONTEND=noninteractive &&"
            f" apt-get {options} update && apt-get {options} install -y --no-install-recommends {package}"
        )

    def logins(self) -> int:
        """How often somebody has logged in at the jump host behind the gate."""
        return int(self.hop.output("journalctl -o cat -t sshd | grep -c 'Accepted publickey' || true"))


@pytest.fixture(scope="module")
def guests(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Guest, Guest, str]]:
    """The jump host behind the gate, the machine that only it reaches, and the key of its second user."""
    key = tmp_path_factory.mktemp("keys") / "second key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    second = {"name": "second", "lock_passwd": True, "ssh_authorized_keys": [Path(f"{key}.pub").read_text().strip()]}

    def user_data(*lines: str, **more: Any) -> bytes:
        file = {"path": "/etc/ssh/sshd_config.d/10-tests.conf", "content": "\n".join(["MaxStartups 100", *lines, ""])}
        return b"#cloud-config\n" + json.dumps({"write_files": [file], **more}).encode()

    with (
        sandbox.guest(user_data=user_data("Port 22", "Port 2222", users=["default", second])) as hop,
        sandbox.guest(user_data=user_data()) as machine,
    ):
        hop.set_rules(allow("in", "tcp", (2222, 2222), f"{sandbox.gate}/32"))
        sandbox.machines.set_rules(
            machine.id, [allow("in", "tcp", (22, 22), f"{hop.address}/32"), allow("out", "all", (0, 0), "0.0.0.0/0")]
        )
        yield hop, machine, str(key)


@pytest.fixture
def controller(sandbox: Sandbox, guests: tuple[Guest, Guest, str], tmp_path: Path) -> Controller:
    return Controller(sandbox, *guests, tmp_path)


def test_a_play_on_twenty_machines_is_one_login_at_the_jump_host(controller: Controller) -> None:
    # By its usual port: nobody else uses that, so that nobody has opened it.
    controller.write(
        [controller.listed(f"m{number}") for number in range(20)], controller.hops(controller.inner(port=22))
    )
    before = controller.logins()
    play = controller.start_ansible("ansible", "all", "-f", "20", "-m", "ansible.builtin.raw", "-a", "id -un")
    said, _none = play.communicate(timeout=300)
    assert play.returncode == 0, said
    assert said.split().count("debian") == 20
    assert controller.logins() - before == 1


def test_each_of_three_hops_has_its_own_port_user_and_key_and_one_is_at_an_ipv6_address(controller: Controller) -> None:
    controller.write([controller.listed("machine")], controller.hops(controller.inner(), controller.innermost()))
    done = controller.ssh("machine")
    assert done.stdout.split()[0::2] == [controller.hop.address, controller.machine.address], done.stderr
    assert (
        int(controller.hop.output("journalctl -o cat -t sshd | grep -c 'Accepted publickey for second from ::1'")) > 0
    )


def test_a_machine_is_reached_at_an_ipv6_address_and_another_port(controller: Controller) -> None:
    there = {"address": "::1", "port": 2222, "host_key": controller.hop.host_key()}
    controller.write([controller.listed("machine", **there)], controller.hops(controller.inner()))
    done = controller.ssh("machine")
    assert (done.stdout.split()[0::2], done.stdout.split()[3]) == (["::1", "::1"], "2222"), done.stderr


def test_a_machine_without_a_jump_host_is_reached_and_proven_where_failures_are_noted(controller: Controller) -> None:
    (gate,) = controller.hops()
    machine = Machine("gate", gate["host"], gate["user"], gate["host_key"], gate["key"], gate["port"])
    config = write({(): [machine]}, Paths.of_this_run(str(controller.folder), notes=True))
    command = ["ssh", "-F", config, "-o", "BatchMode=yes", "-W", f"{controller.hop.address}:2222", "gate"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=90)
    assert done.stdout.startswith(b"SSH-2.0-OpenSSH")
    # It was the helper that connected.
    log = subprocess.run([*command, "-v"], stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=90)
    assert b"Executing proxy command" in log.stderr


@pytest.mark.parametrize("wrong", ["inner", "innermost"])
def test_a_hop_further_in_that_shows_another_key_is_refused_by_name(controller: Controller, wrong: str) -> None:
    others = {name: {"host_key": KEY} if name == wrong else {} for name in ("inner", "innermost")}
    hops = controller.hops(controller.inner(**others["inner"]), controller.innermost(**others["innermost"]))
    controller.write([controller.listed("machine")], hops)
    done = controller.ssh("machine")
    assert done.returncode == 255
    name = {"inner": controller.hop.address, "innermost": "::1"}[wrong]
    said = " ".join(done.stderr.split())
    assert f"haven.gpu refuses {name} (haven-hop-" in said
    assert refusal("", controller.hop.host_key(), KEY).partition(": ")[2] in said


def test_a_destination_that_nobody_answers_at_is_told(controller: Controller) -> None:
    controller.write(
        [controller.listed("machine", address=controller.hop.address, port=1)], controller.hops(controller.inner())
    )
    done = controller.ssh("machine")
    assert done.returncode == 255
    assert f"opened no connection to [{controller.hop.address}]:1." in done.stderr


def test_what_a_dead_jump_host_left_behind_is_no_obstacle_when_it_is_back(controller: Controller) -> None:
    controller.write([controller.listed("machine")], controller.hops(controller.inner()))
    assert controller.ssh("machine").returncode == 0
    _restart(controller)
    done = controller.ssh("machine")
    assert done.returncode == 0, done.stderr


def test_a_play_goes_on_when_a_jump_host_dies_and_comes_back(controller: Controller) -> None:
    controller.write([controller.listed("machine")], controller.hops(controller.inner()))
    book = controller.folder / "play.yml"
    book.write_text(PLAY)
    play = controller.start_ansible("ansible-playbook", str(book))
    try:
        assert wait_until((controller.folder / "reached").exists, 120)
        _restart(controller)
        (controller.folder / "restarted").touch()
        said, _none = play.communicate(timeout=300)
    finally:
        play.kill()
    assert play.returncode == 0, said
    assert "unreachable=0" in said


def test_many_who_fail_at_once_fail_together(controller: Controller) -> None:
    """One tries, the others take its word for it: a jump host that does not answer costs its timeout once."""
    controller.write([controller.listed("machine")], controller.hops(controller.inner(user="nobody-there")))
    before = time.time()
    command = ["ssh", "-F", str(controller.folder / "config"), "-o", "BatchMode=yes", "machine", "true"]
    several = [
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        for _ in range(8)
    ]
    said = [each.communicate(timeout=120)[1] for each in several]
    assert all("Permission denied" in text for text in said)
    since = f"journalctl -o cat -t sshd --since @{int(before) - 1} | grep -c 'Invalid user nobody-there'"
    # Only those that came some seconds later than the first one's refusal tried for themselves.
    assert 1 <= int(controller.hop.output(since)) < 8


def synchronize(controller: Controller, defaults: dict[str, Any]) -> tuple[int, str]:
    """Copy a folder to the machine in a play with these module_defaults; how the play ended and what it said."""
    source = controller.folder / "source"
    source.mkdir(exist_ok=True)
    (source / "note").write_text("copied\n")
    task = {"ansible.posix.synchronize": {"src": f"{source}/", "dest": "/home/debian/copied/"}}
    play = {"hosts": "all", "gather_facts": False, "module_defaults": defaults, "tasks": [task]}
    book = controller.folder / "synchronize.yml"
    book.write_text(json.dumps([play]))
    started = controller.start_ansible("ansible-playbook", "-e", "ansible_user=debian", str(book))
    said, _none = started.communicate(timeout=120)
    return started.returncode, " ".join(said.split())


def test_synchronize_is_verified_by_the_defaults_of_our_plays_and_fails_without_them(controller: Controller) -> None:
    plays = [yaml.safe_load((ROOT / "playbooks" / name).read_text()) for name in ("configure.yml", "verify.yml")]
    ours, verifying = [next(play["module_defaults"] for play in each if "module_defaults" in play) for each in plays]
    assert ours == verifying
    assert ours["ansible.posix.synchronize"] == {"use_ssh_args": True, "verify_host": True}
    name = "i-0123456789abcdef0"
    controller.write([controller.listed(name)], controller.hops(controller.inner()))
    controller.install_on_machine("rsync")

    status, said = synchronize(controller, {})
    assert status != 0
    assert f"Could not resolve hostname {name}" in said
    assert controller.machine.root("test -e /home/debian/copied").returncode != 0

    status, said = synchronize(controller, ours)
    assert status == 0, said
    assert controller.machine.output("cat /home/debian/copied/note") == "copied"

    controller.write([controller.listed(name, host_key=KEY)], controller.hops(controller.inner()))
    for defaults in (ours, {"ansible.posix.synchronize": {"use_ssh_args": True}}):
        status, said = synchronize(controller, defaults)
        assert status != 0
        assert refusal(name, controller.machine.host_key(), KEY) in said


def _restart(controller: Controller) -> None:
    """As when its power fails: nobody is told."""
    controller.sandbox.machines.stop(controller.hop.id, by_force=True)
    controller.hop.start()
