# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The part of the user's own ssh configuration that is about our machines. Pure."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional

from ...module_utils._errors import InvalidRequest
from ...module_utils._models import Hop
from ...module_utils._ssh import config as _ssh_config
from ...module_utils._ssh.config import TOFU, Forward, Machine
from ...module_utils._ssh.hops import HopLookup, WantedHop, plain, wanted_hops
from .._settings import STATIC

_FIELDS = frozenset(["name", "id", "address", "port", "host_key", "user", "private_key", "forwards"])


@dataclass(frozen=True)
class Defaults:
    """What holds for every machine that does not say otherwise: ``forwards`` are local ports and socket paths."""

    user: Optional[str] = None
    private_key: Optional[str] = None
    forwards: Optional[Mapping[Any, str]] = None
    host_keys: str = _ssh_config.VERIFIED


def user_config(
    machines: Iterable[Any], hops: Any, known_hosts: str, defaults: Defaults, config: str = ""
) -> dict[str, str]:
    """``config``, ``known_hosts`` and ``helper``, the texts of the files.

    ``known_hosts`` is where that file will lie, the helper beside it; ``config`` is what ssh will read for the hops.
    ``hops`` lead to all machines; with None, to each its own.

    A machine is either the variables of a host of our inventory (untrusted: what cannot be used is left out) or the
    user's own dictionary with name, address and host_key (checked: InvalidRequest says what is wrong).
    """
    if defaults.user:
        _ssh_config.require_user(defaults.user, "the ssh configuration")
    wanted = None if hops is None else wanted_hops(hops)
    by_hops: dict[tuple[Hop, ...], list[Machine]] = {}
    for machine in machines:
        if not _is_configured(machine):
            by_hops.setdefault(_hops_to(machine, wanted), []).append(_machine(machine, defaults))
    helper = os.path.join(os.path.dirname(known_hosts), _ssh_config.HELPER)
    files = _ssh_config.Files(known_hosts=known_hosts, helper=helper, config=config)
    texts = [
        _ssh_config.render(listed, shared, files=files, host_keys=defaults.host_keys, include_user_config=False)
        for shared, listed in (by_hops or {(): []}).items()
    ]
    # The machines behind other hops may have some of them in common.
    known = {
        line: None
        for shared, listed in by_hops.items()
        for line in _ssh_config.known_hosts(listed, shared).splitlines()
    }
    return {
        "config": "\n".join(texts),
        "known_hosts": "".join(f"{line}\n" for line in known),
        "helper": _ssh_config.helper(),
    }


def _hops_to(machine: Any, wanted: Optional[Sequence[WantedHop]]) -> tuple[Hop, ...]:
    """The hops that lead to the machine: those that are wanted for all, else its own.

    Where one that is wanted has to be looked up, the inventory has done that, and its machines know the outcome.
    """
    ours = isinstance(machine, Mapping) and "haven_id" in machine and "haven_hops" in machine
    if ours and (wanted is None or any(isinstance(each, HopLookup) for each in wanted)):
        wanted = wanted_hops(machine["haven_hops"])
    return plain(wanted or (), "The ssh configuration")


def _is_configured(machine: Any) -> bool:
    """Whether it is a host of our inventory that stands in the user's own configuration already."""
    return isinstance(machine, Mapping) and machine.get("haven_cloud") == STATIC and not machine.get("haven_address")


def _machine(machine: Any, defaults: Defaults) -> Machine:
    if not isinstance(machine, Mapping):
        raise InvalidRequest("A machine must be a dictionary with at least a name, an address and a host_key.")
    if "haven_id" in machine:
        signer = machine.get("haven_host_key_authority")
        # That of a machine of no cloud says what its certificate names it by.
        own = _ssh_config.authority(signer)
        certified = _ssh_config.principal(str(machine["haven_name"]), str(machine["haven_project"])) if signer else ""
        return Machine(
            alias=str(machine["inventory_hostname"]),
            identity=(own.name if own else certified) or str(machine["ansible_host"]),
            authority=own.key if own else _ssh_config.public_key(signer),
            name=str(machine["inventory_hostname"]),
            address=str(machine["haven_address"]),
            port=machine.get("ansible_port") or 22,
            host_key=str(machine["haven_host_key"]) or None,
            user=defaults.user or machine.get("haven_login_user"),
            key=defaults.private_key or None,
            forwards=_forwards(defaults.forwards),
        )
    return _users_own(machine, defaults)


def _users_own(machine: Mapping[str, Any], defaults: Defaults) -> Machine:
    name = machine.get("name")
    unknown = sorted(str(field) for field in machine if field not in _FIELDS)
    if unknown:
        raise InvalidRequest(
            f"The machine {name!r} has unknown fields ({', '.join(unknown)}): use {', '.join(sorted(_FIELDS))}."
        )
    if not _ssh_config.is_alias(name) or not _ssh_config.is_alias(machine.get("id") or name):
        raise InvalidRequest(f"The name or id of machine {name!r} is no plain word: use letters, digits, dots, dashes.")
    if not _ssh_config.is_address(machine.get("address")):
        raise InvalidRequest(f"The address of machine {name!r} is neither a host name nor an address.")
    host_key = machine.get("host_key")
    if not _ssh_config.public_key(host_key) and (host_key or defaults.host_keys != TOFU):
        raise InvalidRequest(
            f"The host_key of machine {name!r} is not an OpenSSH public key such as 'ssh-ed25519 AAAA...': read it on"
            " the machine from /etc/ssh/ssh_host_ed25519_key.pub."
        )
    user = machine.get("user") or defaults.user
    return Machine(
        alias=str(name),
        identity=str(machine.get("id") or ""),
        address=str(machine["address"]),
        port=machine.get("port") or 22,
        host_key=str(host_key) if host_key else None,
        user=_ssh_config.require_user(str(user), f"machine {name!r}") if user else None,
        key=machine.get("private_key") or defaults.private_key or None,
        forwards=_forwards(machine.get("forwards", defaults.forwards)),
    )


def _forwards(wanted: Optional[Mapping[Any, str]]) -> tuple[Forward, ...]:
    return tuple(Forward(port, str(socket)) for port, socket in (wanted or {}).items())
