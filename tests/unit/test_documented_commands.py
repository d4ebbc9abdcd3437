# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the documentation tells readers to type is typed by a test, in an empty folder, as it stands there."""

from __future__ import annotations

import ast
import re
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from tests import documented
from tests.controller import Controller
from tests.controller.terminal import Terminal, TerminalError, terminal

REPOSITORY = Path(__file__).parents[2]
BLOCKS = [block for file in documented.files() for block in documented.blocks(file)]
REASONS = {"a real account", "Galaxy", "a person's eyes"}
NOT_RUN_AT_MOST = 6


def typed_by_tests() -> Counter[tuple[str, str]]:
    """The file and the heading of each block that a test reads its commands from."""
    calls = (
        node
        for path in REPOSITORY.glob("tests/**/*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "documented.commands"
    )
    return Counter(
        tuple(argument.value for argument in call.args if isinstance(argument, ast.Constant)) for call in calls
    )


def test_every_block_of_commands_is_typed_by_a_test_or_says_why_not() -> None:
    wanted = [block for block in BLOCKS if block.language == "console" and not block.not_run]
    assert len(wanted) > 5
    assert Counter((block.file, block.heading) for block in wanted) == Counter(set(typed_by_tests()))


def test_what_no_test_types_needs_what_no_test_has() -> None:
    left_out = [block for block in BLOCKS if block.not_run]
    assert {block.not_run for block in left_out} <= REASONS
    assert len(left_out) <= NOT_RUN_AT_MOST, [(block.file, block.heading) for block in left_out]
    assert {block.language for block in left_out} == {"console"}


def test_a_block_is_commands_or_something_that_is_not_typed() -> None:
    """Or a block of commands in another language would be typed by nobody."""
    assert {block.language for block in BLOCKS} <= {"console", "python", "text", "yaml", ""}
    shown = [block for block in BLOCKS if block.language in ("text", "")]
    assert [line for block in shown for line in block.lines if line.startswith("$ ")] == []
    assert [line for block in BLOCKS if block.language == "console" for line in block.lines if line[:2] != "$ "] == []


def examples() -> Iterator[tuple[documented.Block, Any]]:
    """The examples in YAML, each with what it holds."""
    for block in BLOCKS:
        if block.language == "yaml":
            yield block, yaml.safe_load("\n".join(block.lines))


def test_ansible_reads_every_playbook_that_is_shown(tmp_path: Path) -> None:
    files = []
    for number, (block, found) in enumerate(examples()):
        assert found, block
        if isinstance(found, list):
            files.append(tmp_path / f"{number}.yml")
            files[-1].write_text("\n".join(block.lines))
    assert len(files) > 5
    # In one process: each takes a second to start.
    subprocess.run(["ansible-playbook", "--syntax-check", *map(str, files)], check=True, capture_output=True)


def test_every_playbook_that_is_shown_gives_roles_what_they_know() -> None:
    for block, found in examples():
        for role, given in roles_of(found) if isinstance(found, list) else ():
            options = yaml.safe_load((REPOSITORY / "roles" / role / "meta/argument_specs.yml").read_text())
            result = ArgumentSpecValidator(options["argument_specs"]["main"]["options"]).validate(dict(given))
            assert result.error_messages == [], (block.file, role)


def roles_of(plays: list[dict[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Our roles in these plays, each with the variables that it gets."""
    for play in plays:
        for role in play.get("roles", []):
            name = role if isinstance(role, str) else role["role"]
            given = {**play.get("vars", {}), **({} if isinstance(role, str) else role.get("vars", {}))}
            short = name.removeprefix("haven.gpu.")
            # Variables that are the play's own belong to whichever role knows them.
            yield short, {key: value for key, value in given.items() if key.startswith(f"{short}_")}


def shell_in(folder: Path, home: Path) -> AbstractContextManager[Terminal]:
    """A terminal in this folder whose user has this home; nobody asks the system for it here."""
    return terminal(["bash", "--norc", "--noprofile", "--noediting"], folder, Controller(home).environment)


def test_without_github_the_collection_is_built_and_installed(tmp_path: Path) -> None:
    clone, home = tmp_path / "clone", tmp_path / "home"
    home.mkdir()
    clone.mkdir()
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout.split("\0")
    there = [name for name in names if name and (REPOSITORY / name).exists()]
    subprocess.run(["cp", "--parents", "-t", str(clone), *there], cwd=REPOSITORY, check=True)
    with shell_in(clone, home) as shell:
        for line in documented.commands("README.md", "Without access to GitHub"):
            shell.type(line)
        shell.type("cd ~ && ls ~/.ansible/collections/ansible_collections/haven/gpu/inventories/example_ec2/haven.yml")
        assert "Log in and run a cell through the tunnel" in shell.type("ansible-playbook haven.gpu.site --list-tasks")


def test_the_first_green_test_is_one_line(tmp_path: Path) -> None:
    """In this checkout, whose environment is there: nothing is installed again."""
    with shell_in(REPOSITORY, tmp_path) as shell:
        for line in documented.commands("CONTRIBUTING.md", "Working on haven.gpu"):
            assert " passed" in shell.type(line)


@pytest.mark.long
def test_ansible_is_installed_in_an_environment_of_its_own(tmp_path: Path) -> None:
    home, folder = tmp_path / "home", tmp_path / "folder"
    (home / ".ssh").mkdir(parents=True)
    folder.mkdir()
    # ssh-keygen asks the system for the home, and not the environment, but takes a name.
    questions = {r"Enter file in which to save the key.*:": str(home / ".ssh/id_ed25519"), "passphrase.*:": ""}
    questions |= {"same passphrase again:": ""}
    with shell_in(folder, home) as shell:
        for line in documented.commands("README.md", "Install"):
            shell.type(line, answers=questions)
        assert f"{home}/haven/bin/ansible-playbook" in shell.type("command -v ansible-playbook")
        assert "core 2." in shell.type("ansible-playbook --version")
        shell.type("python -c 'import argon2, boto3, openstack, websocket' && ls ~/.ssh/id_ed25519.pub")


def test_what_helps_where_ansible_refuses_the_locale_is_said(tmp_path: Path) -> None:
    readme = documented.ROOT.joinpath("README.md").read_text()
    refusal, help_ = re.findall(r"If Ansible then says that it `([^`]+)`, run `([^`]+)`", readme)[0]
    with shell_in(tmp_path, tmp_path) as shell:
        shell.type("export LC_ALL=C")
        with pytest.raises(TerminalError, match=refusal):
            shell.type("ansible --version")
        shell.type(help_)
        shell.type("ansible --version")


def test_a_terminal_says_what_failed(tmp_path: Path) -> None:
    with shell_in(tmp_path, tmp_path) as shell:
        with pytest.raises(TerminalError, match="No such file"):
            shell.type("ls nothing-here")
        assert "it was yes" in shell.type("read -rp 'Sure? ' word; echo it was $word", answers={"Sure[?]": "yes"})
        shell.send("sleep 60")
        with pytest.raises(TerminalError, match="did not come in 1 s"):
            shell.read_until(re.compile("never"), within_s=1)
