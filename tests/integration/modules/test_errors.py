# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every failure is one or two sentences with what to try: no traceback, no dump, a stable reason."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from .conftest import BASICS, Account, Answer

pytestmark = pytest.mark.only("ec2")


def assert_plain(answer: Answer, reason: str, *said: str) -> None:
    assert answer.values.get("failed"), answer.values
    assert answer["reason"] == reason, answer.message
    for words in said:
        assert words in answer.message
    shown = answer.message + str(answer.values.get("exception", "")) + answer.stderr
    for dump in ("Traceback", "RequestId", "HTTPHeaders", "ResponseMetadata", "botocore", 'File "'):
        assert dump not in shown
    assert "\n" not in answer.message
    assert len(answer.message) < 600
    assert answer.message.endswith(".")


CODES = [
    ("AuthFailure", 401, "bad_credentials", "access key"),
    ("ExpiredToken", 400, "bad_credentials", "expired"),
    ("UnauthorizedOperation", 403, "denied", "ec2:RunInstances"),
    ("VcpuLimitExceeded", 400, "quota", "Service Quotas"),
    ("InsufficientInstanceCapacity", 500, "no_capacity", "another instance type"),
    ("InvalidSubnetID.NotFound", 400, "not_found", "subnet"),
    ("InvalidParameterCombination", 400, "cloud_failure", "InvalidParameterCombination"),
]


@pytest.mark.parametrize(("code", "status", "reason", "said"), CODES)
def test_a_refused_creation_is_explained(account: Account, code: str, status: int, reason: str, said: str) -> None:
    account.api.control("fault", action="RunInstances", code=code, status=status, message="Not now.", times=-1)
    assert_plain(account.make(), reason, said)
    assert account.calls.count("RunInstances") == 1


def test_a_permission_that_is_not_the_calls_own_is_named(account: Account) -> None:
    message = (
        "You are not authorized to perform: iam:PassRole on resource: arn:aws:iam::1:role/x. "
        "Encoded authorization failure message: " + "A" * 900
    )
    account.api.control("fault", action="RunInstances", code="UnauthorizedOperation", status=403, message=message)
    answer = account.make()
    assert_plain(answer, "denied", "iam:PassRole")
    assert "AAAA" not in answer.message


def test_no_capacity_is_told_within_five_seconds_and_asked_once(account: Account) -> None:
    account.api.control(
        "fault", action="RunInstances", code="InsufficientInstanceCapacity", status=500, message="None left.", times=-1
    )
    answer = account.make()
    assert_plain(answer, "no_capacity", "None left")
    assert answer.seconds < 5
    assert account.calls.count("RunInstances") == 1


def test_when_one_of_many_fails_the_rest_is_told_and_kept(account: Account) -> None:
    account.api.control(
        "fault", action="RunInstances", code="InsufficientInstanceCapacity", status=500, message="None left.", times=1
    )
    answer = account.make([f"n{number}" for number in range(5)])
    assert_plain(answer, "no_capacity", "Could not create", "Created and kept")
    assert sorted(each["name"] for each in answer["instances"]) == sorted(account.living())
    account.make([f"n{number}" for number in range(5)])
    assert len(account.living()) == 5


def test_throttling_is_waited_out(account: Account) -> None:
    account.api.control("fault", action="*", code="RequestLimitExceeded", status=503, times=4)
    answer = account.make()
    assert answer["changed"], answer.message


def test_throttling_without_end_is_told(account: Account) -> None:
    account.api.control("fault", action="DescribeInstances", code="RequestLimitExceeded", status=503, times=-1)
    answer = account.make()
    assert_plain(answer, "throttled", "DescribeInstances")
    assert 3 < account.calls.count("DescribeInstances") <= 10


def test_failures_of_the_server_are_tried_again(account: Account) -> None:
    account.api.control("fault", action="*", code="InternalError", status=500, times=2)
    assert account.make()["changed"]


UNKNOWN: list[tuple[dict[str, Any], str, str]] = [
    ({"image": {"id": "ami-0123456789abcdef0"}}, "not_found", "image"),
    ({"image": {"name": "no-such-*"}}, "not_found", "no-such-*"),
    ({"image": {"ssm": "/aws/service/nothing"}}, "not_found", "SSM parameter"),
    ({"instance_type": "z9.huge"}, "invalid_request", "instance type"),
    ({"key_pair": "nobody"}, "not_found", "key pair"),
    ({"subnet": "subnet-0123456789abcdef0"}, "not_found", "subnet"),
    ({"firewalls": ["nothing"]}, "not_found", "haven.gpu.firewall"),
    ({"firewalls": ["sg-0123456789abcdef0"]}, "not_found", "firewall"),
]


@pytest.mark.parametrize(("options", "reason", "said"), UNKNOWN, ids=lambda value: str(value)[:40])
def test_what_the_cloud_does_not_know_is_named(
    account: Account, options: dict[str, Any], reason: str, said: str
) -> None:
    assert_plain(account.make(**options), reason, said)
    assert account.living() == []


def test_wrong_credentials_are_told(account: Account) -> None:
    keys = {"AWS_ACCESS_KEY_ID": "AKIAWRONGWRONGWRONG0", "AWS_SECRET_ACCESS_KEY": "wrong"}
    assert_plain(account.run("instance_info", env=keys), "bad_credentials", "access key")


def test_no_credentials_at_all_are_told(account: Account) -> None:
    nothing = {
        "AWS_ACCESS_KEY_ID": "",
        "AWS_SECRET_ACCESS_KEY": "",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    }
    assert_plain(account.run("instance_info", env=nothing), "bad_credentials", "AWS_ACCESS_KEY_ID")


def test_a_profile_that_does_not_exist_is_named(account: Account) -> None:
    assert_plain(account.run("instance_info", ec2={"profile": "nope"}), "bad_credentials", "nope")


def test_a_missing_region_is_told(account: Account) -> None:
    nowhere = {"AWS_DEFAULT_REGION": "", "AWS_REGION": "", "AWS_CONFIG_FILE": "/dev/null"}
    assert_plain(account.run("instance_info", env=nowhere), "invalid_request", "region")


def test_a_network_that_is_down_is_told_soon(account: Account) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
    answer = account.run("instance_info", ec2={"endpoint_url": url})
    assert_plain(answer, "unreachable", url)
    assert answer.seconds < 10


def test_an_endpoint_that_is_no_address_is_told(account: Account) -> None:
    assert_plain(account.run("instance_info", ec2={"endpoint_url": "not a url"}), "invalid_request")


def test_a_machine_that_dies_while_starting_is_told_with_its_reason(account: Account) -> None:
    account.api.control("fault", action="launch", code="Client.VolumeLimitExceeded", message="Volume limit exceeded")
    answer = account.make()
    assert_plain(answer, "cloud_failure", "terminated instead", "olume limit")


def test_a_console_that_cannot_be_read_is_told(account: Account) -> None:
    account.api.control("fault", action="GetConsoleOutput", code="UnsupportedOperation", message="No.", times=-1)
    answer = account.make()
    assert_plain(answer, "cloud_failure", "GetConsoleOutput")


def test_without_boto3_it_says_what_to_install(account: Account, tmp_path: Path) -> None:
    (tmp_path / "botocore.py").write_text("raise ImportError('not here')\n")
    path = f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    answer = account.run("instance_info", env={"PYTHONPATH": path})
    assert answer["reason"] == "missing_library"
    assert "boto3" in answer.message


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
        answer = account.run("instance", **{"name": ["one"], **BASICS, **options})
        assert_plain(answer, "invalid_request")
        assert "RunInstances" not in account.calls
