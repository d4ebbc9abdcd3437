# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the modules return is what they document, in the same words wherever it is the same thing."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
import yaml

from ansible_collections.haven.gpu.plugins.module_utils._access import firewall_as_dict
from ansible_collections.haven.gpu.plugins.module_utils._models import Firewall, Instance, KeyPair, Resource, Volume


def documented(module: str, value: str) -> dict[str, Any]:
    """The documented parts of one return value of a module."""
    code = importlib.import_module(f"ansible_collections.haven.gpu.plugins.modules.{module}")
    contains: dict[str, Any] = yaml.safe_load(code.RETURN)[value]["contains"]
    return contains


INSTANCE = Instance("i-1", "demo", "pathology", "ec2", "eu-north-1", "running", volumes=(Volume("vol-1", "sda", True),))
FIREWALL = Firewall("sg-1", "ssh", "pathology", "", None, frozenset())


@pytest.mark.parametrize(
    ("module", "value", "returned"),
    [
        ("instance", "instances", INSTANCE.as_dict()),
        ("instance_info", "instances", INSTANCE.as_dict()),
        ("instance_info", "resources", Resource("volume", "vol-1", "demo", "available").as_dict()),
        ("firewall", "firewall", firewall_as_dict(FIREWALL)),
        ("keypair", "keypair", KeyPair("key-1", "alice", "pathology", "", "").as_dict()),
    ],
)
def test_every_returned_key_is_documented(module: str, value: str, returned: dict[str, Any]) -> None:
    assert documented(module, value).keys() == returned.keys()


def test_the_parts_of_a_volume_are_documented() -> None:
    (sample,) = documented("instance", "instances")["volumes"]["sample"]
    assert sample.keys() == INSTANCE.as_dict()["volumes"][0].keys()


def test_an_instance_is_the_same_thing_in_both_modules() -> None:
    assert documented("instance", "instances") == documented("instance_info", "instances")
