# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""compose, groups and keyed_groups come out as ansible-core's own code has them, which is asked beside ours."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from ansible.errors import AnsibleError
from ansible.inventory.data import InventoryData
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.inventory import BaseInventoryPlugin, Constructable
from ansible.template import Templar, trust_as_template

from ansible_collections.haven.gpu.plugins.plugin_utils._expressions.constructed import Constructed

HOSTS: list[dict[str, Any]] = [
    {"name": "one", "tags": {"team": "a", "list": "x,y"}, "gpu": {"model": "T4", "count": 1}, "size": 2, "on": True},
    {"name": "two", "tags": {"team": "b"}, "gpu": None, "size": 2, "on": False},
    {"name": "three", "tags": {"team": "a", "keys": "no method"}, "gpu": None, "size": 1, "on": True},
    {"name": "four", "tags": {}, "gpu": {"model": "", "count": 0}, "size": True, "on": "true"},
    {"name": "{{ 1 + 1 }}", "tags": {"team": "{{ name }}", "odd key": "c d"}, "gpu": None, "size": 1.0, "on": None},
    {"name": "six", "tags": {"team": ""}, "gpu": {"model": "T4", "count": 1}, "size": "2"},
]
EXPRESSIONS = [
    "name",
    "tags",
    "tags.team",
    "tags['team']",
    "tags['odd key']",
    "tags.keys",
    "tags.keys()",
    "tags.keys() | list",
    "gpu",
    "gpu.model",
    "gpu.model | default('none')",
    "(gpu or {}).count | default(0)",
    "size",
    "size | string",
    "size == 1",
    "[name, tags.team]",
    "{'team': tags.team | default(''), 'on': on | default(none)}",
    "'constant'",
    "''",
    "[]",
    "none",
    "on",
    "on is defined",
    "name | upper | replace('O', '0')",
    "name | regex_replace('^(.)', '\\\\1-')",
    "name ~ '-' ~ size",
    "missing",
    "missing | default('d')",
    "inventory_hostname",
    "group_names | length",
    "lookup('vars', 'name')",
    "other_inventory",
    "-size",
    "name if on else size",
    "tags.team in ['a', 'b']",
    "tags.list.split(',')",
    "name[0]",
    "omit",
    "{{ name }}",
    "name }} {{ size",
    "no | filter | like_this",
    "a syntax error",
]
SHAPES: list[dict[str, Any]] = [
    {},
    {"prefix": "p"},
    {"separator": ""},
    {"prefix": "p", "separator": "-", "parent_group": "family"},
    {"prefix": "p", "parent_group": "{{ tags.team | default('nobody') }}"},
    {"default_value": "empty"},
    {"prefix": "p", "trailing_separator": False},
    {"default_value": "empty", "trailing_separator": False},
]


class _Plugin(BaseInventoryPlugin):  # type: ignore[misc]
    NAME = "test"

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.inventory = InventoryData()
        self.templar = Templar(DataLoader())
        self._vars = {"name": "of the command line"}
        self._wanted = {"strict": False, "leading_separator": True, "use_extra_vars": False, **options}

    def get_option(self, option: str, hostvars: Any = None) -> Any:
        return self._wanted.get(option)


class Usual(_Plugin, Constructable):  # type: ignore[misc]
    def construct(self, host: str, variables: dict[str, Any]) -> None:
        self._set_composite_vars(self.get_option("compose"), variables, host, self.get_option("strict"))
        self._add_host_to_composed_groups(self.get_option("groups"), variables, host, self.get_option("strict"))
        self._add_host_to_keyed_groups(self.get_option("keyed_groups"), variables, host, self.get_option("strict"))


class Ours(_Plugin, Constructed):  # type: ignore[misc]
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.construct = self.constructing()


def trusted(value: Any) -> Any:
    """As core reads it from an inventory file."""
    if isinstance(value, str):
        return trust_as_template(value)
    if isinstance(value, dict):
        return {name: trusted(item) for name, item in value.items()}
    return [trusted(item) for item in value] if isinstance(value, list) else value


def outcome(plugin: Any) -> Any:
    """Everything that came of it, or why nothing did."""
    inventory = plugin.inventory
    for number, variables in enumerate(HOSTS):
        host = f"host-{number}"
        inventory.add_host(host)
        # Of another inventory, which knows the same host.
        inventory.set_variable(host, "other_inventory", f"known-{number}")
        for name, value in variables.items():
            inventory.set_variable(host, name, value)
        try:
            plugin.construct(host, dict(variables))
        except AnsibleError as error:
            return host, type(error), str(error)
    inventory.reconcile_inventory()
    hosts = {name: host.vars for name, host in inventory.hosts.items()}
    groups = {
        name: ([host.name for host in group.hosts], sorted(child.name for child in group.child_groups), group.vars)
        for name, group in inventory.groups.items()
    }
    return hosts, groups


def same(**options: Any) -> None:
    options = trusted(options)
    assert outcome(Ours(**options)) == outcome(Usual(**options))


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_each_kind_of_expression(expression: str, strict: bool) -> None:
    same(compose={"made": expression}, strict=strict)
    same(groups={"in it": expression}, strict=strict)
    for shape in SHAPES:
        same(keyed_groups=[{"key": expression, **shape}], strict=strict)


@pytest.mark.parametrize("options", [{"leading_separator": False}, {"use_extra_vars": True}])
def test_options_of_all_entries(options: dict[str, Any]) -> None:
    keyed = [{"key": expression} for expression in ("name", "tags.team", "size | string")]
    same(compose={"made": "name"}, keyed_groups=keyed, **options)


def test_entries_that_depend_on_each_other() -> None:
    compose = {"made": "tags.team", "other_inventory": "tags.team", "name": "lookup('vars', 'name') ~ '!'"}
    keyed = [{"key": key, "prefix": prefix} for key in ("made", "name", "other_inventory") for prefix in ("a", "b")]
    groups = {"of a": "made == 'a'", "known": "other_inventory != 'a'", "b_a": "name != 'one'"}
    same(compose=compose, groups=groups, keyed_groups=[*keyed, {"key": "made", "parent_group": "b_a"}])


def test_an_entry_that_differs_for_every_host(monkeypatch: pytest.MonkeyPatch) -> None:
    many = [{"name": f"n{number}", "tags": {"team": "a"}} for number in range(250)]
    monkeypatch.setitem(globals(), "HOSTS", many)
    same(compose={"loud": "name | upper"}, groups={"few": "name == 'n7'"}, keyed_groups=[{"key": "name"}])


def test_an_entry_that_is_none() -> None:
    same(keyed_groups=["name"])
    same(keyed_groups=[{"prefix": "p"}])


def test_core_is_asked_once_for_all_hosts_that_are_alike() -> None:
    asked = itertools.count()

    class Counted(Ours):  # type: ignore[misc]
        def _compose(self, *args: Any, **options: Any) -> Any:
            next(asked)
            return super()._compose(*args, **options)

    keyed = trusted([{"key": "size | string"}, {"key": "tags['team']", "prefix": "team"}])
    outcome(Counted(keyed_groups=keyed, compose=trusted({"address": "name"})))
    # Sizes 2, 1, True, 1.0 and "2"; teams a, b, none, a template and the empty one.
    assert next(asked) == 10
