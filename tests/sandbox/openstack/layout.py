# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the services keep what, and which there are. Standard library only: both environments read this."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
# While this file is there, volumes stay as they are when they are asked for.
HOLD_VOLUMES = "hold-volumes"
REGION = "RegionOne"
# The region whose services are found at their addresses for the jump host and the laptop (inside_api.py).
INSIDE = "Inside"

# In the order in which they are of use to each other, by the type the catalogue lists them under.
SERVICES = {
    "keystone": "identity",
    "glance": "image",
    "placement": "placement",
    "neutron": "network",
    "nova": "compute",
    "cinder": "block-storage",
}
PATHS = {"keystone": "/v3", "nova": "/v2.1", "cinder": "/v3"}


@dataclass(frozen=True)
class Layout:
    """The services' folder; a copy of it works once adopt.py and settings.py have been there."""

    dir: Path

    @property
    def etc(self) -> Path:
        """Configuration."""
        return self.dir / "etc"

    @property
    def logs(self) -> Path:
        """What the services say, a file each."""
        return self.dir / "log"

    @property
    def access_log(self) -> Path:
        """One JSON line a request, of all services."""
        return self.logs / "access.jsonl"

    @property
    def fernet_keys(self) -> Path:
        """What keystone signs tokens with."""
        return self.dir / "fernet"

    @property
    def credential_keys(self) -> Path:
        """What keystone encrypts credentials with."""
        return self.dir / "credentials"

    @property
    def entry_points(self) -> Path:
        """A folder for the services' module path that declares our plugins."""
        return self.dir / "python"

    @property
    def images(self) -> Path:
        """Glance's files."""
        return self.dir / "images"

    def config(self, service: str) -> Path:
        """A service's configuration file."""
        return self.etc / f"{'glance-api' if service == 'glance' else service}.conf"

    def policy(self, service: str) -> Path:
        """What differs from a service's own rules of who may do what."""
        return self.etc / f"{service}-policy.json"

    def database(self, name: str) -> Path:
        """A database's file."""
        return self.dir / "db" / f"{name}.sqlite"

    def make(self) -> None:
        """Make the folders, for their owner only."""
        folders = [self.etc, self.logs, self.images, self.fernet_keys, self.credential_keys, self.entry_points]
        folders += [self.dir / name for name in ("db", "nova/instances", "neutron", "cinder", "lock")]
        folders += [self.dir / name for name in ("images_staging", "images_tasks")]
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)


def url(service: str, port: int) -> str:
    """A service's endpoint in the catalogue."""
    return f"http://{HOST}:{port}{PATHS.get(service, '')}"
