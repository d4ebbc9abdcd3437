# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The jump host's image: what the role jump_host makes of a plain guest, kept as a layer until the role changes."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from . import gate
from .errors import SandboxError
from .paths import Paths, repository
from .processes import run

if TYPE_CHECKING:
    from .guests import Guests

BASE = "gate-base"

_ID = "gate-before"
_PLAYBOOK = Path(__file__).with_name("gate.yml")
_READY_WITHIN_S = 120.0
_ROLE_WITHIN_S = 400.0
_APT = "etc/apt/apt.conf.d/99build"
# What belongs to the machine that the role was applied to, not to what it made: identity, logs, downloads, leftovers.
_LEFT_OUT = (
    _APT,
    *("etc/machine-id", "etc/hostname", "etc/hosts", "etc/resolv.conf"),
    *("home/debian", "root", "run", "tmp", "var/cache", "var/lib/apt/lists", "var/lib/cloud"),
    *("var/lib/dbus/machine-id", "var/lib/systemd/random-seed", "var/lib/systemd/timers", "var/log", "var/tmp"),
)


@dataclass(frozen=True)
class Access:
    """How the role gets to the guest, and the guest to Debian's packages: addresses, private keys, the proxy's URL."""

    inside: str
    outside: str
    key: Path
    host_key: Path
    proxy: str


def folder(cache: Path, base: Sequence[Path]) -> Path:
    """Where the layer lies; the name changes with all it is made of, so that a changed role is applied anew."""
    digest = hashlib.sha256("".join(layer.name for layer in base).encode())
    role, module = repository() / "roles" / "jump_host", repository() / "plugins" / "modules" / "files.py"
    for path in [*sorted(role.rglob("*")), module, _PLAYBOOK, Path(gate.__file__), Path(__file__)]:
        if path.is_file() and path.name != "README.md":
            digest.update(f"{path.name}\0{path.stat().st_mode}\0".encode() + path.read_bytes())
    return cache / f"layer-gate-{digest.hexdigest()[:10]}"


def make(guests: Guests, add_outside_leg: Callable[[str], None], access: Access, layer: Path, work: Path) -> None:
    """Apply the role to a plain guest over SSH, as anybody would, and keep what it changed as that layer.

    work: a folder for Ansible's own files, with a path short enough for sockets. SandboxError says what failed.
    """
    public_key = Paths.public(access.key).read_text(encoding="ascii").strip()
    config = {"ssh_keys": {"ed25519_private": access.host_key.read_text(encoding="ascii")}, "ssh_deletekeys": True}
    apt = f'Acquire::http::Proxy "{access.proxy}";\nAcquire::https::Proxy "{access.proxy}";\n'
    config["write_files"] = [{"path": f"/{_APT}", "content": apt}]
    user_data = b"#cloud-config\n" + json.dumps(config).encode()
    guests.create(_ID, BASE, access.inside, user_data, [public_key], gate.NAME, [])
    try:
        add_outside_leg(_ID)
        guests.start(_ID, "")
        _await_ready(guests)
        _apply(access, public_key, work)
        guests.stop(_ID)
        _keep(guests.changes(_ID), layer)
    finally:
        guests.destroy(_ID)


def _await_ready(guests: Guests) -> None:
    deadline = time.monotonic() + _READY_WITHIN_S
    while guests.state(_ID) != "ready":
        if time.monotonic() > deadline:
            raise SandboxError(f"The guest that becomes the jump host does not answer: {guests.console(_ID)[-600:]}")
        time.sleep(0.1)


def _apply(access: Access, public_key: str, work: Path) -> None:
    work.mkdir(parents=True, exist_ok=True)
    known, inventory, variables = work / "known_hosts", work / "inventory.json", work / "variables.json"
    known.write_text(f"gate {Paths.public(access.host_key).read_text(encoding='ascii')}", encoding="ascii")
    options = f"-F /dev/null -o UserKnownHostsFile={known} -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes"
    host = {
        "ansible_host": access.outside,
        "ansible_user": "debian",
        "ansible_ssh_private_key_file": str(access.key),
        "ansible_ssh_common_args": f"{options} -o HostKeyAlias=gate",
    }
    inventory.write_text(json.dumps({"all": {"hosts": {"gate": host}}}), encoding="utf-8")
    variables.write_text(json.dumps(gate.role_variables(public_key)), encoding="utf-8")
    settings = work / "ansible.cfg"  # or the user's would be read
    settings.touch()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
        "ANSIBLE_CONFIG": str(settings),
        "ANSIBLE_HOME": str(work),
        "ANSIBLE_COLLECTIONS_PATH": str(repository() / ".cache"),
        "ANSIBLE_PIPELINING": "true",
    }
    command = [sys.executable, "-m", "ansible", "playbook", "-i", str(inventory), "-e", f"@{variables}", str(_PLAYBOOK)]
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=_ROLE_WITHIN_S, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        print(done.stdout, done.stderr, flush=True)  # to the log
        raise SandboxError("The role jump_host did not make the sandbox's jump host: the reason is in supervisor.log.")


def _keep(changes: Path, layer: Path) -> None:
    draft = layer.with_name(f"{layer.name}.draft")
    run("rm", "-rf", draft)
    run("cp", "-a", changes, draft, timeout=300)
    for name in _LEFT_OUT:
        run("rm", "-rf", draft / name)
    for host_key in (draft / "etc/ssh").glob("ssh_host_*"):
        host_key.unlink()
    draft.rename(layer)
