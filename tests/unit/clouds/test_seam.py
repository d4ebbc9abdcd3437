# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The words of one cloud stay in its folder: what decides and what a playbook asks speak of clouds, not of one."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.haven.gpu.plugins.module_utils._cloud import Cloud, Rebuilds, Shelves
from tools.clouds import BEGIN, END, clouds

REPOSITORY = Path(__file__).parents[3]
FOLDERS = REPOSITORY / "plugins" / "module_utils" / "_clouds"
# The names of the clouds, and what only one of them has.
WORDS = "|".join(
    (
        *clouds(),
        "aws",
        "boto",
        "imds",
        "ssm",
        "ami",
        "vpc",
        "nova",
        "neutron",
        "keystone",
        "cinder",
        "glance",
        "floating",
    )
)
WORD = re.compile(rf"(?<![a-z0-9])({WORDS})", re.IGNORECASE)
# Descriptions, which no code reads.
PROSE = {"DOCUMENTATION", "EXAMPLES", "RETURN", "NAMES"}


def shared_code() -> list[Path]:
    found = [
        file
        for kind in ("module_utils", "plugin_utils", "modules", "inventory", "filter")
        for file in (REPOSITORY / "plugins" / kind).rglob("*.py")
    ]
    return [file for file in found if FOLDERS not in file.parents or file == FOLDERS / "__init__.py"]


def spoken(file: Path) -> Iterator[str]:
    """The names and texts of a file that mean something to the program."""
    tree = ast.parse(file.read_text())
    prose: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node):
            prose.add(id(node.body[0].value))  # type: ignore[attr-defined]
        if isinstance(node, ast.Assign) and any(getattr(target, "id", "") in PROSE for target in node.targets):
            prose.update(map(id, ast.walk(node.value)))
    for node in ast.walk(tree):
        if id(node) in prose:
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        yield from (str(getattr(node, name, "")) for name in ("id", "attr", "arg", "name", "module"))


@pytest.mark.parametrize("file", shared_code(), ids=lambda file: str(file.relative_to(REPOSITORY / "plugins")))
def test_code_outside_of_the_folders_speaks_of_no_one_cloud(file: Path) -> None:
    assert [text for text in spoken(file) if WORD.search(text)] == []


def test_playbooks_and_roles_ask_for_no_one_cloud() -> None:
    generated = re.compile(rf"^ *{BEGIN}.*?^ *{END}$", re.MULTILINE | re.DOTALL)
    asked = re.compile(rf"haven_cloud\s*(==|!=|in)|haven_({'|'.join(clouds())})\b")
    files = [
        *REPOSITORY.glob("playbooks/**/*.yml"),
        *REPOSITORY.glob("roles/*/[dhmtv]*/**/*.yml"),
        REPOSITORY / "site.yml",
    ]
    assert len(files) > 50
    assert {file.name: found[0] for file in files if (found := asked.search(generated.sub("", file.read_text())))} == {}


def test_somebody_asks_for_each_verb() -> None:
    code = "\n".join(file.read_text() for file in shared_code() if file.name != "_cloud.py")
    verbs = {
        name for part in (Cloud, Shelves, Rebuilds) for name, _verb in inspect.getmembers(part, inspect.isfunction)
    }
    assert [name for name in sorted(verbs) if not name.startswith("_") and not re.search(rf"\.{name}\b", code)] == []
