# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows as a table people read and as JSON programs read."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Optional

from .rows import Row, Side

HEAD = "| case | haven.gpu s | calls | polls | tags | amazon.aws s | calls | polls | tags | times faster | notes |"
RULE = "|---" * 11 + "|"
LEGEND = """\
Seconds are those of the whole command. *Polls* only ask whether something is done: listings beyond the first, and reads
of the console for the host key, of which EC2 gives one instance's at a time. *Tags* are separate calls that write tags:
each instance has a host key of its own, and one call writes one value. *Calls* are all others; all three add up to what
the API's log shows.
"""


def write(rows: Sequence[Row], folder: Path) -> Path:
    """Write ec2.md and ec2.json; returns the path of the first."""
    folder.mkdir(parents=True, exist_ok=True)
    data = {"versions": versions(), "load": os.getloadavg(), "rows": list(map(as_dict, rows))}
    (folder / "ec2.json").write_text(json.dumps(data, indent=2))
    lines = [
        "# EC2: what things take",
        "",
        "Both sides in one run on the same fake cloud, calls counted in its log.",
        f"{', '.join(f'{name} {number}' for name, number in versions().items())}; {busy()}.",
        "",
        LEGEND,
        HEAD,
        RULE,
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
        return " | | | "
    return f"{side.seconds:.2f} | {side.calls} | {side.polls or ''} | {side.tags or ''}"


def as_dict(row: Row) -> dict[str, object]:
    return {**dataclasses.asdict(row), "ratio": row.ratio}


def busy() -> str:
    """How much else this machine has to do: seconds mean little where more wants to run than there are processors."""
    return f"{os.cpu_count()} processors, load {os.getloadavg()[1]:.1f} over the last five minutes"


def versions() -> dict[str, str]:
    named = {name: version(name) for name in ("ansible", "ansible-core", "boto3", "moto")}
    return {"python": platform.python_version(), **named}
