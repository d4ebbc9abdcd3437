# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Accounts with several networks (VPCs), with a default one that is not wanted, and without any default."""

from __future__ import annotations

import boto3
import pytest

from .conftest import Account
from .test_errors import assert_plain

pytestmark = pytest.mark.only("ec2")


def subnets(account: Account, default: str) -> tuple[str, str]:
    """Make that network the account's default; returns a subnet of the guests' network, and one of the other."""
    account.api.control("networks", default="other")
    known = account.api.control("networks", default=default)
    return known["own"]["subnets"][0], known["other"]["subnets"][0]


@pytest.mark.parametrize("default", ["own", "other", "none"])
def test_a_firewall_is_in_the_network_of_the_subnet(account: Account, default: str) -> None:
    own, other = subnets(account, default)
    made = [account.run("firewall", name="f", subnet=each) for each in (own, other)]
    assert all(each["changed"] for each in made)
    assert len({each["firewall"]["network"] for each in made}) == 2
    again = account.run("firewall", name="f", subnet=other)
    assert (again["changed"], again["firewall"]["id"]) == (False, made[1]["firewall"]["id"])
    assert account.calls == ["DescribeSubnets", "DescribeSecurityGroups"]
    # Each instance uses the one in its own network.
    for name, subnet in (("here", own), ("there", other)):
        instance = {"name": [name], **account.api.basics, "subnet": subnet, "firewalls": ["f"]}
        answer = account.run("instance", **instance)
        assert answer.ok, answer.message
        assert answer.instances[name]["subnet"] == subnet
        assert not account.run("instance", **instance)["changed"]
    # By default it is the one in the default network, if there is one.
    bare = account.run("firewall", name="f")
    if default == "none":
        assert_plain(bare, "refused", "several networks", "subnet")
    else:
        wanted = made[0 if default == "own" else 1]["firewall"]["id"]
        assert (bare["changed"], bare["firewall"]["id"]) == (False, wanted)
    assert account.run("firewall", name="f", subnet=other, state="absent", check=True)["changed"]
    assert account.run("project", state="absent").ok


def test_an_account_without_a_default_network_is_told_before_anything_is_made(account: Account) -> None:
    subnets(account, "none")
    assert_plain(account.run("firewall", name="f"), "not_found", "default network", "haven_subnet")
    assert_plain(account.make(), "not_found", "default network", "subnet")
    assert account.living() == []
    assert account.run("instance_info", resources=True)["resources"] == []


def test_a_default_network_without_a_subnet_in_it_is_told(account: Account) -> None:
    message = "No subnets found for the default VPC 'vpc-1'. Please specify a subnet."
    account.api.control("fault", action="RunInstances", code="MissingInput", message=message)
    assert_plain(account.make(), "not_found", "default network", "haven_subnet")


def test_a_firewall_of_another_network_is_told(account: Account) -> None:
    own, other = subnets(account, "own")
    account.run("firewall", name="f", subnet=other)
    answer = account.make(subnet=own, firewalls=["f"])
    assert_plain(answer, "invalid_request", "different networks", "haven.gpu.firewall")
    assert account.living() == []


def test_a_subnet_that_is_not_there_is_named_before_a_firewall_is_made(account: Account) -> None:
    answer = account.run("firewall", name="f", subnet="subnet-0123456789abcdef0")
    assert_plain(answer, "not_found", "subnet-0123456789abcdef0")
    assert account.touched == []


def test_a_zone_without_the_type_is_told_with_those_that_have_it(account: Account) -> None:
    environment = account.api.environment
    client = boto3.client(
        "ec2",
        region_name=environment["AWS_DEFAULT_REGION"],
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
    )
    known = account.api.control("networks", default="own")["own"]["subnets"]
    zones = {each["SubnetId"]: each["AvailabilityZone"] for each in client.describe_subnets(SubnetIds=known)["Subnets"]}
    assert len(set(zones.values())) == 3
    where, *others = (zones[each] for each in known)
    message = (
        f"Your requested instance type (g5.xlarge) is not supported in your requested Availability Zone ({where}). "
        f"Please retry your request by not specifying an Availability Zone or choosing {', '.join(others)}."
    )
    account.api.control("fault", action="RunInstances", code="Unsupported", message=message)
    assert_plain(account.make(subnet=known[0]), "invalid_request", f"a subnet in {' or '.join(others)}")
    assert account.make(subnet=known[1]).ok
