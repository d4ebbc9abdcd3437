# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a project has, as lines that a hostile name cannot leave."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.haven.gpu.plugins.filter.resource_lines import resource_lines


def resource(**fields: Any) -> dict[str, Any]:
    return {"kind": "volume", "id": "vol-1", "name": "demo", "state": "available", "used": None, **fields}


def test_a_line_says_what_it_is_and_whether_anything_uses_it() -> None:
    assert resource_lines(
        [resource(), resource(used=False), resource(used=True, name=""), resource(kind="key_pair", state="")]
    ) == [
        "volume demo (vol-1): available",
        "volume demo (vol-1): available, not used by anything",
        "volume (vol-1): available",
        "key_pair demo (vol-1)",
    ]


@pytest.mark.parametrize("name", ["\u202egpj.exe", "\u009b2J", "a\nvolume innocent (vol-2)", "x\x1b[31m"])
def test_a_name_stays_in_its_place(name: str) -> None:
    (line,) = resource_lines([resource(name=name)])
    assert line.isprintable()
    assert line.count(" ") == 3
    assert "\\" in line


def test_anything_else_is_refused_with_a_sentence() -> None:
    with pytest.raises(AnsibleFilterError, match="instance_info"):
        resource_lines([{"kind": "volume"}])
