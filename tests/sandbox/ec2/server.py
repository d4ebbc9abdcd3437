# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""python -m tests.sandbox.ec2.server: the EC2 side of the sandbox, in a process of its own."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..http_server import Server
from . import environment

if TYPE_CHECKING:
    from ..machines import Machines
    from .networks import Networks

DEFAULT_SUBNET = "10.64.0.0/16"
DEFAULT_PUBLIC = "198.18.0.0/16"  # set aside for benchmarks (RFC 2544): nobody's real address


def arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.sandbox.ec2.server", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="on 127.0.0.1; 0 takes a free one")
    parser.add_argument(
        "--port-file", type=Path, required=True, help="the port is written here when the server is ready"
    )
    parser.add_argument("--facts", type=Path, help="JSON of variables for clients, written before the port file")
    parser.add_argument("--log", type=Path, required=True, help="the access log")
    parser.add_argument("--dir", type=Path, required=True, help="the sandbox's folder")
    parser.add_argument("--subnet-cidr", default=DEFAULT_SUBNET, help="the default network's range, /16 to /26")
    parser.add_argument("--public-cidr", default=DEFAULT_PUBLIC, help="where public addresses come from")
    parser.add_argument("--boot-s", type=float, default=0.0, help="with --no-guests: how long a machine boots")
    behind = parser.add_mutually_exclusive_group(required=True)
    behind.add_argument("--machines-socket", type=Path, help="the supervisor's socket: real guests")
    behind.add_argument("--no-guests", action="store_true", help="machines in memory only")
    return parser.parse_args(argv)


def machines(options: argparse.Namespace) -> Machines:
    if options.no_guests:
        from ..memory import MemoryMachines

        return MemoryMachines(options.boot_s)
    from ..client import MachinesClient

    return MachinesClient(options.machines_socket)


def write(path: Path, text: str) -> None:
    """Whole or not at all, and for its owner only: the facts hold a secret."""
    partial = path.with_name(f"{path.name}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    partial.replace(path)


def seed(options: argparse.Namespace, port: int) -> tuple[Networks, dict[str, str]]:
    """Fill the account; returns its networks, and what clients need to know."""
    from . import seed as account

    key, secret = account.user()
    networks, subnet = account.network(environment.REGION, options.subnet_cidr)
    for region in [environment.REGION, *([environment.SECOND_REGION] if options.no_guests else [])]:
        account.images(region)
        account.parameters(region)
    return networks, {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": key,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_DEFAULT_REGION": environment.REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "HAVEN_SANDBOX_CONTROL_URL": f"http://127.0.0.1:{port}/_control",
        "HAVEN_SANDBOX_EC2_LOG": str(options.log.resolve()),
        "HAVEN_SANDBOX_SUBNET": subnet,
    }


def main(argv: list[str]) -> None:
    options = arguments(argv)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s: %(message)s")
    server = Server(options.port)
    environment.prepare(server.server_port)  # before the imports below

    from . import models
    from .access_log import AccessLog
    from .api import SandboxEC2
    from .cloud import Cloud
    from .front import Front

    models.install(options.public_cidr)
    cloud = Cloud(machines(options), watch=not options.no_guests)
    SandboxEC2.install(cloud)
    cloud.networks, facts = seed(options, server.server_port)
    if options.facts:
        write(options.facts, json.dumps(facts, indent=2) + "\n")
    write(options.port_file, f"{server.server_port}\n")
    server.serve(Front(cloud, AccessLog(options.log)))


if __name__ == "__main__":
    main(sys.argv[1:])
