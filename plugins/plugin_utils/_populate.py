# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Machines into ansible-core's inventory: hosts, their variables and their groups."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from typing import Any

from ansible.inventory.data import InventoryData
from ansible.template import trust_as_template

from ..module_utils._models import Instance
from . import _hosts
from ._settings import Settings

_NO_TEMPLATE = re.compile(r"[A-Za-z0-9 @+=:,./_~-]*")
# What is done with each host and its variables once it is there.
Construct = Callable[[str, dict[str, Any]], None]


def populate(
    inventory: InventoryData, instances: list[Instance], settings: Settings, ssh_config: str, construct: Construct
) -> None:
    inventory.add_group(_hosts.GROUP)
    for name, value in _hosts.groupvars(settings, ssh_config).items():
        inventory.set_variable(_hosts.GROUP, name, _readable(value))
    # On the hosts, because a variable of the same name in group_vars must not switch the checking off.
    arguments = {"ansible_ssh_common_args": f"-F {shlex.quote(ssh_config)}"}
    names = _hosts.names(instances)
    for instance in instances:
        host = names[instance.id]
        inventory.add_host(host, _hosts.GROUP)
        for group in _hosts.groups(instance):
            inventory.add_group(group)
            inventory.add_host(host, group)
        variables = {**_hosts.hostvars(instance, settings), **arguments}
        for name, value in variables.items():
            inventory.set_variable(host, name, _readable(value))
        construct(host, variables)


def _readable(value: Any) -> Any:
    """The value, its strings that cannot be templates marked as harmless; all others stay untrusted.

    Core writes an untrusted string into ``ansible-inventory --list`` as ``{"__ansible_unsafe": ...}``, which neither
    testinfra nor jq understands. No template is without a brace.
    """
    if isinstance(value, str):
        return trust_as_template(value) if _NO_TEMPLATE.fullmatch(value) else value
    if isinstance(value, Mapping):
        return {name: _readable(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_readable(item) for item in value]
    return value
