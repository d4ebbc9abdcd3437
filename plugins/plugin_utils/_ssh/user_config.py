# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The section of the user's own SSH configuration for our machines. Pure."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional

from ...module_utils._errors import InvalidRequest
from ...module_utils._models import Hop
from ...module_utils._ssh import checks as _checks
from ...module_utils._ssh import files as _files
from ...module_utils._ssh.config import Forward, Machine, Paths
from ...module_utils._ssh.hops import HopLookup, WantedHop, plain, wanted_hops, with_key
from .._settings import STATIC

_FIELDS = frozenset(["name", "id", "address", "port", "host_key", "user", "private_key", "forwards"])


@dataclass(frozen=True)
class Defaults:
    """The defaults for all machines. ``forwards`` are local ports and socket paths; ``public_keys`` are the user's, for
    hops and machines without a key."""

    user: Optional[str] = None
    private_key: Optional[str] = None
    public_keys: Sequence[str] = ()
    forwards: Optional[Mapping[Any, str]] = None
    host_keys: str = _checks.VERIFIED


def user_config(machines: Iterable[Any], hops: Any, paths: Paths, defaults: Defaults) -> dict[str, dict[str, Any]]:
    """Return the files ``known_hosts``, ``helper``, and ``config``, as the module haven.gpu.files takes them, and the
    public keys by which ssh finds keys in the agent.

    ``hops`` lead to all machines; with None, each uses its own. A machine is either the variables of a host in our
    inventory (untrusted, so unusable values are left out) or the user's own dictionary with name, address, and host_key
    (mistakes raise InvalidRequest).
    """
    if defaults.user:
        _checks.require_user(defaults.user, "The user of the ssh configuration")
    wanted = None if hops is None else wanted_hops(hops)
    by_hops: dict[tuple[Hop, ...], list[Machine]] = {}
    for machine in machines:
        if not _is_configured(machine):
            keyed = with_key(_hops_to(machine, wanted), _checks.lines_of_keys(defaults.public_keys))
            hops_to = plain(keyed, "The ssh configuration")
            by_hops.setdefault(hops_to, []).append(_machine(machine, defaults))
    texts = _files.texts(by_hops, paths, host_keys=defaults.host_keys)
    names = {paths.known_hosts: "known_hosts", paths.helper: "helper", paths.config: "config"}
    files = [(names.get(path, os.path.basename(path)), path) for path in texts]
    # The helper is a program, so its diff would not help anyone.
    return {
        name: {"path": path, "content": texts[path], "mode": f"{_files.PRIVATE:04o}", "diff": name != "helper"}
        for name, path in files
    }


def _hops_to(machine: Any, wanted: Optional[Sequence[WantedHop]]) -> tuple[Hop, ...]:
    """The hops to the machine: those for all machines, otherwise its own.

    If one of those for all has to be looked up, the inventory has done that, and its machines have the result.
    """
    ours = isinstance(machine, Mapping) and "haven_id" in machine and "haven_hops" in machine
    if ours and (wanted is None or any(isinstance(each, HopLookup) for each in wanted)):
        wanted = wanted_hops(machine["haven_hops"])
    return plain(wanted or (), "The ssh configuration")


def _is_configured(machine: Any) -> bool:
    """Whether it is a host of our inventory that is already in the user's own configuration."""
    return isinstance(machine, Mapping) and machine.get("haven_cloud") == STATIC and not machine.get("haven_address")


def _machine(machine: Any, defaults: Defaults) -> Machine:
    if not isinstance(machine, Mapping):
        raise InvalidRequest("A machine must be a dictionary with at least a name, an address and a host_key.")
    if "haven_id" in machine:
        signer = machine.get("haven_host_key_authority")
        # The host key of a machine outside the cloud contains the name in its certificate.
        own = _checks.authority(signer)
        certified = _checks.principal(str(machine["haven_name"]), str(machine["haven_project"])) if signer else ""
        return Machine(
            alias=str(machine["inventory_hostname"]),
            identity=(own.name if own else certified) or str(machine["ansible_host"]),
            authority=own.key if own else _checks.public_key(signer),
            name=str(machine["inventory_hostname"]),
            address=str(machine["haven_address"]),
            port=machine.get("ansible_port") or 22,
            host_key=str(machine["haven_host_key"]) or None,
            user=defaults.user or machine.get("haven_login_user"),
            key=defaults.private_key or _checks.lines_of_keys(defaults.public_keys) or None,
            forwards=_forwards(defaults.forwards),
        )
    return _users_own(machine, defaults)


def _users_own(machine: Mapping[str, Any], defaults: Defaults) -> Machine:
    name = machine.get("name")
    _checks.require_known_fields(machine, _FIELDS, f"The machine {name!r}")
    _checks.require_alias(name, f"The name of machine {name!r}")
    _checks.require_alias(machine.get("id") or name, f"The id of machine {name!r}")
    _checks.require_address(machine.get("address"), f"The address of machine {name!r}")
    host_key = machine.get("host_key")
    if host_key or defaults.host_keys != _checks.TOFU:
        _checks.require_host_key(host_key, f"The host_key of machine {name!r}", may_be_signed=False)
    user = machine.get("user") or defaults.user
    return Machine(
        alias=str(name),
        identity=str(machine.get("id") or ""),
        address=str(machine["address"]),
        port=machine.get("port") or 22,
        host_key=str(host_key) if host_key else None,
        user=_checks.require_user(str(user), f"The user of machine {name!r}") if user else None,
        key=machine.get("private_key") or defaults.private_key or None,
        forwards=_forwards(machine.get("forwards", defaults.forwards)),
    )


def _forwards(wanted: Optional[Mapping[Any, str]]) -> tuple[Forward, ...]:
    return tuple(Forward(port, str(socket)) for port, socket in (wanted or {}).items())
