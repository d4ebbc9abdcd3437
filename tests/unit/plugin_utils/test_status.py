# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One line a machine, whatever the cloud says it is called."""

from __future__ import annotations

import unicodedata
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.haven.gpu.plugins.module_utils._models import Gpu, Instance
from ansible_collections.haven.gpu.plugins.plugin_utils._status import COLUMNS, plain, status_table, table

NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
DEMO: dict[str, Any] = {
    **Instance("i-1", "demo", "p", "ec2", "eu-north-1", "running", instance_type="g5.xlarge").as_dict(),
    "gpu": {"model": "A10G", "count": 1, "memory_gib": 22.4},
    "private_address": "10.0.0.20",
    "launched_at": "2026-03-01T09:00:00Z",
}
UNITS = {"stdout_lines": ["haven-jupyter@alice.service loaded active running x", "haven-tensorboard@bob.socket loaded"]}
HOST = {"haven_id": "i-1", "haven_address": "10.0.0.20", "haven_hops": [{"host": "outer"}, {"host": "inner"}]}


TUNNEL = {"name": "demo", "connected": True, "forwards": [{"local_port": 8888}, {"local_port": 6006}]}


def row(*instances: dict[str, Any], hosts: Any = (), prices: Any = None, tunnels: Any = ()) -> list[str]:
    """The cells of the last machine."""
    lines = status_table(instances or [DEMO], hosts, [{"host": "gate"}], prices or {}, now=NOW, tunnels=tunnels)
    starts = [lines[0].index(name) for name in COLUMNS]
    return [lines[-1][start:end].strip() for start, end in zip(starts, [*starts[1:], None], strict=True)]


def test_all_that_is_known_of_a_machine_is_shown() -> None:
    shown = row(hosts=[{**HOST, "__haven_units": UNITS}], prices={"g5.xlarge": 1.006}, tunnels=[TUNNEL])
    assert shown == [
        *("demo", "running", "eu-north-1", "1xA10G", "10.0.0.20", "outer>inner", "jupyter,tensorboard"),
        *("localhost:8888,6006", "2026-03-01T09:00:00Z", "1.01", "3.02"),
    ]


def test_what_is_not_known_is_a_dash() -> None:
    bare = Instance("i-2", "", "p", "openstack", "r", "stopped").as_dict()
    assert row(bare) == ["i-2", "stopped", "r", "-", "-", "gate", "-", "-", "-", "-", "-"]
    assert row(hosts=[{**HOST, "__haven_units": {"unreachable": True}}])[6] == "-"


def test_machines_of_one_name_are_told_apart_by_their_ids() -> None:
    twin = {**DEMO, "id": "i-2"}
    assert row(DEMO, twin)[0] == "demo(i-2)"
    assert row(DEMO, {**twin, "name": "other"})[0] == "other"


def test_a_number_of_gpus_that_is_not_known_is_a_question_mark() -> None:
    assert row({**DEMO, "gpu": {"model": "A100", "count": 0, "memory_gib": 0.0}})[3] == "?xA100"


def test_a_stopped_machine_neither_runs_since_nor_costs_what_a_running_one_does() -> None:
    assert row({**DEMO, "state": "stopped"}, prices={"g5.xlarge": 1.006})[6:] == ["-"] * 5


@pytest.mark.parametrize("since", [None, "", "yesterday", "2026-03-01T09:00:00"])
def test_a_start_that_cannot_be_read_leaves_the_price(since: str | None) -> None:
    assert row({**DEMO, "launched_at": since}, prices={"g5.xlarge": "2"})[-2:] == ["2.00", "-"]


def test_without_machines_there_are_the_columns() -> None:
    assert status_table([], [], [], {}, now=NOW) == ["  ".join(COLUMNS)]


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("a\nb", r"a\nb"),
        ("\x1b[2J", r"\x1b[2J"),
        ("\u202egpj.exe", r"\u202egpj.exe"),
        ("\u05d0", r"\u05d0"),
        ("e\u0301", r"e\u0301"),
        ("\u30de", r"\u30de"),
        ("\udc80", r"\udc80"),
        ("{{ 7*7 }}", r"{{\x207*7\x20}}"),
        ("Müller", "Müller"),
        ("x" * 10_000, "x" * 45 + "..."),
    ],
)
def test_a_hostile_name_stays_in_its_place(hostile: str, shown: str) -> None:
    assert plain(hostile) == shown


@given(st.lists(st.tuples(st.text(st.characters()), st.none() | st.integers() | st.text(st.characters()))))
def test_each_row_is_one_line_and_every_character_takes_one_place(rows: list[tuple[object, object]]) -> None:
    lines = table([("A", "B"), *rows])
    assert len(lines) == len(rows) + 1
    column = lines[0].index("B")
    for line in lines:
        assert line.isprintable()
        assert not any(unicodedata.combining(each) for each in line)
        assert line[column - 2 : column] == "  "
        assert len(line.split()) == 2
        line.encode()  # no half of a surrogate pair


def test_models_of_gpus_are_the_clouds_words_too() -> None:
    gpu = Gpu("L4\r", 2, 22.0)
    assert row({**DEMO, "gpu": {"model": gpu.model, "count": gpu.count}})[3] == r"2xL4\r"
