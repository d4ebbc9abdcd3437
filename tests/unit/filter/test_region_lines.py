# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a project was looked for, what else there is, and what nobody could say."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.haven.gpu.plugins.filter.region_lines import region_lines

HERE = {"regions": ["eu-north-1"], "resources": [], "not_asked": {}}
LOST = {"region": "eu-west-1", "kind": "instance", "id": "i-1", "name": "demo", "state": "running", "used": None}


def test_the_only_region_is_named() -> None:
    assert region_lines(HERE) == ["Looked for the project in eu-north-1."]


@pytest.mark.parametrize(("regions", "said"), [(["a", "b"], "a and 1 other region."), (list("abc"), "a and 2 other")])
def test_the_others_are_counted(regions: list[str], said: str) -> None:
    (line,) = region_lines({**HERE, "regions": regions})
    assert said in line


def test_what_is_elsewhere_is_shown_with_what_to_change() -> None:
    volume = {**LOST, "kind": "volume", "id": "vol-1", "state": "in-use"}
    lines = region_lines({**HERE, "resources": [LOST, volume, {**LOST, "region": "us-east-1"}]}, "region in haven_ec2")
    both = "instance demo (i-1): running; volume demo (vol-1): in-use"
    assert lines[1:] == [
        f"In eu-west-1: {both}. To work on it, change region in haven_ec2.",
        "In us-east-1: instance demo (i-1): running. To work on it, change region in haven_ec2.",
    ]


def test_who_could_not_be_asked_is_said_with_the_reason() -> None:
    assert (
        region_lines({**HERE, "not_asked": {"": "No permission."}})[1]
        == "Other regions could not be asked: No permission."
    )
    assert region_lines({**HERE, "not_asked": {"us-east-1": "Denied."}})[1] == "us-east-1 could not be asked: Denied."


def test_many_that_could_not_be_asked_take_one_line() -> None:
    many: dict[str, Any] = {**HERE, "not_asked": dict.fromkeys("abcdef", "Denied.")}
    assert region_lines(many)[1:] == ["a, b, c, d, e, f could not be asked: Denied."]


def test_a_hostile_name_stays_in_its_place() -> None:
    hostile = {**LOST, "name": "a\n\x1b[2J", "region": "eu\u202ewest"}
    assert all(line.isprintable() for line in region_lines({**HERE, "resources": [hostile]}))


def test_anything_else_is_refused_with_a_sentence() -> None:
    with pytest.raises(AnsibleFilterError, match="elsewhere"):
        region_lines({})
