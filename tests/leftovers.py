"""What a suite left on the sandbox's OpenStack: `python -m tests.leftovers` lists it, and fails if there is any."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Collection

from openstack.config import OpenStackConfig
from openstack.connection import Connection

CLOUDS = ("haven", "haven-tiny")
# Seconds: OpenStack goes on deleting after it said yes.
PATIENCE = 30.0


def resources(clouds_yaml: str) -> set[str]:
    """All that the users' projects have and that was not there at first, as "cloud: kind name (id)"."""
    return {f"{cloud}: {line}" for cloud in CLOUDS for line in _of_project(clouds_yaml, cloud)}


def _of_project(clouds_yaml: str, cloud: str) -> list[str]:
    config = OpenStackConfig(config_files=[clouds_yaml], load_envvars=False).get_one(cloud)
    connection = Connection(config=config)
    own = {"project_id": connection.current_project_id}
    listings = {
        "server": connection.compute.servers(),
        "keypair": connection.compute.keypairs(),
        "volume": connection.block_storage.volumes(),
        # That of the router was there at first.
        "port": (each for each in connection.network.ports(**own) if not each.device_owner.startswith("network:")),
        "floating ip": connection.network.ips(**own),
        # neutron makes the one called default.
        "security group": (each for each in connection.network.security_groups(**own) if each.name != "default"),
    }
    return [f"{kind} {each.name} ({each.id})" for kind, found in listings.items() for each in found]


def explained(clouds_yaml: str, found: Collection[str]) -> str:
    """What was found, with what nova says of the servers among it: whose they are and what they wait for."""
    told = sorted(found)
    for cloud in CLOUDS:
        config = OpenStackConfig(config_files=[clouds_yaml], load_envvars=False).get_one(cloud)
        for server in Connection(config=config).compute.servers():
            state = (server.status, server.task_state, server.created_at, server.metadata, server.fault)
            told.append(f"{server.id}: {state}")
    return "\n".join(told)


def remaining(clouds_yaml: str, before: Collection[str] = ()) -> set[str]:
    """What is there and was not before, once OpenStack had the time to delete it."""
    deadline = time.monotonic() + PATIENCE
    while (found := resources(clouds_yaml).difference(before)) and time.monotonic() < deadline:
        time.sleep(1)
    return found


def main() -> None:
    found = remaining(os.environ["OS_CLIENT_CONFIG_FILE"])
    print(explained(os.environ["OS_CLIENT_CONFIG_FILE"], found) if found else "Nothing is left on OpenStack.")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
