# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Key pairs and firewalls."""

from __future__ import annotations

import base64
import os
import struct
from typing import Any

import pytest

from .conftest import Account, Answer


def public_key() -> str:
    name = b"ssh-ed25519"
    blob = struct.pack(">I", len(name)) + name + struct.pack(">I", 32) + os.urandom(32)
    return f"ssh-ed25519 {base64.b64encode(blob).decode()}"


def test_a_key_is_imported_once_whatever_its_comment(account: Account) -> None:
    key = public_key()
    told = account.run("keypair", name="alice", public_key=key, check=True)
    assert told["changed"]
    assert told["keypair"] is None
    first = account.run("keypair", name="alice", public_key=f"{key} alice@laptop")
    assert first["changed"], first.message
    assert first["keypair"]["name"] == "alice"
    second = account.run("keypair", name="alice", public_key=f"{key} alice@desktop\n")
    assert not second["changed"]
    assert second["keypair"] == first["keypair"]
    assert account.touched == []


def test_another_key_under_the_name_needs_leave(account: Account) -> None:
    account.run("keypair", name="alice", public_key=public_key())
    new = public_key()
    refused = account.run("keypair", name="alice", public_key=new)
    assert refused["reason"] == "refused"
    assert "recreate: true" in refused.message
    assert account.run("keypair", name="alice", public_key=new, recreate=True)["changed"]
    assert not account.run("keypair", name="alice", public_key=new, recreate=True)["changed"]


def test_two_projects_have_keys_of_one_name(account: Account, neighbour: Account) -> None:
    account.run("keypair", name="alice", public_key=public_key())
    neighbour.run("keypair", name="alice", public_key=public_key())
    assert account.run("keypair", name="alice", state="absent")["changed"]
    assert [each["kind"] for each in neighbour.run("instance_info", resources=True)["resources"]] == ["key_pair"]
    assert not account.run("keypair", name="alice", state="absent")["changed"]
    assert neighbour.run("keypair", name="alice", state="absent")["changed"]


def test_a_machine_is_made_with_the_projects_key(account: Account) -> None:
    account.run("keypair", name="alice", public_key=public_key())
    assert account.make(key_pair="alice").instances["one"]["key_pair"] == "alice"
    assert not account.make(key_pair="alice")["changed"]


def other_key(kind: str) -> str:
    blob = struct.pack(">I", len(kind)) + kind.encode() + struct.pack(">I", 32) + os.urandom(32)
    return f"{kind} {base64.b64encode(blob).decode()}"


# OpenStack's nova takes ECDSA keys.
@pytest.mark.only("ec2")
@pytest.mark.parametrize("kind", ["ecdsa-sha2-nistp256", "sk-ssh-ed25519@openssh.com"])
def test_a_kind_of_key_that_the_cloud_does_not_import_is_told_before_any_call(account: Account, kind: str) -> None:
    answer = account.run("keypair", name="alice", public_key=other_key(kind))
    assert answer["reason"] == "invalid_request"
    assert kind in answer.message
    assert "ssh_keys" in answer.message
    assert account.calls == []


# What the machine was made with can be read on EC2.
@pytest.mark.only("ec2")
@pytest.mark.parametrize("kind", ["ecdsa-sha2-nistp256", "sk-ssh-ed25519@openssh.com"])
def test_a_machine_gets_keys_of_any_kind_from_cloud_init(account: Account, kind: str) -> None:
    key = f"{other_key(kind)} alice@laptop"
    made = account.make(ssh_keys=[key])
    assert made.ok, made.message
    assert made["diff"]["after"]["one"]["instance"]["ssh_keys"] == [key]
    assert key in account.api.user_data(made.instances["one"]["id"])
    # It is there, and what it was made with does not come again.
    assert not account.make(ssh_keys=[])["changed"]
    assert not account.make(key_pair="any")["changed"]
    refused = account.make("two", ssh_keys=["hello"])
    assert refused["reason"] == "invalid_request"
    assert account.calls == []


@pytest.mark.parametrize("key", ["", "hello", "ssh-ed25519 AAAA", "-----BEGIN OPENSSH PRIVATE KEY-----"])
def test_what_is_no_public_key_is_refused(account: Account, key: str) -> None:
    answer = account.run("keypair", name="alice", public_key=key)
    assert not answer.ok
    assert account.calls == []


# It names EC2's actions.
@pytest.mark.only("ec2")
@pytest.mark.parametrize("times", [1, 2])
def test_a_lost_answer_is_no_error(account: Account, times: int) -> None:
    for action in ("ImportKeyPair", "CreateSecurityGroup", "AuthorizeSecurityGroupIngress"):
        account.api.control("fault", action=action, after_success=True, times=times)
    answer = account.run("keypair", name="alice", public_key=public_key())
    assert answer.ok, answer.message
    answer = account.run("firewall", **FIREWALL)
    assert answer.ok, answer.message
    assert not account.run("firewall", **FIREWALL)["changed"]


FIREWALL: dict[str, Any] = {
    "name": "notebooks",
    "rules": [
        {"ports": "22", "from": ["10.0.0.1/32", "fd00::/8"], "description": "gate"},
        {"protocol": "udp", "ports": "8000-8010", "from": ["10.0.0.0/8"]},
        {"protocol": "icmp", "from": ["10.0.0.0/8"]},
    ],
    "egress": [{"ports": "3128", "to": ["10.0.0.2/32"]}],
}


def test_a_firewall_is_closed_but_for_its_rules_and_unchanged_in_one_call(account: Account) -> None:
    told = account.run("firewall", check=True, **FIREWALL)
    made = account.run("firewall", **FIREWALL)
    assert made["changed"], made.message
    assert told["diff"] == made["diff"]
    rules = {(each["direction"], each["protocol"], each["ports"], each["peer"]) for each in made["firewall"]["rules"]}
    assert rules == {
        ("in", "tcp", "22", "10.0.0.1/32"),
        ("in", "tcp", "22", "fd00::/8"),
        ("in", "udp", "8000-8010", "10.0.0.0/8"),
        ("in", "icmp", None, "10.0.0.0/8"),
        ("out", "tcp", "3128", "10.0.0.2/32"),
    }
    again = account.run("firewall", **FIREWALL)
    assert not again["changed"], again["diff"]
    assert again["firewall"]["rules"] == made["firewall"]["rules"]
    assert account.touched == []


def test_a_firewall_without_rules_lets_nobody_in_and_everything_out(account: Account) -> None:
    made = account.run("firewall", name="closed")
    assert {(each["direction"], each["protocol"]) for each in made["firewall"]["rules"]} == {("out", "all")}
    assert not account.run("firewall", name="closed")["changed"]


def test_an_empty_egress_lets_nothing_out(account: Account) -> None:
    made = account.run("firewall", name="closed", egress=[])
    assert made["firewall"]["rules"] == []
    assert not account.run("firewall", name="closed", egress=[])["changed"]


def test_rules_that_are_not_listed_go_and_check_mode_says_so(account: Account) -> None:
    account.run("firewall", **FIREWALL)
    fewer = {**FIREWALL, "rules": FIREWALL["rules"][:1]}
    told = account.run("firewall", check=True, **fewer)
    assert account.run("firewall", check=True, **FIREWALL)["changed"] is False
    done = account.run("firewall", **fewer)
    assert told["changed"]
    assert done["changed"]
    assert told["diff"] == done["diff"]
    assert len(done["firewall"]["rules"]) == 3


def test_egress_that_is_not_said_is_left_alone(account: Account) -> None:
    account.run("firewall", **FIREWALL)
    only_in = {name: value for name, value in FIREWALL.items() if name != "egress"}
    assert not account.run("firewall", **only_in)["changed"]


# Only EC2's control can keep a machine on its way out.
@pytest.mark.only("ec2")
def test_a_firewall_goes_once_its_machine_lets_go(account: Account) -> None:
    firewall = account.run("firewall", **FIREWALL)["firewall"]
    account.make(firewalls=[firewall["id"]])
    account.api.control("pending", state="shutting-down", seconds=2)
    account.instance(state="absent", wait="none")
    assert account.run("firewall", name="notebooks", state="absent")["changed"]
    assert not account.run("firewall", name="notebooks", state="absent")["changed"]


@pytest.mark.parametrize(
    "rule",
    [
        {"ports": "22", "from": ["10.0.0.1/8"]},
        {"ports": "22", "from": ["everywhere"]},
        {"ports": "90-80", "from": ["10.0.0.0/8"]},
        {"ports": "70000", "from": ["10.0.0.0/8"]},
        {"from": ["10.0.0.0/8"]},
        {"protocol": "icmp", "ports": "1", "from": ["10.0.0.0/8"]},
    ],
)
def test_rules_that_mean_nothing_are_refused(account: Account, rule: dict[str, Any]) -> None:
    answer = account.run("firewall", name="fw", rules=[rule])
    assert answer["reason"] == "invalid_request"
    assert account.calls == []


# The list has EC2's disks in it.
@pytest.mark.only("ec2")
def test_everything_of_a_project_is_listed_and_nothing_of_another(account: Account, neighbour: Account) -> None:
    for each in (account, neighbour):
        each.run("keypair", name="k", public_key=public_key())
        each.run("firewall", name="f")
        each.make("m", key_pair="k", firewalls=["f"])
    answer = account.run("instance_info", resources=True)
    assert [(each["kind"], each["name"]) for each in answer["resources"]] == [
        ("instance", "m"),
        ("volume", "m"),
        ("firewall", "f"),
        ("key_pair", "k"),
    ]
    assert [each["name"] for each in answer["instances"]] == ["m"]


def test_info_filters_by_name_and_state(account: Account) -> None:
    account.make(["a", "b", "c"])
    account.instance("b", state="stopped")

    def names(answer: Answer) -> list[str]:
        return [each["name"] for each in answer["instances"]]

    assert names(account.run("instance_info")) == ["a", "b", "c"]
    assert names(account.run("instance_info", name=["a", "b"], states=["running"])) == ["a"]
    assert names(account.run("instance_info", states=["stopped"])) == ["b"]
