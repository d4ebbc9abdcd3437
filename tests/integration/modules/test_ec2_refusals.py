# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What EC2 accepts and then does not do, and what it refuses for one of many."""

from __future__ import annotations

import pytest

from .conftest import Account
from .test_errors import assert_plain

pytestmark = pytest.mark.only("ec2")
FULL = "Server.InsufficientInstanceCapacity"
NO_ROOM = "We currently do not have sufficient t3.small capacity in the Availability Zone you requested."


def states(account: Account) -> dict[str, str]:
    return {each["name"]: each["state"] for each in account.run("instance_info")["instances"]}


@pytest.mark.parametrize(
    ("code", "message", "reason"),
    [
        (FULL, "Insufficient capacity to satisfy instance request", "no_capacity"),
        ("Client.VolumeLimitExceeded", "Volume limit exceeded", "quota"),
        ("Server.InternalError", "Internal error on launch", "cloud_failure"),
    ],
)
def test_a_launch_that_ends_after_it_was_accepted_has_its_reason(
    account: Account, code: str, message: str, reason: str
) -> None:
    account.api.control("fault", action="launch", code=code, message=message)
    assert_plain(account.make(), reason, "terminated instead", message)
    assert account.living() == []
    assert account.make().ok


def test_a_start_that_ends_after_it_was_accepted_has_its_reason(account: Account) -> None:
    account.make()
    account.instance(state="stopped")
    account.api.control("pending", seconds=1.5)
    account.api.control("fault", action="start", code=FULL, message="Insufficient capacity.")
    answer = account.instance(state="running", wait_timeout=60)
    assert_plain(answer, "no_capacity", "was stopped instead of becoming running")
    assert answer.instances["one"]["state"] == "stopped"
    assert account.instance(state="running").ok


@pytest.mark.parametrize("later", [False, True])
def test_no_room_for_another_type_leaves_the_instance_as_it_was(account: Account, later: bool) -> None:
    account.make()
    refusal = {"action": "StartInstances", "code": "InsufficientInstanceCapacity", "status": 500, "message": NO_ROOM}
    if later:
        account.api.control("pending", seconds=1.5)
        refusal = {"action": "start", "code": FULL, "message": NO_ROOM}
    account.api.control("fault", **refusal)
    options = {"instance_type": "t3.small", "allow_stop": True, "state": "running"}
    answer = account.make(**options)
    assert_plain(answer, "no_capacity", "one is running again, with the instance type t3.micro")
    assert (answer.instances["one"]["state"], answer.instances["one"]["instance_type"]) == ("running", "t3.micro")
    assert account.make(**options).instances["one"]["instance_type"] == "t3.small"


def test_no_room_for_the_former_type_either_is_said_and_the_next_run_converges(account: Account) -> None:
    account.make()
    code = "InsufficientInstanceCapacity"
    account.api.control("fault", action="StartInstances", code=code, status=500, message=NO_ROOM, times=2)
    options = {"instance_type": "t3.small", "allow_stop": True, "state": "running"}
    assert_plain(account.make(**options), "no_capacity", "one is stopped now, with the instance type t3.micro")
    assert states(account) == {"one": "stopped"}
    done = account.make(**options).instances["one"]
    assert (done["state"], done["instance_type"]) == ("running", "t3.small")


@pytest.mark.parametrize("by", ["name", "id"])
def test_a_spot_instance_does_not_keep_the_others_running(account: Account, by: str) -> None:
    made = account.make("mine").instances["mine"]
    spot = account.make("spot", spot={}).instances["spot"]
    answer = account.run("instance", **{by: [made[by], spot[by]]}, state="stopped")
    assert_plain(answer, "refused", "spot", "state: absent", "The others succeeded")
    assert states(account) == {"mine": "stopped", "spot": "running"}
    # Only the spot instance is left to say something about.
    again = account.run("instance", **{by: [made[by], spot[by]]}, state="stopped")
    assert_plain(again, "refused", "spot")


def test_a_protected_instance_does_not_keep_the_others(account: Account) -> None:
    account.make("kept", termination_protection=True)
    account.make(["a", "b"])
    assert_plain(account.instance(["a", "kept", "b"], state="absent"), "refused", "kept", "termination_protection")
    assert states(account) == {"kept": "running"}
    account.instance("kept", state="absent", termination_protection=False)


def test_a_type_whose_gpus_cannot_be_asked_for_has_unknown_ones(account: Account) -> None:
    """The permission is optional, and "unknown" must not look like "none"."""
    code = "UnauthorizedOperation"
    account.api.control("fault", action="DescribeInstanceTypes", code=code, status=403, message="No.", times=-1)
    told = account.make(instance_type="p99.xlarge", check=True)
    assert told.ok, told.message
    assert told["diff"]["after"]["one"]["instance"]["gpu"] == "1 x unknown"


def test_terms_that_are_not_accepted_are_told_with_their_address(account: Account) -> None:
    image = {"id": "ami-0a4ce7fa12026010a"}
    refused = account.make(image=image)
    assert_plain(refused, "refused", "open https://aws.amazon.com/marketplace/pp?sku=7zjmlfxjjw0c1 while", "accept")
    assert account.living() == []
    account.api.control("accept", image=image["id"])
    assert account.make(image=image).ok


@pytest.mark.parametrize(
    ("policy", "explicit", "verdict"),
    [
        ("service control policy", True, "A service control policy denies ec2:RunInstances explicitly"),
        ("permissions boundary", False, "No permissions boundary allows ec2:RunInstances"),
    ],
)
def test_who_denies_is_told_and_adding_a_permission_is_not_advised(
    account: Account, policy: str, explicit: bool, verdict: str
) -> None:
    account.api.control("deny", action="RunInstances", policy=policy, explicit=explicit)
    refused = account.make()
    assert_plain(refused, "denied", verdict, "would not help")
    assert "have it added" not in refused.message
