# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Only instances that the inventory does not list have to be created."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.haven.gpu.plugins.filter.names_to_create import names_to_create

HOSTS = [
    {"haven_name": "a", "haven_project": "p"},
    {"haven_name": "b", "haven_project": "other"},
    {"inventory_hostname": "static"},
]


@pytest.mark.parametrize(
    ("instances", "names"),
    [
        ([{"name": "a"}], []),
        ([{"name": "b"}], ["b"]),
        ([{"name": ["a", "b", "c"]}], ["b", "c"]),
        ([{"name": "a"}, {"nme": "x"}], ["None"]),
        (["a"], ["None"]),
        ([{"name": "b", "state": "absent"}], []),
        ([{"name": "b", "state": "stopped"}], ["b"]),
        ([], []),
        (None, []),
        ("a", []),
        ({"name": "b"}, []),
    ],
    ids=str,
)
def test_a_name_of_this_project_that_is_listed_is_there(instances: Any, names: list[str]) -> None:
    assert names_to_create(instances, HOSTS, "p") == names
