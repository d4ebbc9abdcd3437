# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m tests.sandbox.openstack.server`: the OpenStack side of the sandbox; starts the services and keeps them."""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import sys
from ipaddress import IPv4Network
from pathlib import Path

from ..http_server import Server
from ..ranges import Ranges
from . import clouds, seed
from .control import Control
from .fleet import Fleet
from .layout import HOST, SERVICES, Layout, url
from .settings import SERVICE_USER, Settings


def arguments(argv: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.sandbox.openstack.server", description=__doc__)
    parser.add_argument("--dir", type=Path, required=True, help="an empty folder of ours")
    parser.add_argument("--template", type=Path, required=True, help="the prepared state")
    parser.add_argument("--environment", type=Path, required=True, help="where the services are installed")
    parser.add_argument("--machines-socket", required=True, help="the supervisor's socket")
    parser.add_argument("--subnet-cidr", type=IPv4Network, required=True, help="the guests' subnet")
    parser.add_argument("--clouds-file", type=Path, required=True, help="clouds.yaml, an empty file of ours")
    parser.add_argument("--facts", type=Path, required=True, help="JSON of variables, written when all is ready")
    return parser.parse_args(argv)


def start(options: argparse.Namespace) -> tuple[Fleet, dict[str, str]]:
    """Start the services on a copy of the prepared state; returns them with everybody's passwords."""
    layout = Layout(options.dir / "state")
    shutil.copytree(options.template, layout.dir)
    fleet = Fleet(layout, options.environment, options.machines_socket)
    passwords = clouds.new_passwords()
    Settings(layout, options.environment, fleet.ports, passwords[SERVICE_USER]).write()
    endpoints = {kind: url(service, fleet.ports[service]) for service, kind in SERVICES.items()}
    asked = {"dir": str(layout.dir), "endpoints": endpoints, "passwords": passwords}
    fleet.run("python", "-m", "tests.sandbox.openstack.adopt", stdin=json.dumps(asked))
    for service in SERVICES:
        fleet.start(service)
    clouds.write(options.clouds_file, fleet.ports["keystone"], passwords)
    return fleet, passwords


def main(argv: list[str]) -> int:
    """Entry point."""
    options = arguments(argv)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s: %(message)s")
    os.umask(0o077)
    server = Server(0)
    fleet, passwords = start(options)
    try:
        ranges = Ranges(options.subnet_cidr)
        fleet.await_ready(["keystone", "neutron"])
        admin = clouds.connect("haven-admin", fleet.ports["keystone"], passwords)
        seed.networks(admin, ranges.subnet, ranges.openstack_pool, ranges.openstack_public)
        fleet.await_ready(SERVICES)
    except Exception:
        print(fleet.errors(), file=sys.stderr)  # to the supervisor's log: the services' own go with the sandbox
        raise
    control = Control(fleet)
    facts = {
        "OS_CLIENT_CONFIG_FILE": str(options.clouds_file),
        "HAVEN_SANDBOX_OPENSTACK_CONTROL_URL": f"http://{HOST}:{server.server_port}/_control",
        "HAVEN_SANDBOX_OPENSTACK_LOG": str(fleet.layout.access_log),
        **{f"HAVEN_SANDBOX_{service.upper()}_URL": f"http://{HOST}:{port}" for service, port in fleet.ports.items()},
    }
    draft = options.facts.with_name(f"{options.facts.name}.draft")
    draft.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    draft.replace(options.facts)
    server.serve(control)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
