# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What instance makes, starts, stops and removes, and what it tells beforehand."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.integration.clouds import BASICS

from .conftest import Account


def test_a_new_machine_runs_with_its_tags_its_host_key_and_no_public_address(account: Account) -> None:
    answer = account.make(login_user="debian", tags={"team": "path"})
    assert answer["changed"], answer.message
    machine = answer.instances["one"]
    assert machine["state"] == "running"
    assert machine["public_address"] is None
    assert machine["host_key"].startswith("ssh-ed25519 ")
    assert machine["login_user"] == "debian"
    assert machine["tags"]["team"] == "path"
    assert machine["tags"]["haven:project"] == account.project
    assert account.run("instance_info")["instances"] == [
        {**machine, "volumes": account.run("instance_info")["instances"][0]["volumes"]}
    ]


# It looks into EC2's call; on OpenStack tags are metadata of the same call by nature.
@pytest.mark.only("ec2")
def test_tags_are_part_of_the_creating_call(account: Account) -> None:
    account.make(wait="none")
    [launch] = [each for each in account.api.log(account.api.began) if each["action"] == "RunInstances"][-1:]
    sent = {(key.split(".Tag")[0], value) for key, value in launch["params"].items() if "Tag." in key}
    for kind in ("TagSpecification.1", "TagSpecification.2"):
        assert {(kind, "haven:project"), (kind, account.project), (kind, "Name"), (kind, "one")} <= sent


# EC2's calls; tests/bench counts OpenStack's.
@pytest.mark.only("ec2")
def test_one_machine_costs_five_calls_besides_polls(account: Account) -> None:
    account.api.control("pending", seconds=2)
    account.make()
    assert account.besides_polls() == {
        "DescribeInstances": 1,
        "DescribeImages": 1,
        "RunInstances": 1,
        "GetConsoleOutput": 1,
        "CreateTags": 1,
    }


# OpenStack is asked at short intervals that grow.
@pytest.mark.only("ec2")
def test_polls_are_at_most_one_a_second(account: Account) -> None:
    account.api.control("pending", seconds=4)
    account.make()
    moments = [each["t"] for each in account.api.log(account.api.began) if each["action"] == "DescribeInstances"]
    last = moments[-account.calls.count("DescribeInstances") :]
    assert len(last) >= 4
    assert all(later - sooner >= 0.99 for sooner, later in zip(last[1:], last[2:], strict=False))


# EC2's calls; tests/bench counts OpenStack's.
@pytest.mark.only("ec2")
def test_twenty_machines_are_one_call_of_the_module(account: Account) -> None:
    names = [f"n{number:02}" for number in range(20)]
    account.api.control("pending", seconds=2)
    made = account.make(names)
    assert list(made.instances) == names
    counted = account.besides_polls()
    # Trust costs a console reading and a tag a machine; all else is 22 calls.
    assert counted.pop("GetConsoleOutput") == counted.pop("CreateTags") == 20
    assert counted == {"DescribeInstances": 1, "DescribeImages": 1, "RunInstances": 20}
    again = account.make(names)
    assert not again["changed"]
    assert account.calls == ["DescribeInstances"]


# EC2's calls; tests/bench counts OpenStack's.
@pytest.mark.only("ec2")
def test_without_host_keys_twenty_machines_cost_twenty_two_calls(account: Account) -> None:
    account.make([f"n{number:02}" for number in range(20)], record_host_key=False)
    assert account.besides_polls().total() == 22


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "image and instance_type"),
        ({"instance_type": "t3.micro"}, "image"),
        ({"state": "stopped", **BASICS}, "no instance one"),
        ({"state": "restarted", **BASICS}, "no instance one"),
    ],
)
def test_what_cannot_be_made_is_said(account: Account, options: dict[str, Any], said: str) -> None:
    # What is asked for by name has to be there.
    wish = {**options, **{name: account.api.basics[name] for name in options if name in account.api.basics}}
    for check in (True, False):
        answer = account.instance(check=check, **wish)
        assert not answer.ok
        assert said in answer.message
    assert account.touched == []


def test_states_follow_each_other_and_check_mode_tells_each_step(account: Account) -> None:
    """present leaves a stopped machine alone; everything else brings it where it says."""
    steps = [
        ("present", True, "running"),
        ("present", False, "running"),
        ("stopped", True, "stopped"),
        ("stopped", False, "stopped"),
        ("present", False, "stopped"),
        ("running", True, "running"),
        ("running", False, "running"),
        ("stopped", True, "stopped"),
        ("restarted", True, "running"),
        ("restarted", True, "running"),
        ("absent", True, None),
        ("absent", False, None),
    ]
    for state, changes, then in steps:
        told = account.make(check=True, state=state)
        assert told["changed"] is changes, (state, told.message)
        assert account.touched == [], "check mode touched something"
        done = account.make(state=state)
        assert done["changed"] is changes, (state, done.message)
        assert done["diff"] == told["diff"]
        assert [each["state"] for each in done["instances"]] == ([then] if then else [])


# On OpenStack a floating IP stays; test_openstack.py has what it keeps.
@pytest.mark.only("ec2")
def test_stop_and_start_keep_the_machine_and_its_host_key(account: Account) -> None:
    first = account.make(public_address=True).instances["one"]
    stopped = account.instance(state="stopped").instances["one"]
    assert stopped["public_address"] is None
    started = account.instance(state="running").instances["one"]
    assert started["id"] == first["id"]
    assert started["host_key"] == first["host_key"]
    assert started["public_address"] not in (None, first["public_address"])


def test_absent_takes_only_its_own_project(account: Account, neighbour: Account) -> None:
    account.make(["one", "two"])
    neighbour.make("one")
    assert account.instance(["one", "nobody"], state="absent")["changed"]
    assert account.living() == ["two"]
    assert neighbour.living() == ["one"]


def test_user_data_travels_beside_ours_and_is_compared_as_given(account: Account) -> None:
    user_data = "#cloud-config\nruncmd: [[touch, /tmp/x]]\n"
    account.make(user_data=user_data)
    assert not account.make(user_data=user_data.rstrip())["changed"]
    assert "user_data" in account.instance(user_data="#!/bin/sh\ntrue\n").message


def test_user_data_is_shown_nowhere(account: Account) -> None:
    secret = "canary-7f3a"
    text = f"#!/bin/sh\necho {secret}\n"
    answers = [
        account.make(user_data=text, check=True),
        account.make(user_data=text),
        account.make(user_data=text + "#"),
    ]
    for answer in answers:
        shown = str(answer.values) + answer.stderr
        assert secret not in shown
        assert base64.b64encode(text.encode()).decode()[:24] not in shown


# OpenStack has no spot market.
@pytest.mark.only("ec2")
def test_a_spot_machine_is_called_one(account: Account) -> None:
    told = account.make(spot={"max_price": "0.5"}, check=True)
    assert told["diff"]["after"]["one"]["instance"]["price_class"] == "spot"
    assert account.make(spot={"max_price": "0.5"}).instances["one"]["spot"] is True


# Parameters and these ids are EC2's.
@pytest.mark.only("ec2")
@pytest.mark.parametrize(
    "image",
    [
        {"id": "ami-0debf12a20260101a"},
        {"name": "haven-debian-12-2026*"},
        {"parameter": "/aws/service/debian/release/12/latest/amd64"},
    ],
)
def test_an_image_is_found_by_id_by_name_and_by_parameter(account: Account, image: dict[str, str]) -> None:
    answer = account.make(image=image, check=True)
    assert answer["diff"]["after"]["one"]["instance"]["image"] == "ami-0debf12a20260101a", answer.message


# The image under a stranger's name is EC2's.
@pytest.mark.only("ec2")
def test_an_image_by_name_is_never_a_strangers(account: Account) -> None:
    answer = account.make(image={"name": "haven-debian-12-2099*"})
    assert answer["reason"] == "not_found"


# Only EC2's control can keep a machine pending without a fault.
@pytest.mark.only("ec2")
def test_stopping_waits_for_a_machine_that_is_still_starting(account: Account) -> None:
    account.api.control("pending", seconds=2)
    account.make(wait="none")
    stopped = account.instance(state="stopped")
    assert stopped.instances["one"]["state"] == "stopped", stopped.message


# Nova has no state between; a task is awaited the same way.
@pytest.mark.only("ec2")
def test_starting_waits_for_a_machine_that_is_still_stopping(account: Account) -> None:
    account.make()
    account.api.control("pending", state="stopping", seconds=2)
    account.instance(state="stopped", wait="none")
    started = account.instance(state="running")
    assert started.instances["one"]["state"] == "running", started.message


# Only EC2's control can keep a machine pending without a fault.
@pytest.mark.only("ec2")
def test_too_short_a_wait_says_what_it_waited_for(account: Account) -> None:
    account.api.control("pending", seconds=30)
    answer = account.make(wait_timeout=1)
    assert answer["reason"] == "timeout"
    assert "pending" in answer.message
    assert answer.instances["one"]["state"] == "pending"


def test_a_name_with_a_wildcard_is_refused(account: Account) -> None:
    account.make()
    for name in ("*", "o?e", "", "a/b", "-x"):
        assert account.instance([name], state="absent")["reason"] == "invalid_request"
    assert account.living() == ["one"]


def test_tags_that_say_who_a_machine_is_cannot_be_set(account: Account) -> None:
    # AWS keeps some for itself.
    for key in ("Name", "haven:project", "haven:host-key", *(["AWS:x"] if account.api.cloud == "ec2" else [])):
        assert account.make(tags={key: "x"})["reason"] == "invalid_request"
