# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SQLite under services that were written for a database server."""

from __future__ import annotations

from typing import Any

import sqlalchemy
from oslo_db.sqlalchemy import enginefacade
from sqlalchemy.engine import Engine

_WRITER = {"haven_writer": True}
_BUSY_MS = 60_000


def tune() -> None:
    """Let readers and a writer work at once, and writers wait for each other. Before the first connection.

    A transaction that has read before it writes gets 'database is locked' at once when another has written
    meanwhile, and no time-out helps; so those that oslo.db calls writers say so from the start.
    """
    sqlalchemy.event.listen(Engine, "connect", _prepare)
    sqlalchemy.event.listen(Engine, "begin", _begin)  # runs before oslo.db's own
    factory = enginefacade._TransactionFactory
    make_session, make_connection = factory._create_session, factory._create_connection

    def session(self: Any, mode: Any, bind: Any = None) -> Any:
        made = make_session(self, mode, bind)
        if mode is enginefacade._WRITER and bind is None:  # else the connection it is bound to is marked
            made.bind = made.bind.execution_options(**_WRITER)
        return made

    def connection(self: Any, mode: Any) -> Any:
        made = make_connection(self, mode)
        return made.execution_options(**_WRITER) if mode is enginefacade._WRITER else made

    factory._create_session, factory._create_connection = session, connection


def _prepare(connection: Any, _record: Any) -> None:
    connection.execute(f"PRAGMA busy_timeout={_BUSY_MS}")
    connection.execute("PRAGMA journal_mode=WAL")


def _begin(connection: Any) -> None:
    if _WRITER.keys() & connection.get_execution_options().keys() and "in_transaction" not in connection.info:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        connection.info["in_transaction"] = True  # oslo.db would begin again
