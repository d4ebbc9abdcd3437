# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The argument specifications of the playbooks and roles, from their files."""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Mapping
from typing import Any

import yaml

from ...module_utils._clouds.registry import CLOUDS
from ...module_utils._options import HOPS, INSTANCE

ROOT = pathlib.Path(__file__).resolve().parents[3]
ALL = "all"
# Variables of hosts that the inventory sets, beside those in plugin_utils/_hosts/variables.py.
_OF_HOSTS = ("address", "details", "gpu", "hops", "hourly_price", "is_jump_host", "reachable", "source", "ssh_config")
_KEPT = ("type", "elements", "choices", "options", "no_log")


def _load(file: pathlib.Path) -> Any:
    # Ten times as fast as the one in Python, if it is there: each task reads all of them.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load(file.read_text("utf-8"), loader)  # noqa: S506 -- both are safe


@functools.lru_cache(maxsize=1)
def variables() -> Mapping[str, Mapping[str, Any]]:
    """The variables of the playbooks by name, as the file describes them."""
    described: dict[str, Any] = _load(ROOT / "playbooks" / "vars" / "arguments.yml")
    return described


@functools.lru_cache(maxsize=1)
def roles() -> Mapping[str, Mapping[str, Any]]:
    """The options of each role's main entry point, by role."""
    files = sorted(ROOT.glob("roles/*/meta/argument_specs.yml"))
    read = {file.parent.parent.name: _load(file) for file in files}
    return {role: specs["argument_specs"]["main"]["options"] for role, specs in read.items()}


def playbook(name: str) -> dict[str, dict[str, Any]]:
    """The argument specification of a playbook: the variables that it reads."""
    return {
        each: {**_spec(each, about), "required": needs(about, name)}
        for each, about in variables().items()
        if reads(about, name)
    }


def reads(about: Mapping[str, Any], playbook: str) -> bool:
    return playbook in about.get("used_by", [playbook])


def needs(about: Mapping[str, Any], playbook: str) -> bool:
    return bool({playbook, ALL} & set(about.get("needed_by", [])))


def host_variables() -> frozenset[str]:
    """The variables that the inventory gives to hosts."""
    from .._hosts.variables import FIELDS

    return frozenset(f"haven_{field}" for field in (*FIELDS, *_OF_HOSTS, "host_key", "login_user", "instance_tags"))


def _spec(name: str, about: Mapping[str, Any]) -> dict[str, Any]:
    spec = {key: about[key] for key in _KEPT if key in about}
    entries = about.get("entries")
    if name == "haven_cloud":
        spec["choices"] = sorted(CLOUDS)
    elif entries == "cloud":
        spec["options"] = CLOUDS[name.removeprefix("haven_")].CONNECTION
    elif entries == "hops":
        spec |= {key: HOPS[key] for key in ("options", "required_one_of", "mutually_exclusive")}
    elif entries == "instances":
        spec["options"] = instances()
    elif entries:
        spec["options"] = roles()[entries.partition("_")[0]][entries]["options"]
    return spec


@functools.lru_cache(maxsize=1)
def instances() -> dict[str, Any]:
    """The options of an entry of haven_instances: those of haven.gpu.instance, with each cloud's own."""
    own = {name: option for name, option in INSTANCE.items() if name != "id"}
    clouds = {
        name: {"type": "dict", "options": {**cloud.CONNECTION, **cloud.INSTANCE}} for name, cloud in CLOUDS.items()
    }
    return {**own, "name": {**own["name"], "required": True}, **clouds}
