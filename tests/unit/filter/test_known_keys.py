# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is misspelt is left out, so that the rest can be checked."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.haven.gpu.plugins.filter.known_keys import known_keys

SPEC: dict[str, Any] = {"options": {"name": {}, "image": {"options": {"id": {}}}, "tags": {"type": "dict"}}}


LIST: dict[str, Any] = {"type": "list", "elements": "dict", **SPEC}


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ([{"name": "a"}, "text", 3], [{"name": "a"}]),
        ([{"name": "a", "tags": True}], [{"name": "a"}]),
        ({"name": "a"}, []),
    ],
    ids=str,
)
def test_values_of_another_kind_are_left_out(value: Any, kept: Any) -> None:
    assert known_keys(value, LIST) == kept


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ([{"name": "a", "nmae": "b"}], [{"name": "a"}]),
        ({"image": {"id": 1, "uid": 2}}, {"image": {"id": 1}}),
        ({"tags": {"anything": 1}}, {"tags": {"anything": 1}}),
        ([None, "text"], [None, "text"]),
        ("text", "text"),
        (None, None),
    ],
    ids=str,
)
def test_only_keys_of_the_specification_are_kept(value: Any, kept: Any) -> None:
    assert known_keys(value, SPEC) == kept
    assert known_keys(value, {}) == value
