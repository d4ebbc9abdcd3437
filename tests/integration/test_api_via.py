# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An API that only the jump host reaches: a controller in a network from which nothing but the jump host is there.

That network is the sandbox's own outside: a namespace with the jump host's sshd on a link, where the APIs' names are
not known.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from ansible_collections.haven.gpu.plugins.module_utils._models import Hop
from ansible_collections.haven.gpu.plugins.module_utils._ssh.api_proxy import ApiProxy, api_proxy
from ansible_collections.haven.gpu.plugins.plugin_utils._sources.probe import Target, probe
from tests.integration.clouds import Api, OpenStackApi
from tests.integration.sandbox_guests import ROOT, Sandbox, gate_hop, own_sandbox, wait_until
from tests.story.conftest import machines

PROJECT = f"inside-{os.getpid()}"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGtQkg2pJ0Q1m1GZ1h6dXqg8xW6gQq3Yk8Qx2u8ZqQ0n"


class Controller:
    """Somebody outside, who knows the jump host and the names and certificates of the APIs inside."""

    def __init__(self, api: Api, folder: Path) -> None:
        self.api = api
        self.sandbox = Sandbox(Path(api.environment["HAVEN_SANDBOX_DIR"]))
        self.folder = folder
        facts = api.environment
        self.hop = {
            "host": "198.51.100.254",
            "user": facts["HAVEN_SANDBOX_GATE_USER"],
            "host_key": facts["HAVEN_SANDBOX_GATE_HOST_KEY"],
            "key": facts["HAVEN_SANDBOX_KEY"],
        }
        self.environment = {"HOME": str(folder), "ANSIBLE_HOME": str(folder / ".ansible"), "ANSIBLE_NOCOLOR": "1"}
        authority = facts["HAVEN_SANDBOX_INSIDE_CA"]
        if api.cloud == "ec2":
            url = facts["HAVEN_SANDBOX_INSIDE_EC2_URL"]
            self.where: dict[str, Any] = {"ec2": {"endpoint_url": url, "ca_bundle": authority}}
        else:
            self.where = {"openstack": {"cloud": "inside"}}
            self._write_clouds(authority)

    def _write_clouds(self, authority: str) -> None:
        facts = self.api.environment
        cloud = json.loads(Path(facts["OS_CLIENT_CONFIG_FILE"]).read_text())["clouds"]["haven"]
        cloud |= {"region_name": "Inside", "cacert": authority}
        cloud["auth"]["auth_url"] = f"{facts['HAVEN_SANDBOX_INSIDE_KEYSTONE_URL']}/v3"
        clouds = self.folder / "clouds.yaml"
        clouds.write_text(json.dumps({"clouds": {"inside": cloud}}))
        self.environment |= {"OS_CLIENT_CONFIG_FILE": str(clouds), "OS_CLOUD": "inside"}

    def change(self, old: str, new: str) -> None:
        """Look for the API elsewhere, or trust somebody else."""
        self.where = json.loads(json.dumps(self.where).replace(old, new))
        clouds = self.folder / "clouds.yaml"
        if clouds.exists():
            clouds.write_text(clouds.read_text().replace(old, new))

    def run(self, *words: str, given: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command with nothing but the jump host in reach."""
        outside = ["nsenter", f"--net=/proc/{self.sandbox.supervisor}/ns/net", "--"]
        return subprocess.run(
            [*outside, *words],
            cwd=ROOT,
            env={**os.environ, **self.api.environment, **self.environment},
            input=given,
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )

    def module(self, name: str, /, *, hop: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
        """Run one of our modules; ``hop`` is what is said of the jump host instead of what is true."""
        hops = [{**self.hop, **(hop or {})}]
        common = {"cloud": self.api.cloud, "project": PROJECT, "hops": hops, "api_via": "jump_host", **self.where}
        program = [sys.executable, "-m", f"ansible_collections.haven.gpu.plugins.modules.{name}"]
        done = self.run(*program, given=json.dumps({"ANSIBLE_MODULE_ARGS": {**common, **options}}))
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def does(self, name: str, /, **options: Any) -> dict[str, Any]:
        answer = self.module(name, **options)
        assert not answer.get("failed"), answer
        return answer

    def inventory(self, api_via: str) -> subprocess.CompletedProcess[str]:
        folder = self.folder / "inventory"
        (folder / "group_vars").mkdir(parents=True, exist_ok=True)
        (folder / "haven.yml").write_text("plugin: haven.gpu.instances\nreachable: probe\n")
        variables = {"project": PROJECT, "cloud": self.api.cloud, "hops": [self.hop], "api_via": api_via, **self.where}
        text = json.dumps({f"haven_{name}": value for name, value in variables.items()})
        (folder / "group_vars/all.yml").write_text(text)
        program = str(Path(sys.executable).with_name("ansible-inventory"))
        return self.run(program, "-i", str(folder), "--list")

    def playbook(self, name: str, *arguments: str) -> str:
        """Run one of our playbooks on an inventory like the sandbox's own; returns all that it printed."""
        folder = self.folder / "story"
        if not folder.exists():
            shutil.copytree(ROOT / "inventories" / f"sandbox_{self.api.cloud}", folder)
            config = str(self.folder / "ssh" / "config")
            variables = {"project": PROJECT, "hops": [self.hop], "api_via": "jump_host", **self.where}
            text = {"ssh_config_path": config, **{f"haven_{key}": value for key, value in variables.items()}}
            # The last in the alphabet wins.
            (folder / "group_vars/all/story.yml").write_text(json.dumps(text))
        program = str(Path(sys.executable).with_name("ansible-playbook"))
        done = self.run(program, f"haven.gpu.{name}", "-i", str(folder), *arguments)
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
        return done.stdout

    def logins(self) -> int:
        """How often the jump host has let somebody in."""
        counted = self.sandbox.on_gate("journalctl --no-pager | grep -c 'Accepted publickey'")
        return int(counted.stdout)


@pytest.fixture(scope="module")
def apis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Api]]:
    """Both clouds of a sandbox of these tests' own, since they count the logins at its jump host."""
    with own_sandbox(tmp_path_factory.mktemp("inside"), "all") as own:
        yield {"ec2": Api(own.env), "openstack": OpenStackApi({**own.env, "OS_CLOUD": "haven"})}


@pytest.fixture
def controller(cloud: str, apis: dict[str, Api], tmp_path: Path) -> Controller:
    return Controller(apis[cloud], tmp_path)


both_clouds = pytest.mark.parametrize("cloud", ["ec2", "openstack"])
on_ec2 = pytest.mark.parametrize("cloud", ["ec2"])


@pytest.mark.parametrize("cloud", ["ec2", pytest.param("openstack", marks=pytest.mark.long)])
def test_machines_are_made_listed_and_removed_where_only_the_jump_host_reaches_the_api(controller: Controller) -> None:
    refused = controller.module("instance_info", api_via="direct")
    assert refused["reason"] == "unreachable"
    assert "does not answer" in controller.inventory("direct").stderr

    controller.does("keypair", name="tests", public_key=Path(f"{controller.hop['key']}.pub").read_text())
    controller.does("firewall", name="tests", rules=[{"protocol": "tcp", "ports": "22", "from": ["10.0.0.0/8"]}])
    try:
        machine = {"key_pair": "tests", "firewalls": ["tests"], "login_user": "debian", **controller.api.basics}
        route = {"wait": "ssh", "private_key": controller.hop["key"]}
        (made,) = controller.does("instance", name="one", **machine, **route)["instances"]

        before = controller.logins()
        (found,) = controller.does("instance_info")["instances"]
        assert found["id"] == made["id"]
        assert controller.logins() == before + 1

        before = controller.logins()
        listed = controller.inventory("jump_host")
        assert listed.returncode == 0, listed.stderr
        assert json.loads(listed.stdout)["haven_reachable"]["hosts"] == ["one"]
        # One to ask the API, and one to ask the machines.
        assert controller.logins() == before + 2

        gate = gate_of(controller.api.environment)
        before = controller.logins()
        lost = [Target(str(number), "127.0.0.1", hops=(gate,)) for number in range(300)]
        asked, _troubles = probe([*lost, Target("one", made["private_address"], hops=(gate,))])
        assert [id for id, answers in asked.items() if answers] == ["one"]
        assert controller.logins() == before + 1
    finally:
        controller.does("instance", name="one", state="absent")
        controller.does("firewall", name="tests", state="absent")
        controller.does("keypair", name="tests", state="absent")


@pytest.mark.long  # the modules and the inventory, above, are what they call
@on_ec2
def test_the_playbooks_need_nothing_else_where_only_the_jump_host_reaches_the_api(controller: Controller) -> None:
    try:
        controller.playbook("provision")
        controller.playbook("stop")
        assert machines(controller.playbook("status")) == [("jupyter-demo", "stopped")]
        controller.playbook("start")
        assert machines(controller.playbook("status")) == [("jupyter-demo", "running")]
    finally:
        controller.playbook("destroy", "-e", f"haven_destroy={PROJECT}")
    assert not controller.does("instance_info", resources=True)["resources"]


@both_clouds
@pytest.mark.parametrize("wrong", ["authority", "name"])
def test_the_certificate_is_checked_against_the_apis_real_name(controller: Controller, wrong: str) -> None:
    facts = controller.api.environment
    if wrong == "authority":
        controller.change(facts["HAVEN_SANDBOX_INSIDE_CA"], facts["HAVEN_SANDBOX_PROXY_CA"])
    else:
        controller.change("api.haven.test", str(controller.sandbox.subnet[1]))
    answer = controller.module("instance_info")
    assert answer["reason"] == "cloud_failure"
    assert "is not trusted" in answer["msg"]


@on_ec2
@pytest.mark.parametrize(
    ("hop", "where", "reason", "message"),
    [
        ({"host_key": KEY}, {}, "untrusted", r"haven\.gpu refuses 198\.51\.100\.254 .* SHA256:\S+, and SHA256:\S+ is"),
        ({"host_key": None}, {}, "untrusted", r"jump host 198\.51\.100\.254 shows a host key that is not known"),
        ({"user": "nobody"}, {}, "login_refused", r"jump host 198\.51\.100\.254 refuses the login"),
        ({"host": "127.0.0.1", "port": 9}, {}, "unreachable", r"127\.0\.0\.1 cannot be reached \(.*refused\)"),
        ({}, {"endpoint_url": "http://api.haven.test"}, "invalid_request", r"http://api\.haven\.test is plain HTTP"),
        (
            {},
            {"endpoint_url": "https://169.254.169.254"},
            "denied",
            r"jump host 198\.51\.100\.254 refuses connections to the API at 169\.254\.169\.254:443 ",
        ),
        (
            {},
            {"endpoint_url": "https://nowhere.haven.test"},
            "unreachable",
            r"jump host 198\.51\.100\.254 cannot reach the API at nowhere\.haven\.test:443 ",
        ),
    ],
)
def test_a_failure_on_the_way_is_told_in_a_sentence(
    controller: Controller, hop: dict[str, Any], where: dict[str, Any], reason: str, message: str
) -> None:
    answer = controller.module("instance_info", hop=hop, ec2={**controller.where["ec2"], **where})
    assert answer["reason"] == reason
    assert re.search(message, answer["msg"])


@pytest.fixture
def gate(sandbox: Sandbox) -> Hop:
    return gate_of(sandbox.env)


def gate_of(facts: dict[str, str]) -> Hop:
    """The jump host as this machine finds it."""
    return Hop(**gate_hop(facts))


@pytest.fixture
def target(sandbox: Sandbox) -> str:
    """Somewhere that the jump host may connect to: where guests find their egress proxy."""
    return sandbox.env["HAVEN_SANDBOX_PROXY_URL"].removeprefix("http://")


def credential(proxy: ApiProxy) -> str:
    url = urlsplit(proxy.url)
    return f"{url.username}:{url.password}"


def ask(proxy: ApiProxy, request: str, words: str) -> tuple[int, socket.socket]:
    """Send a request with a credential; the status of the answer, and the connection."""
    head = f"Proxy-Authorization: Basic {base64.b64encode(words.encode()).decode()}\r\n" if words else ""
    link = socket.create_connection(("127.0.0.1", urlsplit(proxy.url).port or 0), timeout=30)
    link.sendall(f"{request} HTTP/1.1\r\nHost: x\r\n{head}\r\n".encode())
    answer = http.client.HTTPResponse(link, method="CONNECT")
    answer.begin()
    return answer.status, link


def test_the_proxy_carries_what_has_its_credential_and_nothing_else(gate: Hop, target: str) -> None:
    with api_proxy([gate]) as proxy:
        right = credential(proxy)
        asked = {
            407: [(f"CONNECT {target}", wrong) for wrong in ("", "haven:", "haven:guess", right.swapcase())],
            400: [(f"CONNECT {to}", right) for to in ("-oProxyCommand=x:22", "a.example", "a.example:0", "[::1]")],
            501: [(f"GET http://{target}/", right)],
        }
        for expected, requests in asked.items():
            for request in requests:
                status, link = ask(proxy, *request)
                link.close()
                assert status == expected, request
        status, link = ask(proxy, f"CONNECT {target}", right)
        assert status == 200
        link.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert link.recv(100).startswith(b"HTTP/1.")
        link.close()


def test_no_other_process_is_told_the_credential_and_nothing_stays_behind(gate: Hop, target: str) -> None:
    with api_proxy([gate]) as proxy:
        folder = proxy.connection.folder
        assert os.stat(folder).st_mode & 0o777 == 0o700
        secret = credential(proxy).encode()
        status, link = ask(proxy, f"CONNECT {target}", secret.decode())
        assert status == 200
        # One holds the connection, and one is a stream of it.
        assert wait_until(lambda: len(mentioning(folder)) >= 2)
        for process in mentioning(folder):
            known = read(process / "cmdline") + read(process / "environ")
            assert secret not in known
            assert base64.b64encode(secret) not in known
        assert not [file for file in Path(folder).glob("*") if file.is_file() and secret in file.read_bytes()]
    link.close()
    assert wait_until(lambda: not mentioning(folder))
    assert not os.path.exists(folder)
    with socket.socket() as late:
        assert late.connect_ex(("127.0.0.1", urlsplit(proxy.url).port or 0)) != 0


def mentioning(text: str) -> list[Path]:
    """The processes with this text on their command lines."""
    return [each for each in Path("/proc").glob("[0-9]*") if text.encode() in read(each / "cmdline")]


def read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:  # the process has gone
        return b""
