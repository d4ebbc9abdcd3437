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
import signal
import sys
import threading
import traceback
from ipaddress import IPv4Network
from pathlib import Path
from typing import NoReturn

from .. import inside_api, rpc, wire
from ..http_server import Server
from ..memory import MemoryMachines
from ..ranges import Ranges
from . import clouds, seed
from .control import Control
from .fleet import Fleet
from .layout import HOST, PATHS, SERVICES, Layout, url
from .settings import SERVICE_USER, Settings

_SUBNET = IPv4Network("10.64.0.0/16")  # without guests, on no link


def arguments(argv: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.sandbox.openstack.server", description=__doc__)
    parser.add_argument("--dir", type=Path, required=True, help="an empty folder of ours")
    parser.add_argument("--template", type=Path, required=True, help="the prepared state")
    parser.add_argument("--environment", type=Path, required=True, help="where the services are installed")
    parser.add_argument("--subnet-cidr", type=IPv4Network, default=_SUBNET, help="the guests' subnet")
    parser.add_argument("--clouds-file", type=Path, required=True, help="clouds.yaml, an empty file of ours")
    parser.add_argument("--facts", type=Path, required=True, help="JSON of variables, written when all is ready")
    behind = parser.add_mutually_exclusive_group(required=True)
    behind.add_argument("--machines-socket", help="the supervisor's socket: real guests")
    behind.add_argument("--no-guests", action="store_true", help="servers in memory only, and no need for root")
    return parser.parse_args(argv)


def start(options: argparse.Namespace) -> tuple[Fleet, dict[str, str]]:
    """Start the services on a copy of the prepared state; returns them with everybody's passwords."""
    layout = Layout(options.dir / "state")
    shutil.copytree(options.template, layout.dir)
    fleet = Fleet(layout, options.environment, options.machines_socket or _serve_memory(options.dir))
    passwords = clouds.new_passwords()
    Settings(layout, options.environment, fleet.ports, passwords[SERVICE_USER]).write()
    endpoints = {kind: url(service, fleet.ports[service]) for service, kind in SERVICES.items()}
    inside = {
        kind: inside_api.url(fleet.ports[service], PATHS.get(service, ""))
        for service, kind in SERVICES.items()
        if options.machines_socket
    }
    asked = {"dir": str(layout.dir), "endpoints": endpoints, "inside": inside, "passwords": passwords}
    fleet.run("python", "-m", "tests.sandbox.openstack.adopt", stdin=json.dumps(asked))
    for service in SERVICES:
        fleet.start(service)
    clouds.write(options.clouds_file, fleet.ports["keystone"], passwords)
    return fleet, passwords


def _serve_memory(folder: Path) -> str:
    """Stand in for the supervisor, without guests; returns the path of the socket."""
    path = folder / "machines"
    threading.Thread(target=rpc.serve, args=(wire.listen(path), MemoryMachines()), daemon=True).start()
    return str(path)


def _pool(ranges: Ranges, options: argparse.Namespace) -> tuple[str, str]:
    """The private addresses that servers get: without guests nobody else uses the subnet."""
    return (str(ranges.subnet[16]), str(ranges.subnet[-2])) if options.no_guests else ranges.openstack_pool


def _end(fleet: Fleet, status: int = 0) -> NoReturn:
    """End, and the services first, as the supervisor's PID namespace does it where there is one."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # asked twice, this would wait for itself
    for service in SERVICES:
        fleet.kill(service)
    os._exit(status)


def main(argv: list[str]) -> int:
    """Entry point."""
    options = arguments(argv)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s: %(message)s")
    os.umask(0o077)
    server = Server(0)
    fleet, passwords = start(options)
    if options.no_guests:
        signal.signal(signal.SIGTERM, lambda *_: _end(fleet))
    try:
        ranges = Ranges(options.subnet_cidr)
        fleet.await_ready(["keystone", "neutron"])
        admin = clouds.connect("haven-admin", fleet.ports["keystone"], passwords)
        seed.networks(admin, ranges.subnet, _pool(ranges, options), ranges.openstack_public)
        fleet.await_ready(SERVICES)
    except Exception:
        # To the supervisor's log: the services' own go with the sandbox.
        print(fleet.errors(), file=sys.stderr, flush=True)
        if options.no_guests:
            traceback.print_exc()
            _end(fleet, 1)
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
