# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The inventory as ansible-core runs it, in a process and a home of its own, against the sandbox's EC2 API."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

ROOT = Path(__file__).resolve().parents[3]
DEBIAN = "ami-0debf12a20260101a"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGtQkg2pJ0Q1m1GZ1h6dXqg8xW6gQq3Yk8Qx2u8ZqQ0n"


class Api:
    """A running API: its facts, and what only tests ask of it."""

    def __init__(self, facts: dict[str, str]) -> None:
        self.facts = facts

    def control(self, verb: str, **body: Any) -> None:
        self._ask(verb, json.dumps(body).encode())

    def calls(self, since: float) -> list[str]:
        return [entry["action"] for entry in self._ask(f"log?since={since}")]

    def _ask(self, path: str, body: bytes | None = None) -> Any:
        url = f"{self.facts['HAVEN_SANDBOX_CONTROL_URL']}/{path}"
        with urllib.request.urlopen(url, body, timeout=10) as answer:  # noqa: S310 -- the sandbox's own
            return json.load(answer)


class Project:
    """One test's project in the account, and its inventory folder."""

    def __init__(self, api: Api, name: str, folder: Path) -> None:
        self.api = api
        self.name = name
        self.home = folder / "home"
        self.inventory = folder / "inventory"
        self.environment = {
            "ANSIBLE_NOCOLOR": "1",
            "HOME": str(self.home),
            "ANSIBLE_HOME": str(self.home / ".ansible"),
        }
        self.home.mkdir()
        self.inventory.mkdir()
        self.write("haven.yml", "plugin: haven.gpu.instances\n")
        self.write("group_vars/all.yml", f"haven_project: {name}\nhaven_cloud: ec2\n")

    def write(self, name: str, text: str) -> Path:
        file = self.inventory / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def machine(self, name: str = "one", region: str = "", **tags: str) -> str:
        """A running machine; in the names of further tags "__" stands for ":" and "_" for "-". Returns its id."""
        facts = self.api.facts
        client = boto3.client(
            "ec2",
            endpoint_url=facts["AWS_ENDPOINT_URL"],
            region_name=region or facts["AWS_DEFAULT_REGION"],
            aws_access_key_id=facts["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=facts["AWS_SECRET_ACCESS_KEY"],
        )
        all_tags = {"haven:project": self.name, "Name": name}
        all_tags.update({key.replace("__", ":").replace("_", "-"): value for key, value in tags.items()})
        listed = [{"Key": key, "Value": value} for key, value in all_tags.items()]
        image = client.describe_images(Filters=[{"Name": "name", "Values": ["haven-debian-12-2*"]}])["Images"]
        answer = client.run_instances(
            ImageId=image[0]["ImageId"],
            InstanceType="g4dn.xlarge",
            MinCount=1,
            MaxCount=1,
            TagSpecifications=[{"ResourceType": "instance", "Tags": listed}],
        )
        return str(answer["Instances"][0]["InstanceId"])

    def ansible(self, program: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run one of ansible-core's programs on the inventory. Names and values in capitals are environment."""
        return subprocess.run(
            [str(Path(sys.executable).with_name(program)), "-i", str(self.inventory), *arguments],
            cwd=ROOT,
            env={**os.environ, **self.api.facts, **self.environment, **environment},
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def encrypt(self, file: Path) -> Path:
        """Put the file into a vault. Returns the file that holds its password."""
        password = self.home / "vault-password"
        password.write_text("sesame")
        program = Path(sys.executable).with_name("ansible-vault")
        subprocess.run(
            [str(program), "encrypt", "--vault-password-file", str(password), str(file)],
            check=True,
            capture_output=True,
            env={**os.environ, **self.environment},
        )
        return password

    def listed(self, *arguments: str, **environment: str) -> dict[str, Any]:
        """The output of ansible-inventory --list, core's marks of untrusted strings taken off."""
        done = self.ansible("ansible-inventory", "--list", *arguments, **environment)
        assert done.returncode == 0, done.stderr
        unmarked: dict[str, Any] = json.loads(
            done.stdout, object_hook=lambda found: found.get("__ansible_unsafe", found)
        )
        return unmarked

    def hosts(self, *arguments: str, **environment: str) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = self.listed(*arguments, **environment)["_meta"]["hostvars"]
        return found


def asked(variables: dict[str, Any]) -> dict[str, str]:
    """What ssh makes of the generated configuration for the host with these variables."""
    answer = subprocess.run(
        ["ssh", "-G", "-F", variables["haven_ssh_config"], variables["ansible_host"]],
        check=True,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    return dict(line.partition(" ")[::2] for line in answer.stdout.splitlines())


@pytest.fixture(scope="session")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The EC2 API, one for each test process, with machines that exist in memory only."""
    folder = tmp_path_factory.mktemp("ec2")
    port, facts, output = folder / "port", folder / "facts", folder / "output"
    command = [sys.executable, "-m", "tests.sandbox.ec2.server", "--no-guests", "--dir", str(folder)]
    command += ["--port-file", str(port), "--facts", str(facts), "--log", str(folder / "log")]
    with output.open("w") as file:
        server = subprocess.Popen(command, stdout=file, stderr=file, cwd=ROOT)
    try:
        deadline = time.monotonic() + 60
        while not port.exists():
            assert server.poll() is None, output.read_text()
            assert time.monotonic() < deadline, output.read_text()
            time.sleep(0.1)
        yield Api(json.loads(facts.read_text()))
    finally:
        server.terminate()
        server.wait(timeout=20)


@pytest.fixture
def project(api: Api, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Project]:
    """A project, a home and an inventory for each test, on an API without faults."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower())[:40].strip("-")
    yield Project(api, f"{name}-{os.urandom(3).hex()}", tmp_path)
    api.control("reset")
