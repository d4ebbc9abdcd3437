# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lint finds words that the glossary replaces, where people read them."""

from __future__ import annotations

import re

import pytest

from tools import words

LIST = """
- {word: 'bastions?', use: jump host, except: [{file: "roles/*/meta.yml", text: tags, because: a search word}]}
- {word: their kin, use: and similar}
"""


def found(file: str, text: str) -> list[str]:
    return list(words.found(file, text, words.listed(LIST)))


def test_an_occurrence_has_its_file_its_line_and_the_word_to_use() -> None:
    assert found("README.md", "one\nThe Bastion is up.\n") == ["README.md:2: 'Bastion': write jump host"]


def test_words_on_two_lines_are_found_in_comments_too() -> None:
    assert found("a.yml", "# taps and their\n# kin\n") == ["a.yml:1: 'their # kin': write and similar"]


@pytest.mark.parametrize("text", ["bastioned", "my_bastion", "bastion_host", "bastion-1", "files/bastion", "x.bastion"])
def test_parts_of_names_are_left_alone(text: str) -> None:
    assert found("README.md", text) == []


@pytest.mark.parametrize(
    "line",
    ["x = 1  # the bastion", 'x = "the bastion"', 'x = f"{y} the bastion {y}"', '"""The bastion."""'],
)
def test_python_is_read_in_its_strings_and_comments(line: str) -> None:
    assert len(found("plugins/a.py", f"\n{line}\n")) == 1


def test_names_in_python_are_left_alone() -> None:
    assert found("plugins/a.py", "bastion = connect(bastion)\n") == []


def test_an_exception_holds_for_its_file_and_its_line_only() -> None:
    assert found("roles/a/meta.yml", "tags: [bastion]\n") == []
    assert len(found("roles/a/meta.yml", "description: bastion\n")) == 1
    assert len(found("roles/a/tasks.yml", "tags: [bastion]\n")) == 1


def test_the_glossary_names_what_it_replaces() -> None:
    glossary = (words.ROOT / "docs/glossary.md").read_text()
    replaced = {word for row in re.findall(r"\| ([^|]*) \|$", glossary, re.MULTILINE) for word in row.split(", ")}
    listed = words.listed(words.LIST.read_text())
    # Each word of the last column is found by the lint.
    replaced -= {"", "not"}
    assert len(replaced) > 5
    assert [each for each in sorted(replaced) if not any(word.pattern.search(each) for word in listed)] == []


def test_every_exception_has_a_reason() -> None:
    listed = words.listed(words.LIST.read_text())
    assert all(each.because for word in listed for each in word.exemptions)
