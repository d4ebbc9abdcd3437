# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m tests.sandbox.openstack.prepare --dir STATE --environment FOLDER`: make a cloud without networks.

Databases, users, flavors and images take half a minute to make and little time to copy.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ..errors import SandboxError
from . import clouds, keys, seed
from .fleet import Fleet
from .layout import REGION, SERVICES, Layout, url
from .settings import Settings


def prepare(fleet: Fleet) -> None:
    """Fill the layout, and leave nothing running."""
    layout, passwords = fleet.layout, clouds.new_passwords()
    layout.make()
    Settings(layout, fleet.environment, fleet.ports, passwords["services"]).write()
    try:
        with ThreadPoolExecutor() as pool:
            for made in [pool.submit(step, fleet, passwords) for step in (_identity, _nova, _others, _neutron)]:
                made.result()
        _fill(fleet, passwords)
    finally:
        for service in SERVICES:
            fleet.kill(service)
    for log in layout.logs.iterdir():
        log.unlink()


def _identity(fleet: Fleet, passwords: dict[str, str]) -> None:
    layout = fleet.layout
    for folder in (layout.fernet_keys, layout.credential_keys):
        keys.renew(folder)
    manage = ["keystone-manage", "--config-file", str(layout.config("keystone"))]
    fleet.run(*manage, "db_sync")
    address = url("keystone", fleet.ports["keystone"])
    urls = [f"--bootstrap-{interface}-url={address}" for interface in ("public", "internal", "admin")]
    region = f"--bootstrap-region-id={REGION}"
    fleet.run(*manage, "bootstrap", f"--bootstrap-password={passwords['admin']}", region, *urls)
    fleet.start("keystone")
    fleet.await_ready(["keystone"])
    admin = clouds.connect("haven-admin", fleet.ports["keystone"], passwords)
    seed.identity(admin, fleet.ports, passwords)


def _nova(fleet: Fleet, _passwords: dict[str, str]) -> None:
    manage = ["nova-manage", "--config-file", str(fleet.layout.config("nova"))]
    fleet.run(*manage, "api_db", "sync")
    fleet.run(*manage, "cell_v2", "map_cell0", "--database_connection", "sqlite:///db/nova_cell0.sqlite?timeout=60")
    fleet.run(*manage, "cell_v2", "create_cell", "--name=cell1")
    fleet.run(*manage, "db", "sync")


def _others(fleet: Fleet, _passwords: dict[str, str]) -> None:
    fleet.run("glance-manage", "--config-file", str(fleet.layout.config("glance")), "db_sync")
    fleet.run("placement-manage", "--config-file", str(fleet.layout.config("placement")), "db", "sync")
    fleet.run("cinder-manage", "--config-file", str(fleet.layout.config("cinder")), "db", "sync")


def _neutron(fleet: Fleet, _passwords: dict[str, str]) -> None:
    config = str(fleet.layout.config("neutron"))
    fleet.run("python", "-m", "tests.sandbox.openstack.schema", config)
    fleet.run("neutron-db-manage", "--config-file", config, "stamp", "heads")


def _fill(fleet: Fleet, passwords: dict[str, str]) -> None:
    for service in SERVICES:
        fleet.start(service)
    port = fleet.ports["keystone"]
    steps: dict[str, Callable[[], None]] = {
        "glance": lambda: seed.images(connect("haven-admin"), connect("haven-tiny")),
        "nova": lambda: seed.flavors(connect("haven-admin")),
        "cinder": lambda: seed.volume_type(connect("haven-admin")),
    }

    def connect(cloud: str) -> object:
        return clouds.connect(cloud, port, passwords)

    for service, step in steps.items():
        fleet.await_ready([service])
        step()
    fleet.await_ready(SERVICES)
    seed.quotas(connect("haven-admin"))


def main() -> int:
    """Entry point; template.py starts it in a PID namespace of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--environment", type=Path, required=True)
    options = parser.parse_args()
    try:
        prepare(Fleet(Layout(options.dir), options.environment))
    except SandboxError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
