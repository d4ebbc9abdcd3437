# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Machines outside the cloud, with an address or an alias in your SSH configuration. Pure.

All of it is written by the user, so mistakes raise InvalidRequest.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional

from ...module_utils._errors import InvalidRequest
from ...module_utils._models import Gpu, Instance
from ...module_utils._ownership import TAG_HOST_KEY, TAG_LOGIN_USER
from ...module_utils._ssh import checks as _checks
from ...module_utils._ssh.config import Machine
from ...module_utils._ssh.hops import wanted_hops, with_key
from .._hosts import variables as _hosts
from .._settings import STATIC, Settings, authority_from, hops_of, reachable_from

# There is no API to ask for it.
STATE = "unknown"
_FIELDS = (
    "name",
    "address",
    "ssh_alias",
    "port",
    "user",
    "private_key",
    "host_key",
    "hops",
    "gpu",
    "project",
    "tags",
    "hourly_price",
)


@dataclass(frozen=True)
class Static:
    """A machine as the rest of the inventory sees it: what a cloud would report, its hops, and its SSH settings."""

    instance: Instance
    settings: Settings
    machine: Machine

    def variables(self, ssh_config: str) -> dict[str, Any]:
        """Variables that instances of a cloud share, and a port other than 22."""
        # Always set, so that a variable for the instances of a cloud does not decide which machine is trusted here.
        signer = self.machine.authority
        said = _checks.Authority(signer, self.machine.identity).line if signer else ""
        shared = {**_hosts.groupvars(self.settings, ssh_config), "haven_host_key_authority": said}
        return shared if self.machine.port == 22 else {**shared, "ansible_port": self.machine.port}


def machines_from(options: Mapping[str, Any]) -> list[Static]:
    """Return the machines in the plugin's options. Hops, user, key, and project default to the file's own options."""
    listed = options.get("machines")
    if listed is None:
        return []
    if not isinstance(listed, Sequence) or isinstance(listed, str):
        raise InvalidRequest("The option machines must be a list of dictionaries with at least name and address.")
    found = [_machine_from(item, number, options) for number, item in enumerate(listed, start=1)]
    ids = [each.instance.id.lower() for each in found]
    for each in found:
        if ids.count(each.instance.id.lower()) > 1:
            raise InvalidRequest(f"Two machines are called {each.instance.id}: give each its own name and alias.")
    return found


def _machine_from(item: Any, number: int, options: Mapping[str, Any]) -> Static:
    name = item.get("name") if isinstance(item, Mapping) else None
    if not isinstance(item, Mapping) or not _hosts.is_host_name(name):
        raise InvalidRequest(
            f"Machine {number} must be a dictionary with a name of letters, digits, dots and dashes that Ansible does"
            " not use itself."
        )
    try:
        return _checked(str(name), item, options)
    except InvalidRequest as error:
        raise InvalidRequest(f"Machine {name}: {error}") from error


def _checked(name: str, item: Mapping[str, Any], options: Mapping[str, Any]) -> Static:
    _checks.require_known_fields(item, _FIELDS, "It")
    address, alias, host_key = item.get("address"), item.get("ssh_alias"), item.get("host_key")
    if bool(address) == bool(alias):
        raise InvalidRequest("Give either its address, or the ssh_alias that it has in your own SSH configuration.")
    if address:
        _checks.require_address(address, "Its address")
    if alias and not _hosts.is_host_name(alias):
        raise InvalidRequest("Its ssh_alias cannot be used: use letters, digits, dots, and dashes only.")
    if host_key:
        _checks.require_host_key(host_key, "Its host_key")
    signer = _checks.authority(host_key)
    certified = (signer.name or str(address or "")).lower() if signer else ""
    if signer and not (address and _checks.is_alias(certified)):
        raise InvalidRequest(
            "Its host_key is an authority's, whose certificate must name its address: give a host name, an IPv4"
            " address, or a name before the key (with ssh_alias, put the authority into your own known_hosts instead)."
        )
    # For an alias, the user's own configuration has the login settings.
    given = {} if alias else options
    user, key = (item.get(field) or given.get(option) for field, option in _DEFAULTS)
    instance = Instance(
        id=str(alias or name),
        name=name,
        project=_project(item, options),
        cloud=STATIC,
        region="",
        state=STATE,
        instance_type=None,
        gpu=_gpu(item.get("gpu")),
        private_address=str(address) if address else None,
        tags=_tags(item.get("tags"), {TAG_HOST_KEY: None if signer else host_key, TAG_LOGIN_USER: user}),
    )
    hops = wanted_hops(item.get("hops", given.get("hops")), authority_from(options))
    settings = Settings(
        cloud=STATIC,
        projects=(),
        **hops_of(with_key(hops, _checks.lines_of_keys(options.get("public_keys")))),
        login_user=_checks.require_user(str(user), "Its user") if user else None,
        private_key=_checks.require_path(str(key), "The path of its private_key") if key else None,
        host_keys=options.get("host_keys") or _checks.VERIFIED,
        host_key_authority=signer.key if signer else None,
        address="private",
        reachable=reachable_from(options),
        prices=_price(item.get("hourly_price")),
    )
    machine = dataclasses.replace(
        _hosts.machine(instance, settings),
        identity=certified,
        port=_port(item.get("port")),
        own_config=bool(alias),
        depth=None,
    )
    return Static(instance, settings, machine)


_DEFAULTS = (("user", "login_user"), ("private_key", "private_key"))


def _port(value: Any) -> int:
    text = "22" if value is None else str(value)
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise InvalidRequest("Its port must be a number from 1 to 65535.")
    return int(text)


def _project(item: Mapping[str, Any], options: Mapping[str, Any]) -> str:
    """Its own project, or the only one in the file."""
    projects = options.get("projects") or []
    projects = [projects] if isinstance(projects, str) else list(projects)
    only = projects[0] if len(projects) == 1 and projects[0] != "*" else ""
    return str(item.get("project") or only)


def _gpu(value: Any) -> Optional[Gpu]:
    if value is None:
        return None
    try:
        gpu = Gpu(str(value["model"]), int(value.get("count", 1)), float(value.get("memory_gib", 0)))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InvalidRequest("Its gpu must be a dictionary with model, and with count and memory_gib.") from error
    return gpu


def _tags(value: Any, ours: Mapping[str, Any]) -> dict[str, str]:
    if not isinstance(value or {}, Mapping):
        raise InvalidRequest("Its tags must be a dictionary.")
    tags = {str(key): str(text) for key, text in (value or {}).items()}
    return {**tags, **{key: str(text) for key, text in ours.items() if text}}


def _price(value: Any) -> dict[str, float]:
    """The price of this machine. Prices by instance type do not apply, because it has no type."""
    if value is None:
        return {}
    try:
        return {"": float(value)}
    except (TypeError, ValueError) as error:
        raise InvalidRequest("Its hourly_price must be a number.") from error
