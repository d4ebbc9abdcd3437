# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every failure is one or two sentences with what to try: no traceback, no dump, a stable reason."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path
from typing import Any

import pytest

from .conftest import SHORT_PAUSES, Account, Answer


def assert_plain(answer: Answer, reason: str, *said: str) -> None:
    assert answer.values.get("failed"), answer.values
    assert answer["reason"] == reason, answer.message
    for words in said:
        assert words in answer.message
    shown = answer.message + str(answer.values.get("exception", "")) + answer.stderr
    for dump in (
        "Traceback",
        "RequestId",
        "HTTPHeaders",
        "ResponseMetadata",
        "botocore",
        "keystoneauth",
        "Request-ID",
        'File "',
    ):
        assert dump not in shown
    assert "\n" not in answer.message
    assert len(answer.message) < 600
    assert answer.message.endswith(".")


NOT_NOW = "Not now."
NOBODY = "The request you have made requires authentication."
POLICY = "Policy doesn't allow os_compute_api:servers:create to be performed."
QUOTA = "Quota exceeded for cores: Requested 2, but already used 19 of 20 cores"
NETWORK = "Network 6e1b could not be found."
NETWORKS = "Multiple possible networks found, use a Network ID to be more specific."
SERVERS = {"service": "nova", "method": "POST", "path": "/servers$", "agent": "^openstacksdk"}


def ec2(code: str, status: int, message: str = NOT_NOW) -> dict[str, Any]:
    return {"action": "RunInstances", "code": code, "status": status, "message": message}


def openstack(status: int, message: str) -> dict[str, Any]:
    return {**SERVERS, "status": status, "message": message}


REFUSALS = [
    ("ec2", ec2("AuthFailure", 401), "bad_credentials", "access key"),
    ("ec2", ec2("ExpiredToken", 400), "bad_credentials", "expired"),
    ("ec2", ec2("UnauthorizedOperation", 403), "denied", "ec2:RunInstances"),
    ("ec2", ec2("VcpuLimitExceeded", 400), "quota", "Service Quotas"),
    ("ec2", ec2("InsufficientInstanceCapacity", 500), "no_capacity", "another instance type"),
    ("ec2", ec2("InvalidSubnetID.NotFound", 400), "not_found", "subnet"),
    ("ec2", ec2("InvalidParameterCombination", 400), "cloud_failure", "InvalidParameterCombination"),
    ("openstack", openstack(401, NOBODY), "bad_credentials", "expired"),
    ("openstack", openstack(403, POLICY), "denied", "os_compute_api:servers:create"),
    ("openstack", openstack(403, QUOTA), "quota", "19 of 20 cores"),
    ("openstack", openstack(400, NETWORK), "not_found", "network"),
    ("openstack", openstack(409, NETWORKS), "invalid_request", "openstack.networks"),
    ("openstack", openstack(400, NOT_NOW), "cloud_failure", "Not now"),
]


@pytest.mark.parametrize(("cloud", "fault", "reason", "said"), REFUSALS, ids=lambda value: str(value)[:20])
def test_a_refused_creation_is_explained(account: Account, fault: dict[str, Any], reason: str, said: str) -> None:
    account.api.control("fault", **fault, times=-1)
    assert_plain(account.make(), reason, said)
    # The SDK of OpenStack gets itself another token first.
    renewed = account.api.cloud == "openstack" and reason == "bad_credentials"
    assert account.calls.count(account.api.creating) == (2 if renewed else 1)
    assert account.living() == []


# Only EC2 encodes what it says.
@pytest.mark.only("ec2")
def test_a_permission_that_is_not_the_calls_own_is_named(account: Account) -> None:
    message = (
        "You are not authorized to perform: iam:PassRole on resource: arn:aws:iam::1:role/x. "
        "Encoded authorization failure message: " + "A" * 900
    )
    account.api.control("fault", action="RunInstances", code="UnauthorizedOperation", status=403, message=message)
    answer = account.make()
    assert_plain(answer, "denied", "iam:PassRole")
    assert "AAAA" not in answer.message


def test_lack_of_room_is_told_within_five_seconds_and_asked_once(account: Account) -> None:
    reason = account.api.refuse_creation(times=-1)
    answer = account.make()
    assert_plain(answer, reason, "None left")
    assert answer.seconds < 5
    assert account.calls.count(account.api.creating) == 1


def test_when_one_of_many_fails_the_rest_is_told_and_kept(account: Account) -> None:
    reason = account.api.refuse_creation(times=1)
    names = ["n0", "n1", "n2"]
    answer = account.make(names)
    asked = account.calls.count(account.api.creating)
    assert_plain(answer, reason, "Could not create")
    kept = sorted(each["name"] for each in answer["instances"])
    assert kept == sorted(account.living())
    # What had not begun when the first was refused is not begun any more: how many these are depends on the moment.
    failed, created, skipped = (
        _named_after(words, answer.message)
        for words in ("Could not create", "Created and kept:", "Not tried after that:")
    )
    assert len(failed) == 1
    assert created == kept
    assert asked == len(failed) + len(created)
    assert sorted([*failed, *created, *skipped]) == names
    account.make(names)
    assert sorted(account.living()) == names


def _named_after(words: str, message: str) -> list[str]:
    listed = re.search(rf"{words} (n\d(?:, n\d)*)", message)
    return listed[1].split(", ") if listed else []


def test_throttling_is_waited_out(account: Account) -> None:
    account.api.fail("*", 503, times=4)
    answer = account.make(record_host_key=False, constants=SHORT_PAUSES)
    assert answer.ok, answer.message


def test_throttling_without_end_is_told(account: Account) -> None:
    account.api.fail("read", 503, times=-1)
    answer = account.make(constants=SHORT_PAUSES)
    read = "DescribeInstances" if account.api.cloud == "ec2" else "GET nova /v2.1/servers/detail"
    assert_plain(answer, "throttled", read.rpartition("/v2.1")[2])
    assert 3 < account.calls.count(read) <= 10


def test_failures_of_the_server_are_tried_again(account: Account) -> None:
    account.api.fail("*", 500, times=2)
    answer = account.make(record_host_key=False)
    assert answer.ok, answer.message


NO_ID = "00000000-0000-0000-0000-000000000000"
UNKNOWN: list[tuple[str, dict[str, Any], str, str]] = [
    *(
        (cloud, options, reason, said)
        for cloud in ("ec2", "openstack")
        for options, reason, said in (
            ({"image": {"name": "no-such-*"}}, "not_found", "no-such-*"),
            ({"instance_type": "z9.huge"}, "invalid_request", "instance type"),
            ({"key_pair": "nobody"}, "not_found", "key pair"),
            ({"firewalls": ["nothing"]}, "not_found", "haven.gpu.firewall"),
        )
    ),
    ("ec2", {"image": {"id": "ami-0123456789abcdef0"}}, "not_found", "image"),
    ("ec2", {"image": {"parameter": "/aws/service/nothing"}}, "not_found", "SSM parameter"),
    ("ec2", {"subnet": "subnet-0123456789abcdef0"}, "not_found", "subnet"),
    ("ec2", {"firewalls": ["sg-0123456789abcdef0"]}, "not_found", "firewall"),
    ("openstack", {"image": {"id": NO_ID}}, "not_found", "image"),
    ("openstack", {"image": {"parameter": "/aws/service/x"}}, "invalid_request", "parameters"),
    ("openstack", {"subnet": NO_ID}, "not_found", "subnet"),
    ("openstack", {"openstack": {"networks": ["nowhere"]}}, "not_found", "nowhere"),
    ("openstack", {"public_address": True, "openstack": {"floating_ip_pool": "dry"}}, "not_found", "dry"),
    ("openstack", {"tags": {"a/b": "c"}}, "invalid_request", "metadata"),
]


@pytest.mark.parametrize(("cloud", "options", "reason", "said"), UNKNOWN, ids=lambda value: str(value)[:40])
def test_what_the_cloud_does_not_know_is_named(
    account: Account, options: dict[str, Any], reason: str, said: str
) -> None:
    assert_plain(account.make(**options), reason, said)
    assert account.living() == []


# The SDKs' own variables; test_openstack.py has OpenStack's.
@pytest.mark.only("ec2")
def test_wrong_credentials_are_told(account: Account) -> None:
    keys = {"AWS_ACCESS_KEY_ID": "AKIAWRONGWRONGWRONG0", "AWS_SECRET_ACCESS_KEY": "wrong"}
    assert_plain(account.run("instance_info", env=keys), "bad_credentials", "access key")


# As above.
@pytest.mark.only("ec2")
def test_no_credentials_at_all_are_told(account: Account) -> None:
    nothing = {
        "AWS_ACCESS_KEY_ID": "",
        "AWS_SECRET_ACCESS_KEY": "",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    }
    assert_plain(account.run("instance_info", env=nothing), "bad_credentials", "AWS_ACCESS_KEY_ID")


# As above.
@pytest.mark.only("ec2")
def test_a_profile_that_does_not_exist_is_named(account: Account) -> None:
    assert_plain(account.run("instance_info", ec2={"profile": "nope"}), "bad_credentials", "nope")


# OpenStack's region is optional.
@pytest.mark.only("ec2")
def test_a_missing_region_is_told(account: Account) -> None:
    nowhere = {"AWS_DEFAULT_REGION": "", "AWS_REGION": "", "AWS_CONFIG_FILE": "/dev/null"}
    assert_plain(account.run("instance_info", env=nowhere), "invalid_request", "region")


def test_a_network_that_is_down_is_told_soon(account: Account) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
    # Else the SDK takes the address from its own configuration.
    answer = account.run("instance_info", env={"OS_CLOUD": ""}, **account.api.at(url))
    assert_plain(answer, "unreachable", url)
    assert answer.seconds < 10


# An option of EC2's.
@pytest.mark.only("ec2")
def test_an_endpoint_that_is_no_address_is_told(account: Account) -> None:
    assert_plain(account.run("instance_info", ec2={"endpoint_url": "not a url"}), "invalid_request")


def test_a_console_that_cannot_be_read_is_told(account: Account) -> None:
    account.api.fail("console", 501, code="UnsupportedOperation", message="No.", times=-1)
    said = "GetConsoleOutput" if account.api.cloud == "ec2" else "POST /servers/{id}/action"
    assert_plain(account.make(), "cloud_failure", said)


def test_without_its_library_it_says_what_to_install(account: Account, tmp_path: Path) -> None:
    module, package = account.api.library
    (tmp_path / f"{module}.py").write_text("raise ImportError('not here')\n")
    path = f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    answer = account.run("instance_info", env={"PYTHONPATH": path})
    assert answer["reason"] == "missing_library"
    assert package in answer.message


def test_bad_options_are_refused_before_any_call(account: Account) -> None:
    bad: list[dict[str, Any]] = [
        {"private_address": "10.64.0.99", "name": ["a", "b"]},
        {"name": []},
        {"login_user": "x y"},
        {"hops": [{"host": "-oProxyCommand=x"}]},
        {"data_volumes": [{"size_gib": 1, "device": "/dev/sdf"}, {"size_gib": 1, "device": "/dev/sdf"}]},
        {"user_data": "\n".join(str(number) * 7 for number in range(20000))},
    ]
    for options in bad:
        answer = account.run("instance", **{"name": ["one"], **account.api.basics, **options})
        assert_plain(answer, "invalid_request")
        assert account.touched == []
