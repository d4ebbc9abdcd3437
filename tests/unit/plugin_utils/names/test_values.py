# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A value that cannot be right is one sentence; one that may be passes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from ansible_collections.haven.gpu.plugins.filter.value_faults import value_faults
from ansible_collections.haven.gpu.plugins.plugin_utils._names import arguments

SITE = arguments.playbook("site")
BOX = {"name": "box", "image": {"name": "x"}, "instance_type": "t3.micro"}
USERS = [{"name": "alice"}, {"name": "bob"}]
TEXT = "put the name in quotes"


def faults(**given: Any) -> list[str]:
    return value_faults([given.get(name, "") for name in SITE], SITE)


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("haven_project", False, "haven_project is false, which YAML also reads no, off, and n as: put the name"),
        ("haven_project", 7, "haven_project is a number"),
        ("haven_ec2", "eu-north-1", "haven_ec2 is a text, and needs keys such as"),
        ("haven_openstack", ["haven"], "haven_openstack is a list, and needs keys"),
        ("haven_hops", ["gate.example.org"], "haven_hops[0] is a text, and needs keys such as host"),
        ("haven_hops", {"host": "gate"}, "haven_hops is a dictionary, and needs a list"),
        ("haven_hops", [{"host": "gate", "tag": "gate"}], "haven_hops[0].tag is a text"),
        ("haven_prices", [1.0], "haven_prices is a list"),
        ("haven_environments", {"name": "x"}, "haven_environments is a dictionary, and needs a list"),
        ("haven_environments", ["x"], "haven_environments[0] is a text"),
        ("haven_instances", [], "haven_instances is empty: list at least one"),
        ("haven_instances", "box", "haven_instances"),
        ("haven_instances", ["box"], "haven_instances[0] is a text"),
        ("haven_instances", BOX, "haven_instances is a dictionary"),
        ("haven_instances", [{**BOX, "spot": True}], "haven_instances[0] (box).spot is true, and needs keys"),
        ("haven_instances", [{**BOX, "image": "ubuntu"}], "haven_instances[0] (box).image is a text, and needs keys"),
        ("haven_instances", [{**BOX, "tags": ["a"]}], "haven_instances[0] (box).tags is a list"),
        ("haven_instances", [{**BOX, "data_volumes": {"size_gib": 1}}], ".data_volumes is a dictionary"),
        ("haven_instances", [{**BOX, "data_volumes": [100]}], ".data_volumes[0] is a number"),
        ("haven_instances", [{**BOX, "name": False}], "The name of haven_instances[0] is false"),
        ("haven_instances", [{**BOX, "name": 1.5}], TEXT),
        ("haven_instances", [{**BOX, "name": ["a", True]}], "which YAML also reads yes, on, and y as"),
        ("haven_instances", [BOX, {**BOX, "name": "Box"}], "haven_instances has box and Box"),
        ("haven_ssh_sources", [], "haven_ssh_sources is empty, so nobody could connect"),
        ("haven_ssh_sources", ["10.0.0.5/8"], "write 10.0.0.0/8, or 10.0.0.5 if you mean that address alone"),
        ("haven_ssh_sources", ["2001:db8::1/32"], "write 2001:db8::/32, or 2001:db8::1"),
        ("haven_ssh_sources", ["office"], "'office' in haven_ssh_sources is no network: write it as"),
        ("haven_ssh_sources", ["10.0.0.0/33"], "is no network"),
        ("haven_ssh_sources", "10.0.0.0/8, 10.0.0.300", "'10.0.0.300' in haven_ssh_sources"),
        ("haven_ssh_sources", {"a": 1}, "haven_ssh_sources is a dictionary, and needs a list"),
        ("haven_ssh_sources", ["\x1b[31m\u202e"], r"'\x1b[31m\u202e' in"),
        ("haven_listen_ports", [22, 70000], "'70000' in haven_listen_ports is no port"),
        ("haven_listen_ports", ["ssh"], "'ssh' in haven_listen_ports"),
        ("haven_listen_ports", [0], "'0' in"),
        ("haven_listen_ports", [True], "'True' in"),
        ("haven_verify_users", ["carol"], "'carol', who is not in haven_users: use alice or bob"),
        ("haven_environments", [{"name": "x", "user": "alcie"}], "alice is probably meant"),
        ("haven_environments", [{"name": "x", "user": "bob"}] * 2, "lists 'x' of 'bob' more than once"),
    ],
    ids=str,
)
def test_each_mistake_is_one_sentence(variable: str, value: Any, said: str) -> None:
    (fault,) = faults(**{"haven_users": USERS, variable: value})
    assert said in fault
    assert fault.startswith(("haven_", "The ", "'"))
    assert fault.endswith(".")
    assert fault.isprintable()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("haven_project", "no"),
        ("haven_ec2", "region=eu-north-1"),
        ("haven_hops", None),
        ("haven_hops", []),
        ("haven_instances", [{**BOX, "image": None, "tags": {"a": 1}, "name": ["a", "b"]}]),
        ("haven_instances", [BOX, BOX]),
        ("haven_ssh_sources", ["192.0.2.7", "198.51.100.0/24", "2001:db8::/32"]),
        ("haven_ssh_sources", "192.0.2.7,10.0.0.0/8"),
        ("haven_listen_ports", [22, "443", 65535]),
        ("haven_egress_proxy", "http://proxy.internal:3128"),
        ("haven_environments", [{"name": "x", "user": "alice"}, {"name": "x", "user": "ubuntu"}]),
        ("haven_verify_users", ["alice"]),
    ],
    ids=str,
)
def test_what_may_be_right_passes(variable: str, value: Any) -> None:
    assert faults(**{"haven_users": USERS, variable: value}) == []


class Lazy(Sequence[Any]):
    """Values that are evaluated as they are read, as Ansible's are."""

    def __init__(self, **broken: Exception) -> None:
        self.broken = broken

    def __getitem__(self, index: Any) -> Any:
        name = list(SITE)[index]
        if name in self.broken:
            raise self.broken[name]
        return [70000] if name == "haven_listen_ports" else ""

    def __len__(self) -> int:
        return len(SITE)

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError


def test_what_cannot_be_read_keeps_nothing_else_from_being_checked() -> None:
    values = Lazy(haven_users=KeyError("vault"), haven_instances=ValueError("undefined"))
    (fault,) = value_faults(values, SITE)
    assert "70000" in fault
