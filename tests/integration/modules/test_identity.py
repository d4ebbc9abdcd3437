# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever happens on the way, there is one machine of a name: lost answers, several controllers, killed runs."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.integration.clouds import BASICS, Api

from .conftest import Account


def machines(account: Account) -> list[dict[str, Any]]:
    return list(account.run("instance_info")["instances"])


# It names EC2's action; test_openstack.py loses nova's answer.
@pytest.mark.only("ec2")
@pytest.mark.parametrize("times", [1, 2])
def test_a_lost_answer_makes_no_second_machine(account: Account, times: int) -> None:
    account.api.control("fault", action="RunInstances", after_success=True, times=times)
    answer = account.make()
    assert answer["changed"], answer.message
    assert len(machines(account)) == 1


# It names EC2's action; test_openstack.py loses nova's answer.
@pytest.mark.only("ec2")
def test_a_run_after_an_answer_lost_for_good_finds_the_machine(account: Account) -> None:
    account.api.control("fault", action="RunInstances", after_success=True, times=-1)
    answer = account.make()
    assert answer["reason"] == "unreachable"
    account.api.control("reset")
    again = account.make()
    assert again.ok, again.message
    assert [each["id"] for each in machines(account)] == [again.instances["one"]["id"]]
    assert again.instances["one"]["host_key"]


# Client tokens outlive the machine on EC2 only.
@pytest.mark.only("ec2")
def test_a_lost_answer_after_a_recreation_makes_no_second_machine(account: Account) -> None:
    account.make()
    account.instance(state="absent")
    account.api.control("forget")
    account.api.control("fault", action="RunInstances", after_success=True, times=2)
    answer = account.make()
    assert answer.ok, answer.message
    assert len(machines(account)) == 1


def outcomes(account: Account, *runs: dict[str, Any]) -> list[dict[str, Any]]:
    """Start all at once and wait for all; who is first depends on how long each really waits."""
    basics = {"name": ["one"], "constants": {}, **account.api.basics}
    processes = [account.start("instance", **{**basics, **options}) for options in runs]
    return [json.loads(process.communicate(timeout=120)[0]) for process in processes]


@pytest.mark.parametrize(
    ("cloud", "before"),
    # OpenStack forgets at once.
    [
        ("ec2", "nothing"),
        ("ec2", "terminated"),
        ("ec2", "forgotten"),
        ("openstack", "nothing"),
        pytest.param("openstack", "terminated", marks=pytest.mark.long),
    ],
)
def test_two_controllers_at_once_make_one_machine(account: Account, before: str) -> None:
    if before != "nothing":
        account.make()
        account.instance(state="absent")
    if before == "forgotten":
        account.api.control("forget")
    account.api.control("latency", ms=100)
    first, second = outcomes(account, {}, {})
    assert not first.get("failed"), first
    assert not second.get("failed"), second
    assert first["instances"][0]["id"] == second["instances"][0]["id"]
    assert len(machines(account)) == 1


# The same client token with other parameters is EC2's case.
@pytest.mark.only("ec2")
def test_two_controllers_with_different_wishes_make_one_machine(account: Account) -> None:
    account.api.control("latency", ms=100)
    first, second = outcomes(account, {"instance_type": "t3.small"}, {"instance_type": "t3.large"})
    # The slower one takes the machine as it is, or says that it differs.
    assert {each.get("reason", "fine") for each in (first, second)} <= {"fine", "refused"}, (first, second)
    assert len(machines(account)) == 1


def test_two_controllers_destroying_at_once_both_succeed(account: Account) -> None:
    account.make()
    assert not any(each.get("failed") for each in outcomes(account, {"state": "absent"}, {"state": "absent"}))
    assert machines(account) == []


# It follows EC2's calls; test_openstack_faults.py kills on OpenStack.
@pytest.mark.only("ec2")
@pytest.mark.parametrize("after", ["DescribeImages", "RunInstances", "DescribeInstances", "GetConsoleOutput"])
def test_a_killed_run_is_completed_by_the_next(account: Account, api: Api, after: str) -> None:
    """SIGKILL as soon as a call was seen in the log: the next run converges and the one after changes nothing."""
    api.control("pending", seconds=1.5)
    api.control("latency", ms=100)
    began = time.time()
    process = account.start("instance", name=["one", "two", "three"], **BASICS)
    wanted = 2 if after == "DescribeInstances" else 1
    deadline = time.monotonic() + 30
    while [each["action"] for each in api.log(began)].count(after) < wanted:
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.wait()
    api.control("latency", ms=0)
    account.make(["one", "two", "three"])
    found = machines(account)
    assert sorted(each["name"] for each in found) == ["one", "three", "two"]
    assert all(each["host_key"] and each["state"] == "running" for each in found)
    assert not account.make(["one", "two", "three"])["changed"]


# On OpenStack the extra one goes: see two controllers above.
@pytest.mark.only("ec2")
def test_several_machines_of_one_name_are_reported_not_guessed_at(account: Account) -> None:
    made = account.make(["one", "two"])
    ids = sorted(each["id"] for each in made["instances"])
    account.write_tag(made.instances["two"]["id"], "Name", "one")
    answer = account.make()
    assert answer["reason"] == "refused"
    assert all(each in answer.message for each in ids)
