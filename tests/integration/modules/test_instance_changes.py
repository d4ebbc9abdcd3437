# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What instance changes in place, what it refuses to change, and what it replaces only on request."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import Account
from .test_access_and_info import public_key
from .test_marks import groups_of


def test_a_second_run_changes_nothing_and_asks_little(account: Account) -> None:
    options: dict[str, Any] = {"tags": {"a": "1"}, "public_address": False}
    if account.api.cloud == "ec2":
        options["spot"] = {}
    first = account.make(**options)
    # That of the network, which carries no mark.
    groups = sorted(groups_of(account, first.instances["one"]["id"]))
    second = account.make(**options, firewalls=groups)
    assert not second["changed"], second.values["diff"]
    assert second["diff"] == {"before": {}, "after": {}}
    assert second["instances"] == first["instances"]
    assert account.touched == []
    assert len(account.calls) <= account.api.calls_unchanged


def test_tags_firewalls_and_protection_change_in_place(account: Account) -> None:
    first = account.make(tags={"a": "1", "b": "2"}).instances["one"]
    account.run("firewall", name="fw", rules=[{"ports": "22", "from": ["10.0.0.1/32"]}])
    wanted: dict[str, Any] = {
        "tags": {"a": "9"},
        "purge_tags": True,
        "firewalls": ["fw"],
        "termination_protection": True,
        **account.api.own_options,
    }
    told = account.instance(check=True, **wanted)
    done = account.instance(**wanted)
    assert done["changed"], done.message
    assert told["diff"] == done["diff"]
    assert set(done["diff"]["after"]["one"]) == {
        "tags",
        "removed_tags",
        "firewalls",
        "termination_protection",
        *account.api.own_changes,
    }
    machine = done.instances["one"]
    assert machine["id"] == first["id"]
    assert machine["firewalls"] == ["fw"]
    assert machine["tags"]["a"] == "9"
    assert "b" not in machine["tags"]
    assert machine["host_key"] == first["host_key"]
    assert not account.instance(**wanted)["changed"]


# OpenStack's listing has them all.
@pytest.mark.only("ec2")
def test_attributes_outside_the_listing_are_read_only_when_set(account: Account) -> None:
    account.make()
    account.instance(tags={"a": "1"})
    assert "DescribeInstanceAttribute" not in account.calls
    assert not account.instance(termination_protection=False)["changed"]
    assert account.calls.count("DescribeInstanceAttribute") == 1


def test_the_type_changes_only_with_leave_to_stop(account: Account) -> None:
    first = account.make().instances["one"]
    larger = account.api.gpu_type
    refused = account.instance(instance_type=larger)
    assert not refused.ok
    assert refused["reason"] == "refused"
    assert "allow_stop: true" in refused.message
    done = account.instance(instance_type=larger, allow_stop=True)
    assert done["changed"], done.message
    machine = done.instances["one"]
    assert (machine["id"], machine["instance_type"], machine["state"]) == (first["id"], larger, "running")
    assert machine["gpu"] == account.api.gpu
    assert not account.instance(instance_type=larger)["changed"]


def test_the_type_of_a_stopped_machine_changes_without_starting_it(account: Account) -> None:
    account.make(record_host_key=False)
    other, first = account.api.other_type, account.api.basics["instance_type"]
    changed = account.instance(instance_type=other, state="stopped")
    assert changed.ok, changed.message
    machine = changed.instances["one"]
    assert (machine["instance_type"], machine["state"]) == (other, "stopped")
    machine = account.instance(instance_type=first).instances["one"]
    assert (machine["instance_type"], machine["state"]) == (first, "stopped")


def test_disks_grow_but_never_shrink(account: Account) -> None:
    """On OpenStack the root disk is a volume then, and whether one is encrypted is up to its type."""
    ec2 = account.api.cloud == "ec2"
    disks: dict[str, Any] = {"root_volume": {"size_gib": 8}, "data_volumes": [{"size_gib": 4}]}
    made = account.make(**disks)
    assert made.ok, made.message
    again = account.make(**disks)
    assert not again["changed"], again["diff"]
    volumes = again.instances["one"]["volumes"]
    assert [(each["size_gib"], each["encrypted"], each["delete_with_instance"]) for each in volumes] == [
        (8, ec2, True),
        (4, ec2, False),
    ]
    bigger: dict[str, Any] = {"root_volume": {"size_gib": 9}, "data_volumes": [{"size_gib": 6}]}
    told = account.instance(check=True, **bigger)
    grown = account.instance(**bigger)
    assert grown["changed"], grown.message
    assert grown["diff"] == told["diff"]
    assert [each["size_gib"] for each in grown.instances["one"]["volumes"]] == [9, 6]
    assert not account.instance(**bigger)["changed"]
    smaller = account.instance(root_volume={"size_gib": 5})
    assert smaller["reason"] == "refused"
    assert "root_volume.size_gib from 9 to 5" in smaller.message


# The types of OpenStack's volumes are each cloud's own, and the sandbox has one.
@pytest.mark.only("ec2")
def test_a_disk_changes_its_type_but_not_its_encryption(account: Account) -> None:
    account.make(data_volumes=[{"size_gib": 60}])
    changed = account.instance(data_volumes=[{"size_gib": 60, "type": "io2"}])
    assert changed["changed"], changed.message
    assert [each["type"] for each in changed.instances["one"]["volumes"]] == ["gp3", "io2"]
    plain = account.instance(data_volumes=[{"size_gib": 60, "encrypted": False}])
    assert plain["reason"] == "refused"


def test_what_cannot_change_is_named_and_nothing_is_touched(account: Account) -> None:
    account.run("keypair", name="k", public_key=public_key())
    account.make(key_pair="k")
    wanted: dict[str, Any] = {
        "image": {"id": account.api.other_image},
        "key_pair": "other",
        "user_data": "#!/bin/sh\n",
        "tags": {"a": "1"},
        **account.api.own_unchangeable,
    }
    for check in (True, False):
        answer = account.instance(check=check, **wanted)
        assert answer["reason"] == "refused"
        for name in wanted.keys() - {"tags"}:
            assert f"{name} from" in answer.message
        assert "recreate: true" in answer.message
        assert account.touched == []


def test_a_newer_image_under_the_same_pattern_is_no_difference(account: Account) -> None:
    account.make(image={"name": "haven-debian-12-20250101"})
    again = account.make(image={"name": "haven-debian-12-2*"})
    assert not again["changed"]


def test_recreate_replaces_with_another_image_and_only_then(account: Account) -> None:
    first = account.make().instances["one"]
    image, other = account.api.other_image, account.api.other_type
    wanted: dict[str, Any] = {"image": {"id": image}, "instance_type": other, "recreate": True}
    told = account.instance(check=True, **wanted)
    assert told["changed"]
    assert account.living() == ["one"]
    done = account.instance(**wanted)
    assert done.ok, done.message
    machine = done.instances["one"]
    assert machine["id"] != first["id"]
    assert machine["image"] == image
    assert machine["tags"]["haven:generation"] == "2"
    assert account.living() == ["one"]
    assert not account.instance(**wanted)["changed"]


@pytest.mark.parametrize(("cloud", "forgets"), [("ec2", False), ("ec2", True), ("openstack", True)])
def test_create_destroy_create_works_also_with_another_type(account: Account, forgets: bool) -> None:
    """Whether the listing still shows what is gone, as EC2's does for an hour, or not, as OpenStack's."""
    ids = set()
    types = [account.api.basics["instance_type"], account.api.other_type]
    if account.api.cloud == "ec2":
        # With the same wish, so that its client token could be a spent one.
        types.insert(0, types[0])
    for instance_type in types:
        made = account.make(instance_type=instance_type)
        assert made["changed"], made.message
        ids.add(made.instances["one"]["id"])
        assert account.instance(state="absent")["changed"]
        if forgets and account.api.cloud == "ec2":
            account.api.control("forget")
    assert len(ids) == len(types)


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
