# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Only what carries our mark is ours, whatever its name is: what somebody else made is neither used nor removed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from tests.integration.clouds import Api, OpenStackApi

from .conftest import Account
from .test_access_and_info import public_key
from .test_errors import assert_plain

OPEN = {"name": "web", "rules": [{"ports": "22", "from": ["10.0.0.1/32"]}]}


def ec2(api: Api) -> Any:
    environment = api.environment
    return boto3.client(
        "ec2",
        region_name=environment["AWS_DEFAULT_REGION"],
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
    )


class Stranger:
    """Somebody who works in the same account, without haven.gpu."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.groups: list[str] = []
        self.keys: list[str] = []

    def group(self, name: str) -> str:
        """A security group that lets the world in."""
        if isinstance(self.api, OpenStackApi):
            network = self.api.aside.network
            made = network.create_security_group(name=name, description="mine").id
            network.create_security_group_rule(security_group_id=made, direction="ingress", protocol="tcp")
        else:
            made = ec2(self.api).create_security_group(GroupName=name, Description="mine")["GroupId"]
        self.groups.append(made)
        return str(made)

    def key_pair(self, name: str) -> None:
        if isinstance(self.api, OpenStackApi):
            body = {"keypair": {"name": name, "public_key": f"{public_key()} me", "type": "ssh"}}
            # Older versions take fewer characters in names.
            answer = self.api.aside.compute.post("/os-keypairs", json=body, microversion="2.92")
            answer.raise_for_status()
        else:
            ec2(self.api).import_key_pair(KeyName=name, PublicKeyMaterial=public_key().encode())
        self.keys.append(name)

    def has_key_pair(self, name: str) -> bool:
        if isinstance(self.api, OpenStackApi):
            return self.api.sdk().compute.find_keypair(name) is not None
        return name in [each["KeyName"] for each in ec2(self.api).describe_key_pairs()["KeyPairs"]]

    def leave(self) -> None:
        for group in self.groups:
            if isinstance(self.api, OpenStackApi):
                self.api.aside.network.delete_security_group(group)
            else:
                ec2(self.api).delete_security_group(GroupId=group)
        for name in self.keys:
            if isinstance(self.api, OpenStackApi):
                self.api.aside.compute.delete_keypair(name)
            else:
                ec2(self.api).delete_key_pair(KeyName=name)


@pytest.fixture
def stranger(account: Account) -> Iterator[Stranger]:
    one = Stranger(account.api)
    yield one
    account.instance(account.living() or "none", state="absent")
    one.leave()


def groups_of(account: Account, instance_id: str) -> set[str]:
    """The ids of the security groups that really let in or not."""
    if isinstance(account.api, OpenStackApi):
        ports = account.api.aside.network.ports(device_id=instance_id)
        return {group for port in ports for group in port.security_group_ids}
    found = ec2(account.api).describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"][0]
    return {group["GroupId"] for group in found["SecurityGroups"]}


def test_a_firewall_whose_name_is_taken_is_refused_by_id(account: Account, stranger: Stranger) -> None:
    theirs = stranger.group(f"{account.project}/web")
    assert_plain(account.run("firewall", **OPEN), "refused", theirs, "choose another name")
    assert_plain(account.make(firewalls=["web"]), "not_found", "haven.gpu.firewall")
    assert account.living() == []
    # Nor does it go with the project.
    assert account.run("instance_info", resources=True)["resources"] == []


# Names are unique in a VPC of EC2.
@pytest.mark.only("openstack")
def test_of_two_groups_of_one_name_the_one_with_our_mark_is_taken(account: Account, stranger: Stranger) -> None:
    made = account.run("firewall", **OPEN)
    ours = made["firewall"]["id"]
    # Until one of them sorts lower: the lowest id used to win.
    theirs = [stranger.group(f"{account.project}/web")]
    while min(theirs) > ours:
        theirs.append(stranger.group(f"{account.project}/web"))
    again = account.run("firewall", **OPEN)
    assert not again["changed"]
    assert all(each in str(again.values.get("warnings")) for each in theirs)
    machine = account.make(firewalls=["web"], public_address=True).instances["one"]
    assert groups_of(account, machine["id"]) == {ours}
    assert not account.make(firewalls=["web"])["changed"]
    # A machine that has theirs is told and mended, though the names are the same.
    port = next(iter(account.api.aside.network.ports(device_id=machine["id"])))
    account.api.aside.network.update_port(port, security_groups=[min(theirs)])
    told = account.instance(firewalls=["web"], check=True)
    assert told["diff"]["before"]["one"]["firewalls"] == [min(theirs)]
    assert account.instance(firewalls=["web"])["changed"]
    assert groups_of(account, machine["id"]) == {ours}


def test_somebody_elses_group_is_used_by_its_id_only(account: Account, stranger: Stranger) -> None:
    theirs = stranger.group(f"{account.project}-plain")
    assert_plain(account.make(firewalls=[f"{account.project}-plain"]), "not_found", "haven.gpu.firewall")
    machine = account.make(firewalls=[theirs]).instances["one"]
    assert groups_of(account, machine["id"]) == {theirs}


def test_somebody_elses_key_pair_is_neither_taken_nor_removed(account: Account, stranger: Stranger) -> None:
    ours = f"{account.project}/alice" if account.api.cloud == "ec2" else f"alice@{account.project}.haven"
    stranger.key_pair(ours)
    assert_plain(account.run("keypair", name="alice", public_key=public_key()), "refused", ours)
    assert_plain(account.run("keypair", name="alice", state="absent"), "refused", ours)
    assert account.run("instance_info", resources=True)["resources"] == []
    assert account.run("project", state="absent").ok
    assert stranger.has_key_pair(ours)


def test_our_key_pair_is_ours_though_its_comment_is_a_mark(account: Account) -> None:
    key = f"{public_key()} alice@laptop"
    assert account.run("keypair", name="alice", public_key=key)["changed"]
    assert not account.run("keypair", name="alice", public_key=key)["changed"]
    assert [each["kind"] for each in account.run("instance_info", resources=True)["resources"]] == ["key_pair"]
    assert account.run("keypair", name="alice", state="absent")["changed"]
    assert account.run("instance_info", resources=True)["resources"] == []
