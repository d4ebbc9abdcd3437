# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine without a jump host, from a laptop that reaches the clouds by their own names and the machine by its public
address."""

from __future__ import annotations

import dataclasses
import pathlib
import re
import subprocess
from collections.abc import Iterator

import pytest

from tests.integration.sandbox_guests import Sandbox, running_sandbox, wait_until
from tests.sandbox.internet import LAPTOP, STRANGER, Outside

from .conftest import Story, changes, end, make_story, prepared


@dataclasses.dataclass(frozen=True)
class OnLaptop(Story):
    """The same project, run on the sandbox's laptop."""

    outside: Outside = dataclasses.field(kw_only=True)

    @property
    def environment(self) -> dict[str, str]:
        return self.outside.environment(super().environment)

    def there(self, words: list[str]) -> list[str]:
        return self.outside.command(LAPTOP, words)


@pytest.fixture
def sandbox() -> Sandbox:
    found = running_sandbox()
    assert found is not None, "No sandbox: run `make sandbox` and `. tools/env.sh` first."
    return Sandbox(found)


def own_address(sandbox: Sandbox) -> str:
    """The laptop's address, from the service that tells it."""
    return sandbox.on_laptop("curl", "-sS", "https://checkip.amazonaws.com").stdout.strip()


@pytest.fixture
def story(cloud: str, sandbox: Sandbox, tmp_path: pathlib.Path) -> Iterator[OnLaptop]:
    own = own_address(sandbox)
    variables = {
        "haven_hops": [],
        "haven_ssh_sources": [f"{own}/32"],
        "haven_instances": [{**prepared(cloud), "public_address": True}],
    }
    plain = make_story(tmp_path, f"laptop-{cloud}", variables, cloud=cloud)
    fields = {each.name: getattr(plain, each.name) for each in dataclasses.fields(plain) if each.init}
    made = OnLaptop(**fields, outside=Outside(sandbox.paths))
    yield made
    sandbox.move_laptop(0)
    end(made)


@pytest.mark.parametrize("cloud", ["ec2", "openstack"])
def test_a_machine_without_a_jump_host_is_made_and_opened_from_a_laptop(story: OnLaptop, sandbox: Sandbox) -> None:
    story.run("site")
    assert set(changes(story.run("site")).values()) == {0}
    address = story.inventory_hosts()["jupyter-demo"]["haven_public_address"]
    assert address.startswith("198.51.100.")
    # The machine sees the laptop itself, not a jump host.
    assert story.ssh("echo $SSH_CONNECTION").split()[0] == own_address(sandbox)
    said = story.run("connect")
    port = re.findall(r"http://localhost:(\d+) +notebook of alice", said)[0]

    def page() -> subprocess.CompletedProcess[str]:
        return sandbox.on_laptop("curl", "-s", "-m", "5", f"http://localhost:{port}/login")

    assert "password" in page().stdout
    knock = ("timeout", "3", "bash", "-c", f"</dev/tcp/{address}/22")
    assert sandbox.on_laptop(*knock).returncode == 0
    assert sandbox.on_laptop(*knock, who=STRANGER).returncode != 0
    # Its address changes: the firewall takes it for somebody else, and what was open gets no answer.
    sandbox.move_laptop(1)
    assert sandbox.on_laptop(*knock).returncode != 0
    assert wait_until(lambda: "password" not in page().stdout, 60)
    sandbox.move_laptop(0)
    assert wait_until(lambda: "password" in page().stdout, 180), "the tunnel did not come back with the address"
    story.run("disconnect")
