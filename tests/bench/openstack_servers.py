# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many servers at once: as many as nova makes in a minute, and copies of them in its database."""

from __future__ import annotations

import sqlite3
import time
import uuid
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Optional

from . import openstack_wishes as wishes

_WITHIN_S = 900.0
# What nova's listing of servers reads, beside the table of servers itself.
_OF_SERVERS = (
    "instance_extra",
    "instance_info_caches",
    "instance_metadata",
    "instance_system_metadata",
    "block_device_mapping",
)


def make(connection: Any, name: str, number: int, metadata: Optional[Mapping[str, str]] = None) -> None:
    """Make servers with one request, called name-1 and following where there are many, and wait until all run."""
    compute = connection.compute
    image = connection.image.find_image(wishes.IMAGE, ignore_missing=False)
    flavor = compute.find_flavor(wishes.FLAVOR, ignore_missing=False)
    network = connection.network.find_network(wishes.NETWORK, ignore_missing=False)
    body = {
        "name": name,
        "imageRef": image.id,
        "flavorRef": flavor.id,
        "networks": [{"uuid": network.id}],
        "metadata": dict(metadata or {}),
        "min_count": number,
        "max_count": number,
    }
    compute.post("/servers", json={"server": body}).raise_for_status()
    deadline = time.monotonic() + _WITHIN_S
    while True:
        found = compute.get("/servers?status=ACTIVE").json()["servers"]
        if len(found) >= number:
            return
        if time.monotonic() > deadline:
            raise SystemExit(f"nova made {len(found)} of {number} servers within {_WITHIN_S:.0f} s.")
        time.sleep(0.2)


def copy(state: Path, made: int, have: int, wanted: int) -> None:
    """Copy the servers node-1 to node-<made> in nova's databases, which have more copies already, until there are as
    many as wanted."""
    with closing(sqlite3.connect(state / "db/nova_cell1.sqlite", timeout=60)) as cell, cell:
        known = dict(cell.execute("SELECT display_name, uuid FROM instances WHERE deleted = 0").fetchall())
        copies = [
            (known[f"node-{number % made + 1}"], str(uuid.uuid4()), f"node-{number + 1}")
            for number in range(have, wanted)
        ]
        for original, copied, name in copies:
            _copy_rows(cell, "instances", "uuid", original, {"uuid": copied, "display_name": name, "hostname": name})
            for table in _OF_SERVERS:
                _copy_rows(cell, table, "instance_uuid", original, {"instance_uuid": copied})
    with closing(sqlite3.connect(state / "db/nova_api.sqlite", timeout=60)) as api, api:
        for original, copied, _name in copies:
            for table in ("instance_mappings", "request_specs"):
                _copy_rows(api, table, "instance_uuid", original, {"instance_uuid": copied})


def _copy_rows(database: sqlite3.Connection, table: str, key: str, value: str, changed: Mapping[str, str]) -> None:
    """Copy a server's rows of a table, with new numbers and ids of their own."""
    found = database.execute(f"SELECT * FROM {table} WHERE {key} = ?", (value,))  # noqa: S608 -- names of ours
    columns = [column[0] for column in found.description]
    for row in found.fetchall():
        new = {**dict(zip(columns, row)), **changed}
        del new["id"]
        if "uuid" in new and "uuid" not in changed:
            new["uuid"] = str(uuid.uuid4())
        marks = ", ".join("?" * len(new))
        database.execute(f"INSERT INTO {table} ({', '.join(new)}) VALUES ({marks})", tuple(new.values()))  # noqa: S608
