# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every shortcut can be switched off, by one variable, and is in the bench. That the answers are the same without, the
tests of each one hold, and tests/integration/inventory/test_instances.py for whole listings."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ansible_collections.haven.gpu.plugins.module_utils import _shortcuts
from tests.bench import inventory_rows

REPOSITORY = Path(__file__).parents[3]
PLUGINS = {file: file.read_text() for file in (REPOSITORY / "plugins").rglob("*.py")}


def test_each_is_asked_for_where_it_is_taken() -> None:
    asked = {name for text in PLUGINS.values() for name in re.findall(r'taken\("(\w+)"\)', text)}
    assert asked == _shortcuts.NAMES.keys()


def test_the_variable_is_read_in_one_place_and_documented_in_one() -> None:
    readers = [file.name for file, text in PLUGINS.items() if "HAVEN_SHORTCUTS_OFF" in text]
    assert readers == ["_shortcuts.py"]
    texts = [*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/*.md"), *REPOSITORY.glob("roles/*/README.md")]
    assert [file.name for file in texts if "HAVEN_SHORTCUTS_OFF" in file.read_text()] == ["CONTRIBUTING.md"]


def test_each_is_a_row_of_the_bench() -> None:
    assert {*inventory_rows.SHORTCUTS} == {*_shortcuts.NAMES, "all"}


@pytest.mark.parametrize(
    ("said", "off"), [("", set()), ("parser", {"parser"}), ("parser,populate", {"parser", "populate"}), ("all", None)]
)
def test_they_are_switched_off_by_name_or_all_at_once(
    monkeypatch: pytest.MonkeyPatch, said: str, off: set[str] | None
) -> None:
    monkeypatch.setenv("HAVEN_SHORTCUTS_OFF", said)
    assert _shortcuts._switched_off() == (_shortcuts.NAMES.keys() if off is None else off)
