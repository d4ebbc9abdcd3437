# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images that our own roles make of a plain guest, kept as a layer until the roles change."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import SandboxError
from .paths import Paths, repository
from .processes import run

if TYPE_CHECKING:
    from .guests import Guests

APT = "etc/apt/apt.conf.d/99build"

_READY_WITHIN_S = 120.0
_ROLES_WITHIN_S = 400.0


@dataclass(frozen=True)
class Access:
    """How the roles get to the guest, and the guest to packages: addresses, private keys, the proxy, its authority."""

    inside: str
    outside: str
    key: Path
    host_key: Path
    proxy: str
    proxy_ca: Path
    add_outside_leg: Callable[[str], None]

    def traces(self) -> list[str]:
        """What shows that a file belongs to this sandbox: the proxy's address, its authority, public keys."""
        proxy = urllib.parse.urlsplit(self.proxy).hostname or self.proxy
        authority = self.proxy_ca.read_text(encoding="ascii").splitlines()[1]
        keys = [Paths.public(key).read_text(encoding="ascii").split()[1] for key in (self.key, self.host_key)]
        return [proxy, authority, *keys]

    @property
    def public_key(self) -> str:
        """Who may log in."""
        return Paths.public(self.key).read_text(encoding="ascii").strip()


def digest(base: Sequence[Path], sources: Iterable[Path]) -> str:
    """A short name for all that an image is made of: the layers below, and every file in these files and folders."""
    found = hashlib.sha256("".join(layer.name for layer in base).encode())
    for source in sources:
        for path in [source] if source.is_file() else sorted(source.rglob("*")):
            if path.is_file() and path.name != "README.md" and "__pycache__" not in path.parts:
                found.update(f"{path.name}\0{path.stat().st_mode}\0".encode() + path.read_bytes())
    return found.hexdigest()[:10]


@dataclass(frozen=True)
class Making:
    """What an image is made of: the guest's name, its image, the playbook that is applied to it and its variables."""

    name: str
    base: str
    playbook: Path
    variables: Mapping[str, Any]


@contextmanager
def applied(guests: Guests, access: Access, making: Making, work: Path) -> Iterator[Path]:
    """What a playbook changed on a plain guest, applied over SSH as anybody would; the guest goes with the block.

    work: a folder for Ansible's own files, with a path short enough for sockets. SandboxError says what failed.
    """
    config = {"ssh_keys": {"ed25519_private": access.host_key.read_text(encoding="ascii")}, "ssh_deletekeys": True}
    apt = f'Acquire::http::Proxy "{access.proxy}";\nAcquire::https::Proxy "{access.proxy}";\n'
    config["write_files"] = [{"path": f"/{APT}", "content": apt}]
    user_data = b"#cloud-config\n" + json.dumps(config).encode()
    identity = f"{making.name}-before"
    guests.create(identity, making.base, access.inside, user_data, [access.public_key], making.name, [])
    try:
        access.add_outside_leg(identity)
        guests.start(identity, "")
        _await_ready(guests, identity)
        _apply(access, making, work)
        guests.stop(identity)
        yield guests.changes(identity)
    finally:
        guests.destroy(identity)


def keep(changes: Path, layer: Path, copy: Callable[[Path, Path], None], traces: Sequence[str] = ()) -> None:
    """Make a layer of what was changed. copy: from there into a draft that does not exist, what may be in the layer.

    SandboxError if one of the traces is in a file: other sandboxes will use the layer.
    """
    draft = layer.with_name(f"{layer.name}.draft")
    run("rm", "-rf", draft)
    copy(changes, draft)
    if found := files_with(draft, traces):
        raise SandboxError(f"{layer.name} would hold what belongs to one sandbox, in {', '.join(found[:5])}.")
    draft.rename(layer)


def files_with(folder: Path, texts: Sequence[str]) -> list[str]:
    """The files below a folder that hold one of these texts."""
    if not texts:
        return []
    patterns = "\n".join(texts).encode()
    command = ["grep", "-rlaF", "-f", "-", str(folder)]
    done = subprocess.run(
        command, input=patterns, stdout=subprocess.PIPE, env={**os.environ, "LC_ALL": "C"}, check=False
    )
    if done.returncode > 1:
        raise SandboxError(f"The files of {folder} could not be searched.")
    return [str(Path(os.fsdecode(line)).relative_to(folder)) for line in done.stdout.splitlines()]


def _await_ready(guests: Guests, identity: str) -> None:
    deadline = time.monotonic() + _READY_WITHIN_S
    while guests.state(identity) != "ready":
        if time.monotonic() > deadline:
            raise SandboxError(f"The guest {identity} does not answer: {guests.console(identity)[-600:]}")
        time.sleep(0.1)


def _apply(access: Access, making: Making, work: Path) -> None:
    work.mkdir(parents=True, exist_ok=True)
    known, inventory, given = work / "known_hosts", work / "inventory.json", work / "variables.json"
    known.write_text(f"guest {Paths.public(access.host_key).read_text(encoding='ascii')}", encoding="ascii")
    options = f"-F /dev/null -o UserKnownHostsFile={known} -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes"
    host = {
        "ansible_host": access.outside,
        "ansible_user": "debian",
        "ansible_ssh_private_key_file": str(access.key),
        "ansible_ssh_common_args": f"{options} -o HostKeyAlias=guest",
    }
    inventory.write_text(json.dumps({"all": {"hosts": {"guest": host}}}), encoding="utf-8")
    given.write_text(json.dumps(dict(making.variables)), encoding="utf-8")
    settings = work / "ansible.cfg"  # or the user's would be read
    settings.touch()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
        "ANSIBLE_CONFIG": str(settings),
        "ANSIBLE_HOME": str(work),
        "ANSIBLE_COLLECTIONS_PATH": str(repository() / ".cache"),
        "ANSIBLE_PIPELINING": "true",
    }
    command = [
        sys.executable,
        "-m",
        "ansible",
        "playbook",
        "-i",
        str(inventory),
        "-e",
        f"@{given}",
        str(making.playbook),
    ]
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=_ROLES_WITHIN_S, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        print(done.stdout, done.stderr, flush=True)  # to the log
        raise SandboxError(f"{making.playbook.name} did not make the image it should: the reason is in supervisor.log.")
