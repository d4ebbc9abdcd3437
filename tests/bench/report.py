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
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Optional

from .row import Row, Side

RULE = "|---" * 15 + "|"


@dataclass(frozen=True)
class Table:
    """One cloud's table. ``peer``: the collection measured beside ours; ``packages``: whose versions are told."""

    name: str
    title: str
    peer: str
    packages: tuple[str, ...]
    legend: str

    @property
    def head(self) -> str:
        sides = [f"{side} s | CPU s | calls | polls | tags | MiB" for side in ("haven.gpu", self.peer)]
        return f"| case | {' | '.join(sides)} | times faster (CPU) | notes |"

    @property
    def versions(self) -> dict[str, str]:
        named = {name: version(name) for name in ("ansible", "ansible-core", *self.packages)}
        return {"python": platform.python_version(), **named}


EC2 = Table(
    "ec2",
    "EC2: what things take",
    "amazon.aws",
    ("boto3", "moto"),
    """\
Seconds are those of the whole command, *CPU s* those that processors worked for it, which other work on this computer
changes less, and *MiB* what it and its processes hold at the peak. *Polls* only ask whether something is done: listings
beyond the first, and reads of the console for the host key, of which EC2 gives one instance's at a time. *Tags* are
separate calls that write tags: each instance has a host key of its own, and one call writes one value. *Calls* are all
others; all three add up to what the API's log shows. Inventories make no polls: all that they ask are *calls*, and the
API answers them at once, with what moto said when it was asked before. In the rows about shortcuts the other side is
ours, too: the same listing with that shortcut switched off.
""",
)
OPENSTACK = Table(
    "openstack",
    "OpenStack: what things take",
    "openstack.cloud",
    ("openstacksdk",),
    """\
Seconds are those of the whole command, *CPU s* those that processors worked for it, which other work on this computer
changes less, and *MiB* what it and its processes hold at the peak. The services are OpenStack's
own (keystone, placement, glance, neutron, nova and cinder) with the sandbox's nova driver, whose guests exist in memory
only. Requests are counted by the client's user agent, without what services ask each other. *Polls* only ask again
whether something is done: reads of a server, of the servers or of a console beyond the first. *Tags* are requests that
write the host key into a server's metadata. *Calls* are all others, authentication included; all three add up to what
the services' log shows.
""",
)

CONNECTIONS = Table(
    "connections",
    "Connections: what many machines behind one jump host take",
    "ProxyJump",
    (),
    """\
Seconds are those of the whole command, *CPU s* those that processors worked for it on this side, and *MiB* what it and
its processes hold at the peak. *Calls* are logins at the jump host, counted in its journal. The other side is what
people write by hand: ProxyJump in an ssh configuration, with the same host keys checked. The machines are real guests
on this computer, whose processors do their work, too; *as answered before* is mostly without it: what Ansible runs
there gives the answer of the time before at once. Their sshd works on, where else each machine has processors of its
own. The jump host is on this computer, too; *100 ms away* is as if it stood on another continent, by a relay that holds
back what goes through it.
""",
)


def write(rows: Sequence[Row], table: Table, folder: Path) -> Path:
    """Write the table as Markdown and as JSON; returns the path of the first."""
    folder.mkdir(parents=True, exist_ok=True)
    data = {"versions": table.versions, "load": os.getloadavg(), "rows": list(map(as_dict, rows))}
    file = folder / f"{table.name}.md"
    file.with_suffix(".json").write_text(json.dumps(data, indent=2))
    lines = [
        f"# {table.title}",
        "",
        "Both sides in one run on the same cloud, calls counted in its log.",
        f"{', '.join(f'{name} {number}' for name, number in table.versions.items())}; {busy()}.",
        "",
        table.legend,
        table.head,
        RULE,
        *map(line, rows),
        "",
    ]
    file.write_text("\n".join(lines))
    return file


def line(row: Row) -> str:
    ratio = f"{row.ratio:.1f} ({row.cpu_ratio:.1f})" if row.ratio and row.cpu_ratio else ""
    notes = "; ".join(note for note in (row.ours.note, row.peer.note if row.peer else "", row.note) if note)
    return f"| {row.case} | {_numbers(row.ours)} | {_numbers(row.peer)} | {ratio} | {notes} |"


def _numbers(side: Optional[Side]) -> str:
    if side is None:
        return " | | | | | "
    return (
        f"{side.seconds:.2f} | {side.cpu:.2f} | {side.calls} | {side.polls or ''} | {side.tags or ''} | {side.mib:.0f}"
    )


def as_dict(row: Row) -> dict[str, object]:
    return {**dataclasses.asdict(row), "ratio": row.ratio, "cpu_ratio": row.cpu_ratio}


def busy() -> str:
    """How much else this machine has to do: seconds mean little where more wants to run than there are processors."""
    return f"{os.cpu_count()} processors, load {os.getloadavg()[1]:.1f} over the last five minutes"
