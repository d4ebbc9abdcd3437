# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What instance does about machines, seen from outside: their states, their changes, and the plan told beforehand."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from .conftest import BASICS, Account


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


def test_tags_are_part_of_the_creating_call(account: Account) -> None:
    account.make(wait="none")
    [launch] = [each for each in account.api.log(account.api.began) if each["action"] == "RunInstances"][-1:]
    sent = {(key.split(".Tag")[0], value) for key, value in launch["params"].items() if "Tag." in key}
    for kind in ("TagSpecification.1", "TagSpecification.2"):
        assert {(kind, "haven:project"), (kind, account.project), (kind, "Name"), (kind, "one")} <= sent


def test_a_second_run_changes_nothing_and_asks_once(account: Account) -> None:
    options = {"tags": {"a": "1"}, "firewalls": ["default"], "public_address": False, "spot": {}}
    first = account.make(**{**options, "firewalls": None})
    second = account.make(**options)
    assert not second["changed"], second.values["diff"]
    assert second["diff"] == {"before": {}, "after": {}}
    assert second["instances"] == first["instances"]
    assert account.calls == ["DescribeInstances"]


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


def test_polls_are_at_most_one_a_second(account: Account) -> None:
    account.api.control("pending", seconds=4)
    account.make()
    moments = [each["t"] for each in account.api.log(account.api.began) if each["action"] == "DescribeInstances"]
    last = moments[-account.calls.count("DescribeInstances") :]
    assert len(last) >= 4
    assert all(later - sooner >= 0.99 for sooner, later in zip(last[1:], last[2:], strict=False))


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


def test_without_host_keys_twenty_machines_cost_twenty_two_calls(account: Account) -> None:
    account.make([f"n{number:02}" for number in range(20)], record_host_key=False)
    assert account.besides_polls().total() == 22


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "image and instance_type"),
        ({"instance_type": "t3.micro"}, "image"),
        ({"state": "stopped", **BASICS}, "no machine one"),
        ({"state": "restarted", **BASICS}, "no machine one"),
    ],
)
def test_what_cannot_be_made_is_said(account: Account, options: dict[str, Any], said: str) -> None:
    for check in (True, False):
        answer = account.instance(check=check, **options)
        assert not answer.ok
        assert said in answer.message
    assert "RunInstances" not in account.calls


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
        before = account.run("instance_info")["instances"]
        told = account.make(check=True, state=state)
        assert told["changed"] is changes, (state, told.message)
        assert account.run("instance_info")["instances"] == before, "check mode touched something"
        done = account.make(state=state)
        assert done["changed"] is changes, (state, done.message)
        assert done["diff"] == told["diff"]
        assert [each["state"] for each in done["instances"]] == ([then] if then else [])


def test_stop_and_start_keep_the_machine_and_its_host_key(account: Account) -> None:
    first = account.make(public_address=True).instances["one"]
    stopped = account.instance(state="stopped").instances["one"]
    assert stopped["public_address"] is None
    started = account.instance(state="running").instances["one"]
    assert started["id"] == first["id"]
    assert started["host_key"] == first["host_key"]
    assert started["public_address"] not in (None, first["public_address"])


def test_tags_firewalls_and_protection_change_in_place(account: Account) -> None:
    first = account.make(tags={"a": "1", "b": "2"}).instances["one"]
    account.run("firewall", name="fw", rules=[{"ports": "22", "from": ["10.0.0.1/32"]}])
    wanted = {
        "tags": {"a": "9"},
        "purge_tags": True,
        "firewalls": ["fw"],
        "termination_protection": True,
        "shutdown_behavior": "terminate",
        "ec2": {"imdsv2": False},
    }
    told = account.instance(check=True, **wanted)
    done = account.instance(**wanted)
    assert done["changed"], done.message
    assert told["diff"] == done["diff"]
    assert set(done["diff"]["after"]["one"]) == {
        "tags",
        "removed_tags",
        "firewalls",
        "imdsv2",
        "shutdown_behavior",
        "termination_protection",
    }
    machine = done.instances["one"]
    assert machine["id"] == first["id"]
    assert machine["firewalls"] == ["fw"]
    assert machine["tags"]["a"] == "9"
    assert "b" not in machine["tags"]
    assert machine["host_key"] == first["host_key"]
    assert not account.instance(**wanted)["changed"]


def test_attributes_outside_the_listing_are_read_only_when_set(account: Account) -> None:
    account.make()
    account.instance(tags={"a": "1"})
    assert "DescribeInstanceAttribute" not in account.calls
    assert not account.instance(termination_protection=False)["changed"]
    assert account.calls.count("DescribeInstanceAttribute") == 1


def test_the_type_changes_only_with_leave_to_stop(account: Account) -> None:
    first = account.make().instances["one"]
    refused = account.instance(instance_type="g6.xlarge")
    assert not refused.ok
    assert refused["reason"] == "refused"
    assert "allow_stop: true" in refused.message
    done = account.instance(instance_type="g6.xlarge", allow_stop=True)
    assert done["changed"], done.message
    machine = done.instances["one"]
    assert (machine["id"], machine["instance_type"], machine["state"]) == (first["id"], "g6.xlarge", "running")
    assert machine["gpu"] == {"model": "L4", "count": 1, "memory_gib": 22.4}
    assert not account.instance(instance_type="g6.xlarge")["changed"]


def test_the_type_of_a_stopped_machine_changes_without_starting_it(account: Account) -> None:
    account.make()
    machine = account.instance(instance_type="t3.small", state="stopped").instances["one"]
    assert (machine["instance_type"], machine["state"]) == ("t3.small", "stopped")
    machine = account.instance(instance_type="t3.large").instances["one"]
    assert (machine["instance_type"], machine["state"]) == ("t3.large", "stopped")


def test_disks_are_encrypted_and_grow_but_never_shrink(account: Account) -> None:
    disks = {"root_volume": {"size_gib": 20}, "data_volumes": [{"size_gib": 50}]}
    made = account.make(**disks)
    assert made.ok, made.message
    volumes = account.make(**disks).instances["one"]["volumes"]
    assert [(each["size_gib"], each["encrypted"], each["delete_with_instance"]) for each in volumes] == [
        (20, True, True),
        (50, True, False),
    ]
    bigger = {"root_volume": {"size_gib": 30}, "data_volumes": [{"size_gib": 60, "type": "io2"}]}
    grown = account.instance(**bigger)
    assert grown["changed"], grown.message
    assert [(each["size_gib"], each["type"]) for each in grown.instances["one"]["volumes"]] == [
        (30, "gp3"),
        (60, "io2"),
    ]
    assert not account.instance(**bigger)["changed"]
    smaller = account.instance(root_volume={"size_gib": 10})
    assert smaller["reason"] == "refused"
    assert "root_volume.size_gib from 30 to 10" in smaller.message
    plain = account.instance(data_volumes=[{"size_gib": 60, "encrypted": False}])
    assert plain["reason"] == "refused"


def test_what_cannot_change_is_named_and_nothing_is_touched(account: Account) -> None:
    account.make()
    wanted = {
        "image": {"id": "ami-0debf13a20260101a"},
        "subnet": "subnet-0123456789abcdef0",
        "key_pair": "other",
        "hibernation": True,
        "spot": {},
        "user_data": "#!/bin/sh\n",
        "tags": {"a": "1"},
    }
    for check in (True, False):
        answer = account.instance(check=check, **wanted)
        assert answer["reason"] == "refused"
        for name in ("image", "subnet", "key_pair", "hibernation", "spot", "user_data"):
            assert f"{name} from" in answer.message
        assert "recreate: true" in answer.message
    assert not {"CreateTags", "TerminateInstances"} & set(account.calls)


def test_a_newer_image_under_the_same_pattern_is_no_difference(account: Account) -> None:
    account.make(image={"name": "haven-debian-12-20250101"})
    again = account.make(image={"name": "haven-debian-12-*"})
    assert not again["changed"]


def test_recreate_replaces_with_another_image_and_only_then(account: Account) -> None:
    first = account.make().instances["one"]
    wanted = {"image": {"id": "ami-0debf13a20260101a"}, "instance_type": "t3.small", "recreate": True}
    told = account.instance(check=True, **wanted)
    assert told["changed"]
    assert account.living() == ["one"]
    done = account.instance(**wanted)
    assert done.ok, done.message
    machine = done.instances["one"]
    assert machine["id"] != first["id"]
    assert machine["image"] == "ami-0debf13a20260101a"
    assert machine["tags"]["haven:generation"] == "2"
    assert account.living() == ["one"]
    assert not account.instance(**wanted)["changed"]


def test_create_destroy_create_works_also_with_another_type(account: Account) -> None:
    ids = set()
    for instance_type in ("t3.micro", "t3.micro", "t3.small"):
        made = account.make(instance_type=instance_type)
        assert made["changed"], made.message
        ids.add(made.instances["one"]["id"])
        assert account.instance(state="absent")["changed"]
    assert len(ids) == 3


def test_create_destroy_create_works_when_the_listing_has_forgotten(account: Account) -> None:
    ids = set()
    for instance_type in ("t3.micro", "t3.micro", "t3.small"):
        made = account.make(instance_type=instance_type)
        assert made["changed"], made.message
        ids.add(made.instances["one"]["id"])
        assert account.instance(state="absent")["changed"]
        account.api.control("forget")
    assert len(ids) == 3


def test_a_protected_machine_stays_unless_told_in_the_same_call(account: Account) -> None:
    account.make(termination_protection=True)
    refused = account.instance(state="absent")
    assert refused["reason"] == "refused", refused.message
    assert "termination_protection: false" in refused.message
    assert account.living() == ["one"]
    done = account.instance(state="absent", termination_protection=False)
    assert done["changed"], done.message
    assert account.living() == []


def test_absent_takes_only_its_own_project(account: Account, api: Any) -> None:
    other = Account(api, f"{account.project}-x")
    account.make(["one", "two"])
    other.make("one")
    assert account.instance(["one", "nobody"], state="absent")["changed"]
    assert account.living() == ["two"]
    assert other.living() == ["one"]


def test_disks_that_stay_are_listed_and_go_when_asked(account: Account) -> None:
    account.make(data_volumes=[{"size_gib": 5}])
    account.instance(state="absent")
    left = account.run("instance_info", resources=True)["resources"]
    assert [(each["kind"], each["name"], each["state"]) for each in left] == [("volume", "one", "available")]
    told = account.instance(state="absent", delete_volumes=True, check=True)
    assert told["changed"]
    assert account.instance(state="absent", delete_volumes=True)["changed"]
    assert account.run("instance_info", resources=True)["resources"] == []
    assert not account.instance(state="absent", delete_volumes=True)["changed"]


def test_one_call_removes_a_machine_with_its_disks(account: Account) -> None:
    account.make(data_volumes=[{"size_gib": 5}])
    done = account.instance(state="absent", delete_volumes=True)
    assert done["changed"], done.message
    assert account.run("instance_info", resources=True)["resources"] == []


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


def test_a_spot_machine_is_called_one(account: Account) -> None:
    told = account.make(spot={"max_price": "0.5"}, check=True)
    assert told["diff"]["after"]["one"]["machine"]["price_class"] == "spot"
    assert account.make(spot={"max_price": "0.5"}).instances["one"]["spot"] is True


@pytest.mark.parametrize(
    "image",
    [
        {"id": "ami-0debf12a20260101a"},
        {"name": "haven-debian-12-2026*"},
        {"ssm": "/aws/service/debian/release/12/latest/amd64"},
    ],
)
def test_an_image_is_found_by_id_by_name_and_by_parameter(account: Account, image: dict[str, str]) -> None:
    answer = account.make(image=image, check=True)
    assert answer["diff"]["after"]["one"]["machine"]["image"] == "ami-0debf12a20260101a", answer.message


def test_an_image_by_name_is_never_a_strangers(account: Account) -> None:
    answer = account.make(image={"name": "haven-debian-12-2099*"})
    assert answer["reason"] == "not_found"


def test_stopping_waits_for_a_machine_that_is_still_starting(account: Account) -> None:
    account.api.control("pending", seconds=2)
    account.make(wait="none")
    stopped = account.instance(state="stopped")
    assert stopped.instances["one"]["state"] == "stopped", stopped.message


def test_starting_waits_for_a_machine_that_is_still_stopping(account: Account) -> None:
    account.make()
    account.api.control("pending", state="stopping", seconds=2)
    account.instance(state="stopped", wait="none")
    started = account.instance(state="running")
    assert started.instances["one"]["state"] == "running", started.message


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
    for key in ("Name", "haven:project", "haven:host-key", "AWS:x"):
        assert account.make(tags={key: "x"})["reason"] == "invalid_request"
