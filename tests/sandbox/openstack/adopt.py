# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m tests.sandbox.openstack.adopt`: make a copy of the prepared state one's own, in the services' environment.

Reads JSON: {dir, endpoints: {type: URL}, inside: {type: URL}, passwords: {user: password}}; inside are those of the
region INSIDE. The databases are changed directly, because keystone would need a start of its own before the start.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import uuid
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import bcrypt

from . import keys
from .layout import INSIDE, Layout

_ROUNDS = 4


def adopt(
    layout: Layout, endpoints: Mapping[str, str], inside: Mapping[str, str], passwords: Mapping[str, str]
) -> None:
    """Give the copy its addresses, passwords and keys."""
    keys.renew(layout.fernet_keys)
    with closing(sqlite3.connect(layout.database("keystone"))) as database, database:
        for kind, url in endpoints.items():
            database.execute(
                "UPDATE endpoint SET url = ? WHERE service_id = (SELECT id FROM service WHERE type = ?)", (url, kind)
            )
        if inside:
            database.execute("INSERT INTO region (id, description, extra) VALUES (?, '', '{}')", (INSIDE,))
        for kind, url in inside.items():
            database.execute(
                "INSERT INTO endpoint (id, interface, service_id, url, extra, enabled, region_id)"
                " SELECT ?, 'public', id, ?, '{}', 1, ? FROM service WHERE type = ?",
                (uuid.uuid4().hex, url, INSIDE, kind),
            )
        for user, password in passwords.items():
            _set_password(database, user, password)
    with closing(sqlite3.connect(layout.database("glance"))) as database, database:
        for row, value in database.execute("SELECT id, value FROM image_locations").fetchall():
            moved = f"file://{layout.images / Path(value).name}"
            database.execute("UPDATE image_locations SET value = ? WHERE id = ?", (moved, row))


def _set_password(database: sqlite3.Connection, user: str, password: str) -> None:
    hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(_ROUNDS)).decode()
    changed = database.execute(
        "UPDATE password SET password_hash = ? WHERE local_user_id = (SELECT id FROM local_user WHERE name = ?)",
        (hashed, user),
    )
    if changed.rowcount != 1:
        raise LookupError(f"keystone has no user {user} with one password.")


def main() -> None:
    """Entry point."""
    asked = json.load(sys.stdin)
    adopt(Layout(Path(asked["dir"])), asked["endpoints"], asked["inside"], asked["passwords"])


if __name__ == "__main__":
    main()
