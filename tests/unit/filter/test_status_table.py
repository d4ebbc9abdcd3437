# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter as a playbook calls it; what is in the table, tests/unit/plugin_utils/test_status.py shows."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.haven.gpu.plugins.filter.status_table import FilterModule
from ansible_collections.haven.gpu.plugins.module_utils._models import Instance

status_table = FilterModule().filters()["status_table"]


def test_hops_and_prices_come_from_the_options() -> None:
    demo = Instance("i-1", "demo", "p", "ec2", "r", "running", instance_type="g5.xlarge").as_dict()
    lines = status_table([demo], hops=[{"host": "gate"}], prices={"g5.xlarge": 1.5})
    assert lines[1].split() == ["demo", "running", "r", "-", "-", "gate", "-", "-", "-", "1.50", "-"]


@pytest.mark.parametrize("wrong", [[{"name": "demo"}], ["demo"], None])
def test_anything_else_is_one_sentence(wrong: object) -> None:
    with pytest.raises(AnsibleFilterError, match="expects what haven"):
        status_table(wrong)
