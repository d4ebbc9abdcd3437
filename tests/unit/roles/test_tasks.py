# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What holds for every task of the roles and playbooks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).parents[3]
FILES = sorted([*REPOSITORY.glob("roles/*/tasks/*.yml"), *REPOSITORY.glob("playbooks/**/*.yml")])


def mappings(value: Any) -> Iterator[dict[str, Any]]:
    """Every mapping in what a YAML file holds."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from mappings(inner)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(REPOSITORY)))
def test_waiting_does_not_look_like_an_error(file: Path) -> None:
    """Each try of `until` that is not the last prints FAILED in red; wait_for and the modules of haven.gpu do not."""
    assert not [task.get("name") for task in mappings(yaml.safe_load(file.read_text())) if "until" in task]


@pytest.mark.parametrize(
    "file", sorted(REPOSITORY.glob("roles/*/*/main.yml")), ids=lambda file: "-".join(file.parts[-3:-1])
)
def test_variables_hold_values_and_no_programs(file: Path) -> None:
    """A loop in a variable hides from the reader of a task what it does: lists stand there, programs are filters."""
    assert not re.findall(r"\{%.*", file.read_text())


def test_check_mode_needs_no_package_lists() -> None:
    """A new host has none, and check mode fetches none: a package that is not found there says nothing."""
    tasks = [
        task for file in FILES for task in mappings(yaml.safe_load(file.read_text())) if "ansible.builtin.apt" in task
    ]
    assert tasks
    assert not [
        task["name"]
        for task in tasks
        if "ansible_check_mode and 'No package matching'" not in str(task.get("failed_when"))
    ]


def given_by_the_playbook() -> dict[str, set[str]]:
    """Variables of roles that configure.yml sets, and the playbooks' variables that it takes their values from."""
    plays = yaml.safe_load((REPOSITORY / "playbooks/configure.yml").read_text())
    given = [task["vars"] for task in mappings(plays) if "vars" in task and isinstance(task["vars"], dict)]
    return {
        name: set(re.findall(r"\bhaven_\w+", str(value)))
        for variables in given
        for name, value in variables.items()
        if not name.startswith("_") and re.search(r"\bhaven_\w+", str(value))
    }


def messages() -> Iterator[tuple[str, str]]:
    """What the roles may say to a user, each with the file it is in."""
    for file in REPOSITORY.glob("roles/*/tasks/*.yml"):
        for arguments in mappings(yaml.safe_load(file.read_text())):
            yield from ((file.name, str(arguments[key])) for key in ("msg", "fail_msg") if key in arguments)
    advice = REPOSITORY / "roles/cuda/files/cuda_check.py"
    for entry in re.findall(r'"no_gpu": (.*?)\),\n', advice.read_text(), re.DOTALL):
        yield advice.name, entry


def test_a_message_names_the_variable_that_works_where_it_is_met() -> None:
    """The playbooks override variables of the roles: advice to change only the role's would change nothing there."""
    given = given_by_the_playbook()
    assert given["cuda_required"] >= {"haven_gpu_required"}
    said = list(messages())
    assert any("cuda_required" in text for dummy, text in said)
    assert not [
        (file, name, text)
        for file, text in said
        for name, theirs in given.items()
        if re.search(rf"(?<![\w{{])(?<!{{ ){name}\b", text) and not any(other in text for other in theirs)
    ]


PLAYS = [
    (file.name, play)
    for file in sorted(REPOSITORY.glob("playbooks/*.yml"))
    for play in yaml.safe_load(file.read_text())
    if "hosts" in play
]


def test_no_setting_of_somebodys_ansible_cfg_changes_how_a_play_runs() -> None:
    """Another strategy does not know what comes after what; become would ask for a password on the controller."""
    assert len(PLAYS) > 10
    assert {play.get("strategy") for _name, play in PLAYS} == {"ansible.builtin.linear"}
    unsaid = [(name, play["name"]) for name, play in PLAYS if "become" not in play]
    assert unsaid == []
    assert [name for name, play in PLAYS if play["hosts"] == "localhost" and play["become"]] == []


def test_who_becomes_root_in_a_play_does_so_by_sudo() -> None:
    becoming = [each for _name, play in PLAYS for each in mappings(play) if each.get("become") is True]
    assert len(becoming) > 1
    ways = {(each.get("become_method"), each.get("become_user")) for each in becoming}
    assert ways == {("ansible.builtin.sudo", "root")}
