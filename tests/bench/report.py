# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows as a table people read and as JSON programs read."""

from __future__ import annotations

import dataclasses
import json
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Optional

from .rows import Row, Side

HEAD = "| case | haven.gpu s | calls (polls) | amazon.aws s | calls (polls) | times faster | notes |"


def write(rows: Sequence[Row], folder: Path) -> Path:
    """Write ec2.md and ec2.json; returns the path of the first."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ec2.json").write_text(json.dumps({"versions": versions(), "rows": list(map(as_dict, rows))}, indent=2))
    lines = [
        "# EC2: what things take",
        "",
        "Both sides in one run on the same fake cloud; calls are counted in its log. Seconds are those of the whole",
        f"command. {', '.join(f'{name} {number}' for name, number in versions().items())}.",
        "",
        HEAD,
        "|---|---|---|---|---|---|---|",
        *map(line, rows),
        "",
    ]
    table = folder / "ec2.md"
    table.write_text("\n".join(lines))
    return table


def line(row: Row) -> str:
    ratio = f"{row.ratio:.1f}" if row.ratio else ""
    notes = "; ".join(note for note in (row.ours.note, row.peer.note if row.peer else "", row.note) if note)
    return f"| {row.case} | {_numbers(row.ours)} | {_numbers(row.peer)} | {ratio} | {notes} |"


def _numbers(side: Optional[Side]) -> str:
    if side is None:
        return " | "
    polls = f" ({side.polls})" if side.polls else ""
    return f"{side.seconds:.2f} | {side.calls}{polls}"


def as_dict(row: Row) -> dict[str, object]:
    return {**dataclasses.asdict(row), "ratio": row.ratio}


def versions() -> dict[str, str]:
    named = {name: version(name) for name in ("ansible", "ansible-core", "boto3", "moto")}
    return {"python": platform.python_version(), **named}
