"""The story on a running sandbox (`. tools/env.sh` after `make sandbox`), each module in a project of its own."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import re
import shutil
import subprocess
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
RECAP = re.compile(r"^(\S+)\s+: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Story:
    """One project: its inventory, and the playbooks run on it."""

    project: str
    inventory: pathlib.Path
    home: pathlib.Path
    # Variables that the playbooks must do without.
    unset: frozenset[str] = frozenset()
    # Variables of the environment that say who asks the cloud.
    identity: Mapping[str, str] = MappingProxyType({})
    # The host variables as they were after the last playbook: each reading takes a second.
    _known: dict[str, Any] = dataclasses.field(init=False, repr=False, compare=False, default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        ours = {name: value for name, value in os.environ.items() if name not in self.unset}
        return {**ours, **self.identity, "HOME": str(self.home), "ANSIBLE_HOME": str(self.home / ".ansible")}

    @property
    def folder(self) -> pathlib.Path:
        """Where the commands are run."""
        return ROOT

    def there(self, words: list[str]) -> list[str]:
        """The command that runs another one where the user sits."""
        return words

    def command(self, playbook: str, *arguments: str) -> list[str]:
        name = playbook if "/" in playbook else f"haven.gpu.{playbook}"
        return self.there(["ansible-playbook", name, "-i", str(self.inventory), *arguments])

    def run(self, playbook: str, *arguments: str, check: bool = True) -> str:
        """Run a playbook to its end; returns all that it printed."""
        self._known.clear()
        done = subprocess.run(
            self.command(playbook, *arguments), cwd=self.folder, env=self.environment, check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        assert not check or done.returncode == 0, done.stdout[-6000:]
        return done.stdout

    def started(self, playbook: str) -> subprocess.Popen[str]:
        """Start a playbook whose lines are read as it prints them; it leads a process group of its own."""
        self._known.clear()
        return subprocess.Popen(
            self.command(playbook), cwd=self.folder, env=self.environment, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def inventory_hosts(self) -> dict[str, Any]:
        """The host variables as the inventory plugin gives them."""
        command = self.there(["ansible-inventory", "-i", str(self.inventory), "--list"])
        listing = subprocess.run(
            command, cwd=self.folder, env=self.environment, check=True, stdout=subprocess.PIPE
        ).stdout
        return dict(json.loads(listing)["_meta"]["hostvars"])

    def ssh(self, command: str, host: str = "jupyter-demo", check: bool = True, given: bytes = b"") -> str:
        """Run a shell command on a host, strictly verified, through the hops; `given` is its input."""
        if not self._known:
            self._known.update(self.inventory_hosts())
        facts = self._known[host]
        done = subprocess.run(
            self.there(["ssh", "-F", facts["haven_ssh_config"], "-o", "BatchMode=yes", facts["ansible_host"], command]),
            env=self.environment, check=False, input=given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        said = done.stdout.decode(errors="replace")
        assert not check or done.returncode == 0, said
        return said


def changes(output: str) -> dict[str, int]:
    """Changed tasks per host, from a recap; a failed or unreachable host fails the test."""
    recap = RECAP.findall(output)
    assert recap, output[-3000:]
    assert all(unreachable == failed == "0" for *dummy, unreachable, failed in recap), output[-3000:]
    return {row[0]: int(row[2]) for row in recap}


def machines(output: str) -> list[tuple[str, str]]:
    """Name and state of each machine in the table that the playbook status prints."""
    lines = [line.split()[1:] for line in output.splitlines()]
    titles = ["MACHINE", "STATE", "REGION"]
    assert titles in [words[:3] for words in lines], output[-3000:]
    # The table goes on for as long as there are as many cells as titles.
    start = next(number for number, words in enumerate(lines) if words[:3] == titles)
    width = len(lines[start])
    found = []
    for words in lines[start + 1 :]:
        if len(words) < width:
            break
        found.append((words[0], words[1]))
    return found


def make_story(
    folder: pathlib.Path,
    project: str,
    extra: dict[str, Any],
    *,
    unset: frozenset[str] = frozenset(),
    cloud: str = "ec2",
    identity: Mapping[str, str] = MappingProxyType({}),
) -> Story:
    """An inventory like inventories/sandbox_CLOUD, with a project, a home and extra variables of its own."""
    shutil.copytree(ROOT / "inventories" / f"sandbox_{cloud}", folder / "inventory")
    variables = folder / "inventory" / "group_vars" / "all"
    # The last in the alphabet wins.
    own = {"haven_project": project, "ssh_config_path": str(folder / "ssh" / "config"), **extra}
    (variables / "story.yml").write_text(yaml.safe_dump(own))
    (variables / "story.yml").chmod(0o600)
    home = folder / "home"
    home.mkdir()
    return Story(project, folder / "inventory", home, unset, identity)


def machine_image(release: str) -> str:
    """The name of the sandbox's image of that Debian, prepared where it is, as a pattern."""
    return f"haven-debian-{release}-{os.environ.get('HAVEN_SANDBOX_PREPARED', '')}2*"


def prepared(cloud: str, name: str = "jupyter-demo") -> dict[str, Any]:
    """An entry of haven_instances like the sandbox's own, with an image that has the services' software, if there is.

    The scenarios of the roles install it on plain ones. Debian 12 has its whole story in the scenario site_ec2.
    """
    image = {"name": machine_image("13")}
    if cloud == "ec2":
        return {"name": name, "image": {**image, "owner": "self"}, "instance_type": "g4dn.xlarge"}
    return {"name": name, "image": image, "instance_type": "gpu.vgpu.1", "openstack": {"networks": ["private"]}}


def end(story: Story) -> None:
    story.run("destroy", "-e", f"haven_destroy={story.project}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    if "HAVEN_SANDBOX_GATE_PORT" not in os.environ:
        pytest.fail("No sandbox: run `make sandbox` and `. tools/env.sh` first.")
    return tmp_path_factory.mktemp("story")
