# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was found is addressed by id, since anybody may change a name in the cloud's console; one odd thing among it
keeps nobody from dealing with the rest."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.integration.clouds import OpenStackApi
from tests.integration.sandbox_guests import wait_until

from .conftest import Account
from .test_errors import assert_plain

ODD = ["two (old)", "a/b", "\u202egpj.exe", "-rf", "{{ 7 * 7 }}", "two", "\u009b2J"]


def rename(account: Account, instance_id: str, name: str) -> None:
    """As somebody does in the cloud's console."""
    if isinstance(account.api, OpenStackApi):
        account.api.aside.compute.put(f"/servers/{instance_id}", json={"server": {"name": name}}).raise_for_status()
    else:
        account.api.write_tag(instance_id, "Name", name)


def states(account: Account) -> dict[str, str]:
    return {each["id"]: each["state"] for each in account.run("instance_info")["instances"]}


@pytest.fixture
def three(account: Account) -> list[str]:
    """The ids of three machines."""
    made = account.make(["one", "two", "three"], data_volumes=[{"device": "/dev/sdf", "size_gib": 1}]).instances
    return [made[name]["id"] for name in ("one", "two", "three")]


def test_all_are_stopped_and_started_and_removed_whatever_they_are_called(account: Account, three: list[str]) -> None:
    # EC2's console can also empty a name; nova takes printable ones.
    rename(account, three[1], "two (old)" if account.api.cloud == "openstack" else "")
    rename(account, three[2], "one")
    assert account.run("instance", id=three, state="stopped", check=True)["changed"]
    stopped = account.run("instance", id=three, state="stopped")
    assert stopped["changed"], stopped.message
    assert set(states(account).values()) == {"stopped"}
    assert not account.run("instance", id=three, state="stopped")["changed"]
    started = account.run("instance", id=three, state="running")
    assert started["changed"], started.message
    assert sorted(states(account).values()) == ["running"] * 3
    told = account.run("project", state="absent", check=True)
    gone = account.run("project", state="absent")
    assert gone["changed"], gone.message
    assert told["removed"] == gone["removed"]
    # EC2 lists the root disks, too.
    assert [each["kind"] for each in gone["removed"]].count("volume") >= 3
    assert account.run("instance_info", resources=True)["resources"] == []
    assert not account.run("project", state="absent")["changed"]


@pytest.mark.parametrize("name", ODD)
@pytest.mark.only("ec2")
def test_a_name_of_any_kind_is_no_hindrance(account: Account, name: str) -> None:
    ids = [each["id"] for each in account.make(["one", "two"]).instances.values()]
    rename(account, ids[0], name)
    assert account.run("instance", id=ids, state="stopped").ok
    assert set(states(account).values()) == {"stopped"}
    assert account.run("project", state="absent").ok
    assert states(account) == {}


def test_one_that_cannot_be_dealt_with_is_named_and_the_rest_is_done(account: Account, three: list[str]) -> None:
    rename(account, three[0], "two (old)")
    protected = account.instance("two", termination_protection=True)
    assert protected.ok, protected.message
    if account.api.cloud == "ec2":
        account.api.control(
            "fault", action="StopInstances", code="UnsupportedOperation", status=400, times=-1,
            match={"InstanceId.1": three[2]},
        )  # fmt: skip
        account.api.control("fault", action="StopInstances", code="UnsupportedOperation", status=400)
        answer = account.run("instance", id=three, state="stopped")
        assert_plain(answer, "cloud_failure", three[2], "1 of 3")
        assert states(account) == {three[0]: "stopped", three[1]: "stopped", three[2]: "running"}
    answer = account.run("project", state="absent")
    assert_plain(answer, "incomplete", three[1], "termination_protection")
    assert states(account).keys() == {three[1]}
    assert {each["kind"] for each in answer["left"]} == {"instance", "volume"}
    assert account.instance("two", termination_protection=False).ok
    assert account.run("project", state="absent").ok
    assert account.run("instance_info", resources=True)["resources"] == []


def test_an_id_of_nobody_or_of_another_project_is_refused(account: Account, neighbour: Account) -> None:
    theirs = neighbour.make("one").instances["one"]["id"]
    assert_plain(account.run("instance", id=[theirs], state="stopped"), "not_found", theirs)
    assert_plain(account.run("instance", id=[theirs], state="present"), "invalid_request", "takes a name")
    assert_plain(account.run("instance", id=["i-1; x"], state="stopped"), "invalid_request")
    assert not account.run("instance", id=[theirs], state="absent")["changed"]
    assert neighbour.living() == ["one"]


def test_what_is_being_terminated_is_waited_for_since_it_holds_its_disks(account: Account) -> None:
    disks: dict[str, Any] = {"data_volumes": [{"device": "/dev/sdf", "size_gib": 1}]}
    if account.api.cloud == "ec2":
        # Tens of seconds on the real one.
        account.api.control("pending", state="shutting-down", seconds=4)
    account.make(**disks)
    assert account.instance(state="absent", wait="none")["changed"]
    began = time.monotonic()
    gone = account.instance(state="absent", delete_volumes=True)
    assert gone["changed"], gone.message
    assert account.api.cloud == "openstack" or time.monotonic() - began > 2
    assert account.run("instance_info", resources=True)["resources"] == []


def test_two_at_once_remove_everything_between_them(account: Account) -> None:
    if account.api.cloud == "ec2":
        account.api.control("pending", state="shutting-down", seconds=3)
    account.make(["one", "two"], data_volumes=[{"device": "/dev/sdf", "size_gib": 1}])
    account.run("firewall", name="web")
    both = [account.start("project", state="absent") for _ in range(2)]
    for process in both:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, out + err
    assert wait_until(lambda: account.run("instance_info", resources=True)["resources"] == [], 5)
