# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The table of a check: what is wrong stands last, in the same columns."""

from __future__ import annotations

from ansible_collections.haven.gpu.plugins.filter.check_lines import check_lines

FINDINGS = [
    {"about": "credentials", "verdict": "ok", "said": "ec2 answers"},
    {"about": "instance type g5", "verdict": "wrong", "said": "This region does not offer it."},
    {"about": "quota", "verdict": "unknown", "said": ""},
]


def test_what_is_wrong_stands_last() -> None:
    assert check_lines(FINDINGS, ["There is no variable x."]) == [
        "ok       credentials       ec2 answers",
        "not sure quota",
        "WRONG    instance type g5  This region does not offer it.",
        "WRONG    variables         There is no variable x.",
    ]


def test_nothing_is_an_empty_table() -> None:
    assert check_lines([]) == []
