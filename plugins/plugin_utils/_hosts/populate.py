# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Adds machines to ansible-core's inventory: hosts, their variables, and their groups."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ansible.inventory.data import InventoryData

from ...module_utils._models import Instance
from ...module_utils._shortcuts import taken
from .._settings import Settings
from . import variables as _hosts
from .readable import readable

# The variable that says whether a machine answers, if it was probed.
ANSWERS = "haven_reachable"
# A function that processes each host and its variables after it was added.
Construct = Callable[[str, dict[str, Any]], None]
# A function that evaluates an expression over a host's variables.
Evaluate = Callable[[str, dict[str, Any]], Any]


@dataclass(frozen=True)
class Entry:
    """A machine to list, with its source, its SSH configuration, and its own variables."""

    instance: Instance
    settings: Settings
    ssh_config: str
    own: Mapping[str, Any] = field(default_factory=dict)


def populate(
    inventory: InventoryData,
    entries: Sequence[Entry],
    hostnames: Sequence[str],
    construct: Construct,
    evaluate: Evaluate,
) -> None:
    """List each machine once, under a unique name."""
    inventory.add_group(_hosts.GROUP)
    known = [_variables(entry) for entry in entries]
    names = _names([entry.instance for entry in entries], known, hostnames, evaluate)
    for entry, variables in zip(entries, known):
        host = names[entry.instance.id]
        inventory.add_host(host, _hosts.GROUP)
        for group in _hosts.groups(entry.instance):
            join(inventory, host, group)
        if entry.settings.name:
            join(inventory, host, _hosts.source_group(entry.settings))
        if ANSWERS in entry.own:
            join(inventory, host, _hosts.answer_group(entry.own[ANSWERS]))
        _give(inventory, host, variables)
        construct(host, variables)


def join(inventory: InventoryData, host: str, group: str) -> None:
    """Add a listed host to a group, which is created if needed.

    Uses the group directly, because the inventory would check both names and write a debug line each time.
    """
    if group not in inventory.groups:
        inventory.add_group(group)
    if taken("populate"):
        inventory.groups[group].add_host(inventory.get_host(host))
    else:
        inventory.add_host(host, group)


def set_variables(inventory: InventoryData, host: str, variables: Mapping[str, Any]) -> None:
    """Set variables on the host directly, because the inventory would copy each value to record its file."""
    target = inventory.get_host(host).set_variable if taken("populate") else partial(inventory.set_variable, host)
    for name, value in variables.items():
        target(name, readable(value))


def _give(inventory: InventoryData, host: str, variables: Mapping[str, Any]) -> None:
    """Like set_variables, for our own names, which need no check. They replace those from another inventory."""
    listed = inventory.get_host(host)
    known = listed.vars
    if not taken("populate"):
        set_variables(inventory, host, variables)
        return
    for name, value in variables.items():
        if name in known:
            listed.set_variable(name, readable(value))
        else:
            known[name] = readable(value)


def add_source(inventory: InventoryData, settings: Settings, ssh_config: str) -> None:
    """Add the group of a source, with the variables that all its machines share."""
    inventory.add_group(_hosts.GROUP)
    group = _hosts.source_group(settings)
    inventory.add_group(group)
    for name, value in _hosts.groupvars(settings, ssh_config).items():
        inventory.set_variable(group, name, readable(value))


def _variables(entry: Entry) -> dict[str, Any]:
    # On the hosts, so that a variable of the same name in group_vars does not disable the check.
    arguments = {"ansible_ssh_common_args": f"-F {shlex.quote(entry.ssh_config)}"}
    return {**_hosts.hostvars(entry.instance, entry.settings), **entry.own, **arguments}


def _names(
    instances: Sequence[Instance], known: Sequence[dict[str, Any]], hostnames: Sequence[str], evaluate: Evaluate
) -> dict[str, str]:
    if list(hostnames) == ["name"]:
        return _hosts.names(instances)
    wanted = [_hosts.wanted_name(hostnames, variables, evaluate) for variables in known]
    return _hosts.names(instances, wanted)
