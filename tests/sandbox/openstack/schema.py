# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m tests.sandbox.openstack.schema CONFIG`: make neutron's tables, in the services' environment.

From its models, because its migrations are not made for SQLite.
"""

from __future__ import annotations

import sys

import sqlalchemy
from neutron.conf.db import migration_cli  # noqa: F401 - registers what the configuration has
from neutron.db.migration.models import head
from oslo_config import cfg


def main(config: str) -> None:
    """Make them in the database that the configuration names."""
    from oslo_db import options

    options.set_defaults(cfg.CONF)
    cfg.CONF(["--config-file", config], project="neutron")
    head.get_metadata().create_all(sqlalchemy.create_engine(cfg.CONF.database.connection))


if __name__ == "__main__":
    main(sys.argv[1])
