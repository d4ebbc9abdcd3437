# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What EC2 says beforehand about subnets, instance types, keys, and permissions."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatch
from typing import Any

import pytest

from ansible_collections.haven.gpu.plugins.module_utils._clouds.ec2.access import Access
from ansible_collections.haven.gpu.plugins.module_utils._clouds.ec2.checks import Checks
from ansible_collections.haven.gpu.plugins.module_utils._clouds.ec2.client import RefusedCall
from ansible_collections.haven.gpu.plugins.module_utils._errors import Denied, NotFound
from ansible_collections.haven.gpu.plugins.module_utils._models import (
    FirewallSpec,
    Image,
    ImageChoice,
    KeyPairSpec,
    Spec,
    Wishes,
)

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ/+K5c7Wxxm5lYcOSr4fe1rH2bRVh0PEdtpSx4s1Lqz"
CHOICE = ImageChoice(id="ami-1")
SUBNETS = [
    {"SubnetId": "subnet-a", "VpcId": "vpc-1", "AvailabilityZone": "r-1a", "AvailableIpAddressCount": 250},
    {"SubnetId": "subnet-b", "VpcId": "vpc-1", "AvailabilityZone": "r-1b", "AvailableIpAddressCount": 0},
    {"SubnetId": "subnet-o", "VpcId": "vpc-2", "AvailabilityZone": "r-1a", "AvailableIpAddressCount": 9},
    {"SubnetId": "subnet-d", "VpcId": "vpc-0", "AvailabilityZone": "r-1a", "AvailableIpAddressCount": 9,
     "DefaultForAz": True},
]  # fmt: skip
TYPES = {"g5.xlarge": (["r-1a"], "x86_64"), "g5g.xlarge": (["r-1a", "r-1b"], "arm64")}


class Api:
    """Answers as EC2 does. ``refused`` are actions that the policy lacks."""

    def __init__(self, *, refused: tuple[str, ...] = (), subnets: list[dict[str, Any]] | None = None) -> None:
        self.refused = refused
        self.all_subnets = SUBNETS if subnets is None else subnets
        self.calls: list[tuple[str, Mapping[str, Any]]] = []

    def call(self, action: str, /, **parameters: Any) -> dict[str, Any]:
        self.calls.append((action, parameters))
        self._allow(action)
        found = [item for item in self.all_subnets if item["SubnetId"] in parameters["SubnetIds"]]
        if not found:
            raise NotFound("EC2 does not know the subnet.")
        return {"Subnets": found}

    def _allow(self, action: str) -> None:
        if action in self.refused:
            raise Denied(f"These AWS credentials lack the permission ec2:{action}: have it added to their policy.")

    def pages(self, action: str, _key: str, /, **parameters: Any) -> list[dict[str, Any]]:
        self.calls.append((action, parameters))
        self._allow(action)
        wanted = {each["Name"]: each["Values"] for each in parameters["Filters"]}
        if action == "DescribeSubnets":
            return [item for item in self.all_subnets if item.get("DefaultForAz")]
        # As in EC2, a filter takes patterns.
        patterns = wanted["instance-type"]
        found = {name: about for name, about in TYPES.items() if any(fnmatch(name, each) for each in patterns)}
        if action == "DescribeInstanceTypes":
            return [
                {"InstanceType": name, "ProcessorInfo": {"SupportedArchitectures": [kind]}}
                for name, (_zones, kind) in found.items()
            ]
        return [{"InstanceType": name, "Location": zone} for name, (zones, _kind) in found.items() for zone in zones]

    def attempt(self, action: str, /, **parameters: Any) -> dict[str, Any]:
        self.calls.append((action, parameters))
        assert parameters["DryRun"] is True
        code = "UnauthorizedOperation" if action in self.refused else "DryRunOperation"
        raise RefusedCall(code, "You are not authorized to perform this operation.", action, "ec2")


def foresee(api: Api, *specs: Spec, **wishes: Any) -> dict[str, tuple[str, str]]:
    """The verdict and the sentence of each finding, by what it is about."""

    class Cloud(Access, Checks):
        pass

    checks = Cloud(api)  # type: ignore[arg-type]
    image = Image("ami-1", "an image", "/dev/sda1", architecture="x86_64")
    given = {
        "key_pair": KeyPairSpec("p", "p", public_key=KEY),
        "new_firewall": FirewallSpec("p", "p"),
        "images": {CHOICE: image},
        **wishes,
    }
    return {each.about: (each.verdict, each.said) for each in checks.foresee(Wishes(specs or (spec(),), **given))}


def spec(name: str = "one", **given: Any) -> Spec:
    options = {"image": CHOICE, "instance_type": "g5.xlarge", "subnet": "subnet-a", "key_pair": "p", **given}
    return Spec("p", name, firewalls=("p",), **options)


def wrong(found: Mapping[str, tuple[str, str]]) -> list[str]:
    return [about for about, (verdict, _said) in found.items() if verdict == "wrong"]


def test_what_is_right_is_allowed_and_nothing_is_created() -> None:
    api = Api()
    found = foresee(api)
    assert wrong(found) == []
    assert found["subnet subnet-a"] == ("ok", "vpc-1, r-1a, 250 free addresses")
    assert found["launch of g5.xlarge in subnet-a"][0] == "ok"
    assert found["other permissions"][0] == found["quota"][0] == "unknown"
    tried = [action for action, parameters in api.calls if "DryRun" in parameters]
    assert sorted(tried) == ["CreateSecurityGroup", "ImportKeyPair", "RunInstances"]
    run = next(parameters for action, parameters in api.calls if action == "RunInstances")
    # The key pair is not there yet.
    assert "KeyName" not in run
    assert next(parameters for action, parameters in api.calls if action == "CreateSecurityGroup")["VpcId"] == "vpc-1"


def test_calls_grow_with_what_is_different_and_not_with_the_instances() -> None:
    one, many, two = Api(), Api(), Api()
    foresee(one)
    foresee(many, *(spec(f"n{number}") for number in range(20)))
    foresee(two, spec(), spec("two", instance_type="g5g.xlarge"))
    assert len(one.calls) == len(many.calls) == 6
    assert len(two.calls) == 7


@pytest.mark.parametrize(
    ("given", "about", "said"),
    [
        ({"subnet": "subnet-x"}, "subnet subnet-x", "no such subnet"),
        ({"subnet": "subnet-b"}, "subnet subnet-b", "no free address"),
        ({"subnet": "subnet-b"}, "instance type g5.xlarge", "r-1b does not offer it: use a subnet in r-1a"),
        ({"instance_type": "g5.xlage"}, "instance type g5.xlage", "does not offer it: check its spelling"),
        ({"instance_type": "g5g.xlarge"}, "image an image", "It is for x86_64, and g5g.xlarge is arm64"),
        ({"subnet": None, "availability_zone": "r-1b"}, "instance type g5.xlarge", "r-1b does not offer it"),
    ],
)
def test_a_mistake_is_named(given: dict[str, Any], about: str, said: str) -> None:
    found = foresee(Api(), spec(**given))
    assert about in wrong(found)
    assert said in found[about][1]


@pytest.mark.parametrize("given", [{"subnet": "subnet-x"}, {"instance_type": "g5.xlage"}])
def test_what_is_wrong_anyway_is_not_launched_even_in_a_dry_run(given: dict[str, Any]) -> None:
    api = Api()
    assert len(wrong(foresee(api, spec(**given)))) == 1
    assert "RunInstances" not in [action for action, _parameters in api.calls]


def test_without_a_default_network_a_subnet_has_to_be_named() -> None:
    found = foresee(Api(subnets=SUBNETS[:3]), spec(subnet=None))
    assert "set haven_subnet" in found["subnet"][1]
    assert wrong(foresee(Api(), spec(subnet=None))) == []


def test_subnets_in_several_networks_are_no_mistake() -> None:
    assert wrong(foresee(Api(), spec(), spec("two", subnet="subnet-o"))) == []


@pytest.mark.parametrize("action", ["RunInstances", "ImportKeyPair", "CreateSecurityGroup"])
def test_a_permission_that_is_lacking_is_named(action: str) -> None:
    found = foresee(Api(refused=(action,)))
    (about,) = wrong(found)
    assert f"ec2:{action}" in found[about][1]


@pytest.mark.parametrize("action", ["DescribeSubnets", "DescribeInstanceTypeOfferings", "DescribeInstanceTypes"])
def test_a_question_that_may_not_be_asked_is_not_wrong(action: str) -> None:
    found = foresee(Api(refused=(action,)))
    assert wrong(found) == []


def test_a_pattern_is_no_instance_type() -> None:
    verdict, said = foresee(Api(), spec(instance_type="g5*.xlarge"))["instance type g5*.xlarge"]
    assert (verdict, said) == ("wrong", "This region does not offer it: check its spelling and the region.")
