# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What value_faults looks at. Its sentences are tests/unit/plugin_utils/names' matter."""

from __future__ import annotations

from ansible_collections.haven.gpu.plugins.filter.value_faults import FilterModule

SPECS = {"haven_ssh_sources": {"type": "list", "elements": "str"}, "haven_users": {"type": "list", "elements": "dict"}}


def test_each_value_is_looked_at_but_the_users_who_have_sentences_of_their_own() -> None:
    value_faults = FilterModule().filters()["value_faults"]
    (said,) = value_faults([["office"], 5], SPECS)
    assert "'office' in haven_ssh_sources is no network" in said
    assert value_faults(["", 5], SPECS) == []
