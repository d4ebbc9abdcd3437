# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a failed run leaves behind, and what that costs, in a sentence."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.haven.gpu.plugins.filter.what_runs import what_runs


def instance(**fields: Any) -> dict[str, Any]:
    known = {"name": "demo", "id": "i-1", "state": "running", "instance_type": "g5.xlarge", "spot": False}
    return {**known, **fields}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "demo (i-1) exists, is running and costs 1.006 an hour."),
        ({"instance_type": "g6.xlarge"}, "costs money (its price is not known; set haven_prices)."),
        ({"spot": True}, "its price is not known"),
        ({"state": "stopped"}, "is stopped and its disks may cost money."),
        ({"name": ""}, "i-1 exists"),
        ({"state": "planned", "id": ""}, "demo would be created (g5.xlarge), which costs 1.006 an hour."),
        ({"state": "planned", "name": ["a", "b"]}, "a, b would be created"),
        ({"name": "\u202ex"}, "\\u202ex (i-1) exists"),
    ],
)
def test_it_says_what_there_is_and_what_it_costs(fields: dict[str, Any], said: str) -> None:
    (line,) = what_runs([instance(**fields)], {"g5.xlarge": 1.006})
    assert said in line


def test_anything_else_is_refused_with_a_sentence() -> None:
    with pytest.raises(AnsibleFilterError, match="instance_info"):
        what_runs([{"name": "x"}])
