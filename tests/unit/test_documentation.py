# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the modules return is what they document, in the same words wherever it is the same thing."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.basic import AnsibleModule

from ansible_collections.haven.gpu.plugins.module_utils._firewall_keypair import firewall_as_dict
from ansible_collections.haven.gpu.plugins.module_utils._models import Firewall, Instance, KeyPair, Resource, Volume

REPOSITORY = Path(__file__).parents[2]
MODULES = sorted(file.stem for file in REPOSITORY.glob("plugins/modules/[a-z]*.py"))
# What a specification and its documentation must say alike, and what holds where neither says it.
SAID = {"type": "str", "elements": None, "required": False, "default": None, "choices": None}


class SpecificationError(Exception):
    """Carries a module's argument specification out of its main()."""


def specification(module: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The argument specification that a module's main() gives to AnsibleModule."""

    def stop(_self: object, argument_spec: dict[str, Any], **_given: object) -> None:
        raise SpecificationError(argument_spec)

    monkeypatch.setattr(AnsibleModule, "__init__", stop)
    with pytest.raises(SpecificationError) as caught:
        importlib.import_module(f"ansible_collections.haven.gpu.plugins.modules.{module}").main()
    found: dict[str, Any] = caught.value.args[0]
    return found


@cache
def ansible_doc() -> dict[str, Any]:
    """What users read, documentation fragments included, by module."""
    names = [f"haven.gpu.{module}" for module in MODULES]
    answer = subprocess.run(["ansible-doc", "--json", *names], check=True, capture_output=True, text=True)
    found = json.loads(answer.stdout)
    return {module: found[f"haven.gpu.{module}"]["doc"]["options"] for module in MODULES}


def flat(options: Mapping[str, Any], below: str, prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Each option and suboption by its path, with what is said of it; ``below`` is where suboptions are."""
    for name, option in options.items():
        said = {key: option.get(key) if option.get(key) is not None else SAID[key] for key in SAID}
        yield f"{prefix}{name}", said
        yield from flat(option.get(below) or {}, below, f"{prefix}{name}.")


@pytest.mark.parametrize("module", MODULES)
def test_every_option_is_documented_as_it_is(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = dict(flat(specification(module, monkeypatch), "options"))
    assert wanted == dict(flat(ansible_doc()[module], "suboptions"))


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
        ("project", "removed", Resource("volume", "vol-1", "demo", "available").as_dict()),
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


def test_every_action_of_the_api_is_among_the_permissions() -> None:
    adapter = REPOSITORY / "plugins/module_utils/_clouds/ec2"
    code = "\n".join(file.read_text() for file in adapter.glob("*.py"))
    # Each is said where it is called, but for the listings, which stand in a table, and the rules, which are composed.
    called = set(re.findall(r'(?:call|attempt|pages)\(\s*"([A-Z]\w+)"', code)) | set(
        re.findall(r'\(\s*"((?:Describe|Delete)\w+)",\s+"', code)
    )
    composed = {
        f"{verb}SecurityGroup{direction}" for verb in ("Authorize", "Revoke") for direction in ("Ingress", "Egress")
    }
    listed = set(re.findall(r"`(?:ec2|ssm):(\w+)`", (REPOSITORY / "docs/permissions.md").read_text()))
    listed |= set(re.findall(r'"(?:ec2|ssm):(\w+)"', (REPOSITORY / "docs/ec2-policy.json").read_text()))
    assert len(called) > 20
    assert called | composed == listed


def test_what_is_lost_without_an_optional_permission_is_said() -> None:
    def statements(name: str) -> dict[str, set[str]]:
        policy = json.loads((REPOSITORY / "docs" / name).read_text())
        return {each["Sid"]: set(each["Action"]) for each in policy["Statement"]}

    text = (REPOSITORY / "docs/permissions.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \|$", text, re.MULTILINE)
    optional = statements("ec2-policy-optional.json")
    assert {sid: set(re.findall(r"`([\w:]+)`", actions)) for sid, actions, _lost in rows} == optional
    (needed,) = statements("ec2-policy.json").values()
    assert all(needed.isdisjoint(actions) for actions in optional.values())
