# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What instance changes in place, what it refuses to change, and what it replaces only on request."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import Account

pytestmark = pytest.mark.only("ec2")


def test_a_second_run_changes_nothing_and_asks_once(account: Account) -> None:
    options: dict[str, Any] = {"tags": {"a": "1"}, "firewalls": ["default"], "public_address": False, "spot": {}}
    first = account.make(**{**options, "firewalls": None})
    second = account.make(**options)
    assert not second["changed"], second.values["diff"]
    assert second["diff"] == {"before": {}, "after": {}}
    assert second["instances"] == first["instances"]
    assert account.calls == ["DescribeInstances"]


def test_tags_firewalls_and_protection_change_in_place(account: Account) -> None:
    first = account.make(tags={"a": "1", "b": "2"}).instances["one"]
    account.run("firewall", name="fw", rules=[{"ports": "22", "from": ["10.0.0.1/32"]}])
    wanted: dict[str, Any] = {
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
    disks: dict[str, Any] = {"root_volume": {"size_gib": 20}, "data_volumes": [{"size_gib": 50}]}
    made = account.make(**disks)
    assert made.ok, made.message
    volumes = account.make(**disks).instances["one"]["volumes"]
    assert [(each["size_gib"], each["encrypted"], each["delete_with_instance"]) for each in volumes] == [
        (20, True, True),
        (50, True, False),
    ]
    bigger: dict[str, Any] = {"root_volume": {"size_gib": 30}, "data_volumes": [{"size_gib": 60, "type": "io2"}]}
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
    wanted: dict[str, Any] = {
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
    wanted: dict[str, Any] = {"image": {"id": "ami-0debf13a20260101a"}, "instance_type": "t3.small", "recreate": True}
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
