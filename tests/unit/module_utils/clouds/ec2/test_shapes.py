# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""EC2's shapes and errors become ours without a cloud."""

from __future__ import annotations

import string
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.haven.gpu.plugins.module_utils._clouds.ec2 import errors, gpus, shapes
from ansible_collections.haven.gpu.plugins.module_utils._models import Gpu, Image, Rule, Spec, VolumeSpec

IMAGE = Image("ami-1", "debian", "/dev/xvda")
names = st.text(string.ascii_letters + string.digits + "._-", min_size=1, max_size=63)


def parameters(generation: int = 1, **fields: Any) -> dict[str, Any]:
    spec = Spec(**{"project": "p", "name": "one", "instance_type": "small", **fields})
    return shapes.run_parameters(spec, IMAGE, generation, [])


@given(st.tuples(names, names, st.integers(1, 99)), st.tuples(names, names, st.integers(1, 99)))
def test_tokens_are_equal_for_the_same_machine_only(one: tuple[str, str, int], other: tuple[str, str, int]) -> None:
    assert (shapes.client_token(*one) == shapes.client_token(*other)) is (one == other)
    assert len(shapes.client_token(*one)) <= 64


def test_a_repeated_creation_repeats_its_parameters() -> None:
    wish: dict[str, Any] = {
        "tags": {"b": "1", "a": "2"},
        "user_data": "#!/bin/sh\n",
        "data_volumes": (VolumeSpec("/dev/sdf", 5),),
    }
    assert parameters(**wish) == parameters(**wish)


def test_the_defaults_are_the_safe_ones() -> None:
    sent = parameters()
    assert sent["MetadataOptions"]["HttpTokens"] == "required"
    assert sent["NetworkInterfaces"][0]["AssociatePublicIpAddress"] is False
    assert sent["BlockDeviceMappings"][0]["Ebs"]["Encrypted"] is True
    assert (sent["MinCount"], sent["MaxCount"]) == (1, 1)
    data = parameters(data_volumes=(VolumeSpec("/dev/sdf", 5),))["BlockDeviceMappings"][1]["Ebs"]
    assert (data["Encrypted"], data["DeleteOnTermination"]) == (True, False)


def test_what_the_user_says_is_sent() -> None:
    sent = parameters(
        key_pair="k",
        subnet="s",
        public_address=True,
        private_address="10.0.0.9",
        availability_zone="z",
        spot=True,
        spot_max_price="0.5",
        shutdown_behavior="terminate",
        termination_protection=True,
        hibernation=True,
        root_volume=VolumeSpec(None, 30, "io2", False, False),
        options={"imdsv2": False, "iam_instance_profile": "me"},
    )
    assert sent["KeyName"] == "p/k"
    assert sent["NetworkInterfaces"][0] == {
        "DeviceIndex": 0,
        "AssociatePublicIpAddress": True,
        "DeleteOnTermination": True,
        "SubnetId": "s",
        "PrivateIpAddress": "10.0.0.9",
    }
    assert sent["Placement"] == {"AvailabilityZone": "z"}
    assert sent["InstanceMarketOptions"] == {"MarketType": "spot", "SpotOptions": {"MaxPrice": "0.5"}}
    assert sent["InstanceInitiatedShutdownBehavior"] == "terminate"
    assert sent["DisableApiTermination"] is True
    assert sent["HibernationOptions"] == {"Configured": True}
    assert sent["BlockDeviceMappings"][0]["Ebs"] == {
        "VolumeSize": 30,
        "VolumeType": "io2",
        "DeleteOnTermination": False,
    }
    assert sent["MetadataOptions"]["HttpTokens"] == "optional"
    assert sent["IamInstanceProfile"] == {"Name": "me"}
    assert [each["ResourceType"] for each in sent["TagSpecifications"]] == [
        "instance",
        "volume",
        "spot-instances-request",
    ]


def test_without_host_keys_user_data_is_sent_as_it_is() -> None:
    assert parameters(record_host_key=False, user_data="#!x")["UserData"] == b"#!x"
    assert "UserData" not in parameters(record_host_key=False)


def test_a_bare_answer_is_enough_for_an_instance() -> None:
    made = shapes.instance({"InstanceId": "i-1", "State": {"Name": "shutting-down"}}, "r", None)
    assert (made.id, made.state, made.name, made.gone) == ("i-1", "terminating", "", True)
    assert made.as_dict()["volumes"] == []


def test_times_are_told_in_utc() -> None:
    moment = datetime(2026, 3, 1, 10, tzinfo=timezone(timedelta(hours=1)))
    assert shapes.timestamp(moment) == "2026-03-01T09:00:00Z"


@given(st.text(max_size=20))
def test_wildcards_in_filters_are_taken_literally(value: str) -> None:
    [condition] = shapes.filters({"name": [value]})
    sent = condition["Values"][0]
    assert sent.replace("\\\\", "").count("*") == sent.replace("\\\\", "").count("\\*")


rules = st.builds(
    Rule,
    direction=st.sampled_from(["in", "out"]),
    protocol=st.sampled_from(["tcp", "udp"]),
    from_port=st.integers(1, 100),
    to_port=st.integers(100, 200),
    peer=st.sampled_from(["10.0.0.0/8", "fd00::/8", "192.0.2.1/32"]),
)


@given(st.frozensets(rules | st.just(Rule("in", "all", -1, -1, "10.0.0.0/8")), max_size=8))
def test_rules_survive_the_way_to_ec2_and_back(wanted: frozenset[Rule]) -> None:
    fields = {
        field: shapes.permissions([rule for rule in wanted if rule.direction == direction])
        for direction, field in (("in", "IpPermissions"), ("out", "IpPermissionsEgress"))
    }
    seen = shapes.firewall({"GroupId": "sg-1", "GroupName": "p/f", **fields}, "p")
    assert seen.rules == wanted
    assert seen.name == "f"


def test_gpus_of_the_usual_types_are_known_without_a_call() -> None:
    assert gpus.known("g6.12xlarge") == (True, Gpu("L4", 4, 22.4))
    assert gpus.known("t3.micro") == (True, None)
    assert gpus.known("g6f.xlarge") == (True, Gpu("L4", 1, 2.8))
    assert gpus.known("g99.xlarge") == (False, None)


@pytest.mark.parametrize(
    ("gpu", "known"),
    [
        ({"Name": "L4", "Count": 0, "LogicalGpuCount": 1, "MemoryInfo": {"SizeInMiB": 2861}}, Gpu("L4", 1, 2.8)),
        ({"Name": "T4", "Count": 4, "MemoryInfo": {"SizeInMiB": 16384}}, Gpu("T4", 4, 16.0)),
        ({"Count": 2}, Gpu("unknown", 2, 0.0)),
        ({}, Gpu("unknown", 1, 0.0)),
    ],
)
def test_a_described_gpu_is_never_none(gpu: dict[str, Any], known: Gpu) -> None:
    assert gpus.described({"Gpus": [gpu]}) == known
    assert gpus.described({}) is None


def all_codes() -> set[str]:
    named: set[str] = set()
    for value in vars(errors).values():
        if isinstance(value, frozenset):
            named |= value
    return named | {f"{code}.NotFound" for code in errors._MISSING} | {"IncorrectInstanceState", "Whatever"}


@pytest.mark.parametrize("code", sorted(all_codes()))
def test_every_error_is_a_sentence_with_something_to_try(code: str) -> None:
    said = str(errors.from_code(code, "Some\nmessage.", "RunInstances"))
    assert said.endswith(".")
    assert "\n" not in said
    assert ":" in said or "Check" in said
    assert ".." not in said


@given(st.text(max_size=2000))
def test_a_clouds_message_is_one_bounded_printable_line(message: str) -> None:
    said = errors.tidy(message)
    assert said.isprintable()
    assert len(said) <= 300


def test_it_shows_that_a_clouds_message_goes_on() -> None:
    assert errors.tidy("so long. " * 100).endswith("so long[...]")
