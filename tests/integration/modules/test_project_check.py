# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The check before anything is created, against the real APIs: what it finds and costs, and that nothing is made."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import Account, Answer

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAr2m4Tn0f8P0mB4W7i6bq2y1lJt9o3m5Zk7h0s8Qx1d"
# Beside the token of OpenStack.
MOST_CALLS = 11


def check(account: Account, *instances: dict[str, Any], **options: Any) -> Answer:
    given = {"key_pair": "demo", "public_key": KEY, "firewall": "demo", **options}
    defaults = {"key_pair": "demo", "firewalls": ["demo"]}
    answer = account.run("project_check", instances=list(instances), instance_defaults=defaults, **given)
    assert answer.ok, answer.message
    return answer


def notebook(account: Account, **given: Any) -> dict[str, Any]:
    return {"name": "notebook", **account.api.basics, "state": "present", **given}


def verdicts(answer: Answer, verdict: str) -> dict[str, str]:
    return {each["about"]: each["said"] for each in answer["findings"] if each["verdict"] == verdict}


def wanted_network(account: Account) -> dict[str, Any]:
    return {"openstack": {"networks": ["private"]}} if account.api.cloud == "openstack" else {}


def test_what_is_right_is_found_right_in_few_calls_and_nothing_is_made(account: Account) -> None:
    own = wanted_network(account)
    answer = check(account, notebook(account, **own))
    assert verdicts(answer, "wrong") == {}
    assert answer["creates"] == ["notebook"]
    assert len(account.calls) <= MOST_CALLS
    few = len(account.calls)
    check(account, *(notebook(account, name=f"n{number}", **own) for number in range(12)))
    assert len(account.calls) == few
    left = account.run("instance_info", resources=True)
    assert left["resources"] == []


def test_several_mistakes_are_found_in_one_run(account: Account) -> None:
    answer = check(
        account,
        notebook(account, image={"name": "no-such-image-*"}, **wanted_network(account)),
        notebook(account, name="two", instance_type="g5.xlage", **wanted_network(account)),
        notebook(account, name="three", instance_typ="x"),
        public_key="~/.ssh/id_ed25519.pub",
        hops=[{"host": "gate.invalid", "key": "/gone/id"}],
    )
    assert verdicts(answer, "wrong").keys() >= {
        "image no-such-image-*",
        "instance type g5.xlage",
        "instance three",
        "key pair",
        "key of jump host gate.invalid",
    }


def test_if_everything_exists_the_instances_are_listed_and_nothing_else_is_asked(account: Account) -> None:
    assert account.make("notebook").ok
    answer = check(account, notebook(account))
    assert answer["creates"] == []
    assert len([call for call in account.calls if "token" not in call]) == 1


@pytest.mark.only("ec2")
def test_the_subnet_the_key_and_the_permissions_are_checked(account: Account) -> None:
    answer = check(account, notebook(account, subnet="subnet-0123456789abcdef0"))
    assert "no such subnet" in verdicts(answer, "wrong")["subnet subnet-0123456789abcdef0"]
    sk = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBA=="
    assert "ecdsa-sha2-nistp256" in verdicts(check(account, notebook(account), public_key=sk), "wrong")["key pair"]
    account.api.control(
        "fault", action="RunInstances", code="UnauthorizedOperation", status=403, message="not authorized", times=9
    )
    assert "ec2:RunInstances" in verdicts(check(account, notebook(account)), "wrong")["launch of t3.micro"]


@pytest.mark.only("openstack")
def test_networks_and_quotas_are_checked(account: Account) -> None:
    wrong = verdicts(check(account, notebook(account, openstack={"networks": ["privat"]})), "wrong")
    assert "no network 'privat'" in wrong["networks"]
    right = verdicts(check(account, notebook(account, **wanted_network(account))), "ok")
    assert right.keys() >= {"networks", "permissions", "quota of compute", "quota of network"}
