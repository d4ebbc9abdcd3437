# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who exists: one answer for all playbooks and roles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.haven.gpu.plugins.filter.present_users import present_users

REPOSITORY = Path(__file__).parents[3]


def test_whoever_is_not_absent_exists_in_the_order_given() -> None:
    users = [{"name": "b", "state": "absent"}, {"name": "c", "state": "present", "password": "x"}, {"name": "a"}]
    assert present_users(users) == [users[1], users[2]]
    assert present_users([]) == []


@pytest.mark.parametrize(
    ("users", "said"),
    [
        ([{"name": "a", "state": "gone"}], "'a' is 'gone'"),
        ([{"state": "absent"}], "user 1"),
        (["alice"], "user 1"),
        ("alice", "a list"),
        ({"name": "a"}, "a list"),
    ],
)
def test_what_is_no_list_of_users_is_refused(users: Any, said: str) -> None:
    with pytest.raises(AnsibleFilterError, match=said):
        present_users(users)


def test_nobody_finds_out_for_themselves_who_exists() -> None:
    files = [*REPOSITORY.glob("playbooks/**/*.yml"), *REPOSITORY.glob("roles/*/*/*.yml")]
    lines = [(file, line) for file in files for line in file.read_text().splitlines() if "users" in line]
    assert lines
    assert not [(file, line) for file, line in lines if "attr('state'" in line]
