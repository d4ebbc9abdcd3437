# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a sandbox keeps its files, and how its environment is written."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Paths:
    """The files of one sandbox; `dir` is its folder, which nothing else uses."""

    dir: Path

    @property
    def env(self) -> Path:
        """Variables to source; there is one while the sandbox is up."""
        return self.dir / "env"

    @property
    def process(self) -> Path:
        """Which processes the sandbox is: see keeper."""
        return self.dir / "process.json"

    @property
    def plan(self) -> Path:
        """What was found out before the namespaces were made: see plan.py."""
        return self.dir / "plan.json"

    @property
    def log(self) -> Path:
        """What the supervisor and its helpers say; it stays after the end."""
        return self.dir / "supervisor.log"

    @property
    def lock(self) -> Path:
        """Held while somebody takes the sandbox up or down."""
        return self.dir / "lock"

    @property
    def socket(self) -> Path:
        """Where the supervisor answers (client.py)."""
        return self.dir / "machines.sock"

    @property
    def guests(self) -> Path:
        """Disks and consoles of the guests."""
        return self.dir / "guests"

    @property
    def volumes(self) -> Path:
        """Data disks of the guests."""
        return self.dir / "volumes"

    @property
    def key(self) -> Path:
        """The researcher's private key, which the gate accepts."""
        return self.dir / "id_ed25519"

    @property
    def gate_host_key(self) -> Path:
        """The gate's private host key."""
        return self.dir / "gate_host_key"

    @property
    def proxy(self) -> Path:
        """The egress proxy's configuration and logs."""
        return self.dir / "proxy"

    @property
    def proxy_ca(self) -> Path:
        """The certificate of the authority whose certificates the egress proxy shows."""
        return self.dir / "proxy-ca.pem"

    @property
    def inside(self) -> Path:
        """The certificate of the APIs on the private network, with its key."""
        return self.dir / "inside.pem"

    @property
    def inside_ca(self) -> Path:
        """The authority that vouches for it."""
        return self.dir / "inside-ca.pem"

    @property
    def ec2(self) -> Path:
        """The EC2 API's files."""
        return self.dir / "ec2"

    @property
    def openstack(self) -> Path:
        """The OpenStack services' files; they own it."""
        return self.dir / "openstack"

    @property
    def clouds(self) -> Path:
        """clouds.yaml, for OpenStack's clients."""
        return self.dir / "clouds.yaml"

    @property
    def internet(self) -> Path:
        """What the stand-in hosts serve."""
        return self.dir / "internet"

    @property
    def internet_ca(self) -> Path:
        """The authority that vouches for them."""
        return self.dir / "internet-ca.pem"

    @property
    def laptop(self) -> Path:
        """What the laptop outside of the clouds has of its own: see internet.py."""
        return self.dir / "laptop"

    @staticmethod
    def public(key: Path) -> Path:
        """The public half of a key."""
        return key.with_name(key.name + ".pub")

    def prepare(self) -> None:
        """Make the folder, for its owner only."""
        self.dir.mkdir(parents=True, exist_ok=True, mode=0o755)
        for folder in (self.guests, self.volumes, self.proxy, self.ec2):
            folder.mkdir(exist_ok=True, mode=0o755)
        for folder in (self.openstack, self.internet, self.laptop):
            folder.mkdir(exist_ok=True, mode=0o700)

    def clear(self) -> None:
        """Remove all a sandbox that has ended left in its folder, but its log."""
        for path in (self.guests, self.volumes, self.proxy, self.ec2, self.openstack, self.internet, self.laptop):
            shutil.rmtree(path, ignore_errors=True)
        for path in (self.env, self.socket, self.plan, self.process, self.clouds):
            path.unlink(missing_ok=True)
        for path in (self.proxy_ca, self.inside, self.inside_ca, self.internet_ca):
            path.unlink(missing_ok=True)
        for key in (self.key, self.gate_host_key):
            key.unlink(missing_ok=True)
            self.public(key).unlink(missing_ok=True)


def sandbox_dir(given: str | None) -> Path:
    """The sandbox's folder: what was given, HAVEN_SANDBOX_DIR, or build/sandbox of this checkout."""
    chosen = given or os.environ.get("HAVEN_SANDBOX_DIR") or _REPOSITORY / "build" / "sandbox"
    return Path(chosen).absolute()


def image_cache() -> Path:
    """Where images are kept between runs: below HAVEN_CACHE_DIR, or build/cache of this checkout."""
    return _cache() / "images"


def openstack_cache() -> Path:
    """Where OpenStack's services and their prepared state are kept between runs."""
    return _cache() / "openstack"


def _cache() -> Path:
    return Path(os.environ.get("HAVEN_CACHE_DIR") or _REPOSITORY / "build" / "cache").absolute()


def repository() -> Path:
    """The root of this checkout."""
    return _REPOSITORY


def write_env(path: Path, variables: Mapping[str, str]) -> None:
    """Write a file to source, readable by its owner only, in one step."""
    draft = path.with_name(path.name + ".draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.writelines(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())
    draft.rename(path)


def read_env(path: Path) -> dict[str, str]:
    """The variables of a file that write_env wrote."""
    words = shlex.split(path.read_text(encoding="utf-8"))
    return dict(word.split("=", 1) for word in words if word != "export")
