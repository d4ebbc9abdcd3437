# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two users on an image that is busy for a while after it has booted, with a controller and a line that are lost.

The steps are those of one machine's first hours, and each goes on from the one before it.
"""

from __future__ import annotations

import os
import pathlib
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest
import yaml

from tests.integration.sandbox_guests import Sandbox, command, running_sandbox

from . import computing
from .conftest import Story, changes, end, make_story
from .finished import assert_finished

PASSWORDS = {"alice": "sesame of alice", "bob": "sesame of bob", "later": "another sesame of alice"}
IMAGE = {"name": "haven-ubuntu-like-slow-2*", "owner": "self"}
# Nothing comes in or goes out, and nobody is told: what a line that is lost looks like from both ends.
LOST = "nft add table inet lost && nft 'add chain inet lost {0} {{ type filter hook {0} priority -400; policy drop; }}'"
WAIT = "TASK [Wait until the first boot has finished]"


@pytest.fixture(scope="module")
def story(folder: pathlib.Path) -> Iterator[Story]:
    found = running_sandbox()
    assert found is not None
    done = command("up", "--image", "ubuntu-like-slow", folder=found, timeout=600)
    assert done.returncode == 0, done.stderr
    made = make_story(folder, "hostile", {})
    generate = ["ssh-keygen", "-q", "-t", "rsa", "-b", "3072", "-N", "", "-f", str(folder / "bob")]
    subprocess.run(generate, check=True)
    keys = {
        "alice": pathlib.Path(os.environ["HAVEN_SANDBOX_KEY"] + ".pub").read_text().strip(),
        "bob": (folder / "bob.pub").read_text().strip(),
    }
    set_variables(
        made,
        haven_login_user="ubuntu",
        haven_instances=[{"name": "jupyter-demo", "image": IMAGE, "instance_type": "g4dn.xlarge"}],
        haven_users=[{"name": name, "ssh_keys": [keys[name]], "password": PASSWORDS[name]} for name in keys],
        haven_environments=[],
        haven_verify_users=["alice"],  # bob's key is in no agent
    )
    yield made
    end(made)


def set_variables(story: Story, **changed: object) -> None:
    path = story.inventory / "group_vars" / "all" / "story.yml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **changed}))


def inside(story: Story, script: str) -> str:
    """What a script printed that root runs on the machine, past the network."""
    found = running_sandbox()
    assert found is not None
    machine = story.inventory_hosts()["jupyter-demo"]["haven_id"]
    done = Sandbox(found).inside(machine, script)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def run_until(story: Story, task: str, then: Callable[[subprocess.Popen[str]], object]) -> tuple[str, dict[str, float]]:
    """Run site and do something once it has announced a task; returns what was printed, and when each task began."""
    began: dict[str, float] = {}
    with story.started("site") as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            name = line.rstrip(" *\n")
            if line.startswith("TASK [") and name not in began:
                began[name] = time.time()
                if name.startswith(f"TASK [{task}"):
                    then(process)
                    then = type(None)
    said = "".join(lines)
    assert any(name.startswith(f"TASK [{task}") for name in began), said[-6000:]
    assert process.returncode != 0, "the run came to its end"
    return said, began


def interrupt(process: subprocess.Popen[str]) -> None:
    """What Ctrl-C does: all in the foreground get it."""
    os.killpg(process.pid, signal.SIGINT)


def test_what_the_machine_is_still_busy_with_is_said_and_ctrl_c_ends_the_run(story: Story) -> None:
    said, began = run_until(story, "haven.gpu.jupyter : Validating", interrupt)
    waits = re.findall(r"progress: \[jupyter-demo\] waits for (.*)", said)
    assert [each for each in waits if "the lock of apt and dpkg, held by unattended-upgrade (process " in each], waits
    assert [each for each in waits if "10-install-packages" in each and "cloud-final.service" in each], waits
    names = list(began)
    after = began[names[names.index(WAIT) + 1]]
    free = float(inside(story, "stat --format %.Y /run/cloud-init/result.json"))
    print(f"The run went on {after - free:.1f} s after the machine was free.")


def test_the_line_is_lost_in_the_middle_of_the_roles(story: Story) -> None:
    cut = " && ".join(LOST.format(hook) for hook in ("input", "output"))
    said, _ = run_until(story, "haven.gpu.jupyter : Validating", lambda dummy: inside(story, cut))
    assert "UNREACHABLE" in said or "unreachable=1" in said, said[-3000:]
    inside(story, "nft delete table inet lost")


def test_the_next_run_finishes_and_the_one_after_it_changes_nothing(story: Story) -> None:
    story.run("site")
    assert set(changes(story.run("site")).values()) == {0}
    assert_finished(story)


def test_each_user_logs_in_with_a_key_of_another_kind(story: Story, folder: pathlib.Path) -> None:
    facts = story.inventory_hosts()["jupyter-demo"]
    for user, key in (("alice", os.environ["HAVEN_SANDBOX_KEY"]), ("bob", str(folder / "bob"))):
        options = ["-o", "BatchMode=yes", "-o", "ControlPath=none", "-o", "IdentityFile=none", "-i", key, "-l", user]
        done = subprocess.run(
            ["ssh", "-F", facts["haven_ssh_config"], *options, facts["ansible_host"], "id -un"],
            env=story.environment, check=False, capture_output=True, text=True,
        )  # fmt: skip
        assert done.stdout.strip() == user, done.stderr


def test_who_computes_is_not_ended_by_a_run_that_changes_the_configuration(story: Story) -> None:
    from ansible_collections.haven.gpu.plugins.module_utils._notebook import Notebook, tunnel

    facts = story.inventory_hosts()["jupyter-demo"]
    users = yaml.safe_load((story.inventory / "group_vars" / "all" / "story.yml").read_text())["haven_users"]
    with tunnel(facts["haven_ssh_config"], facts["ansible_host"], "alice", 30) as local:
        notebook = Notebook(local, 30)
        notebook.login(PASSWORDS["alice"])
        computing.begin(notebook)
        set_variables(story, haven_users=[{**users[0], "password": PASSWORDS["later"]}, users[1]])
        said = " ".join(story.run("site").split())
        assert "The notebook server of alice on jupyter-demo was not checked" in said
        assert "a kernel without a notebook is computing" in said
        assert "The notebook server of bob" not in said
        # The kernel and the login of before are there still, also after one more run.
        again = story.run("site")
        assert set(changes(again).values()) == {0}
        assert [kernel["execution_state"] for kernel in notebook.json("GET", "/api/kernels")] == ["busy"]
        computing.end(notebook)
