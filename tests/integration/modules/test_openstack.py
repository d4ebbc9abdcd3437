# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What only OpenStack has, and how its services fail: the real ones, with servers that exist in memory only."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.clouds import OpenStackApi

from .conftest import Account
from .test_errors import assert_plain

pytestmark = pytest.mark.only("openstack")


def server_ids(account: Account) -> list[str]:
    """What nova itself has of the project, in any state."""
    assert isinstance(account.api, OpenStackApi)
    servers = account.api.sdk().compute.servers()
    return [each.id for each in servers if each.metadata.get("haven:project") == account.project]


def test_one_server_costs_few_requests_and_an_unchanged_one_two(account: Account) -> None:
    made = account.make()
    assert made["changed"], made.message
    polls = sum(call == "GET nova /v2.1/servers/detail" for call in account.calls[2:])
    consoles = sum(call.endswith("/action") for call in account.calls)
    assert len(account.calls) - polls - consoles <= 7, account.calls
    again = account.make()
    assert not again["changed"]
    assert len(account.calls) == 2


def test_no_valid_host_is_told_with_what_it_needs_and_leaves_nothing(account: Account) -> None:
    answer = account.make(instance_type="cpu.huge", public_address=True)
    assert_plain(answer, "no_capacity", "No valid host", "4096 vCPUs")
    assert server_ids(account) == []
    assert account.run("instance_info", resources=True)["resources"] == []


def test_quota_is_told_with_what_is_free(account: Account) -> None:
    tiny = {"cloud": "haven-tiny"}
    answer = account.make(instance_type="cpu.large", openstack=tiny)
    assert_plain(answer, "quota", "cores", "of 2 vCPUs")
    assert account.run("instance_info", resources=True, openstack=tiny)["resources"] == []


def test_a_floating_address_comes_changes_and_goes_with_its_server(account: Account) -> None:
    first = account.make()
    assert first.instances["one"]["public_address"] is None
    told = account.instance(public_address=True, check=True)
    bound = account.instance(public_address=True)
    assert bound["diff"] == told["diff"]
    assert bound.instances["one"]["public_address"], bound.message
    assert not account.instance(public_address=True)["changed"]
    assert "address" in {each["kind"] for each in account.run("instance_info", resources=True)["resources"]}
    freed = account.instance(public_address=False)
    assert freed["changed"]
    assert freed.instances["one"]["public_address"] is None
    assert not account.instance(public_address=False)["changed"]
    account.instance(public_address=True)
    account.instance(state="absent")
    assert account.run("instance_info", resources=True)["resources"] == []


def test_an_address_of_the_users_own_is_lent_and_never_released(account: Account) -> None:
    assert isinstance(account.api, OpenStackApi)
    network = account.api.sdk().network
    own = network.create_ip(floating_network_id=network.find_network("public").id)
    try:
        made = account.make(openstack={"floating_ip": own.floating_ip_address})
        assert made.instances["one"]["public_address"] == own.floating_ip_address, made.message
        assert not account.instance(openstack={"floating_ip": own.floating_ip_address})["changed"]
        account.instance(state="absent")
        assert network.get_ip(own.id).port_id is None
    finally:
        network.delete_ip(own.id)


def test_a_server_gets_another_name_and_stays_the_same(account: Account) -> None:
    first = account.make("old").instances["old"]
    renamed = account.instance("new", openstack={"former_name": "old"})
    assert renamed["changed"], renamed.message
    assert renamed.instances["new"]["id"] == first["id"]
    assert account.living() == ["new"]
    assert not account.instance("new", openstack={"former_name": "old"})["changed"]


def test_a_shelved_server_comes_back_as_the_same(account: Account) -> None:
    first = account.make().instances["one"]
    shelved = account.instance(state="shelved")
    assert shelved.instances["one"]["state"] == "shelved", shelved.message
    assert not account.instance(state="shelved")["changed"]
    assert not account.instance(state="stopped")["changed"]
    back = account.instance(state="running")
    machine = back.instances["one"]
    assert (machine["id"], machine["state"], machine["host_key"]) == (first["id"], "running", first["host_key"])


def test_a_rebuilt_server_has_its_id_and_a_new_host_key(account: Account) -> None:
    first = account.make().instances["one"]
    rebuilt = account.instance(state="rebuilt", image={"name": "haven-debian-13-*"})
    machine = rebuilt.instances["one"]
    assert (machine["id"], machine["private_address"]) == (first["id"], first["private_address"]), rebuilt.message
    assert machine["image"] != first["image"]
    assert machine["host_key"] not in (None, first["host_key"])


@pytest.mark.parametrize("options", [{"spot": {}}, {"shutdown_behavior": "stop"}, {"hibernation": True}])
def test_what_only_ec2_has_is_refused_before_any_request(account: Account, options: dict[str, Any]) -> None:
    assert_plain(account.make(**options), "unsupported", "OpenStack")
    assert account.calls == []


def test_a_lost_answer_makes_no_second_server(account: Account) -> None:
    account.api.control(
        "fault", service="nova", method="POST", path="/servers$", drop=True, after_success=True, agent="^openstacksdk"
    )
    answer = account.make(record_host_key=False)
    assert answer["changed"], answer.message
    assert len(server_ids(account)) == 1


def test_an_older_cloud_is_named(account: Account) -> None:
    said = "Version 2.95 is not supported by the API. Minimum is 2.1 and maximum is 2.90."
    account.api.control("fault", service="nova", status=406, message=said, times=-1, agent="^openstacksdk")
    assert_plain(account.run("instance_info"), "unsupported", "2023.1 (Antelope)", "2.90")


def test_wrong_credentials_are_told(account: Account) -> None:
    auth = {"auth_url": f"{account.api.environment['HAVEN_SANDBOX_KEYSTONE_URL']}/v3", "username": "haven"}
    auth.update(password="canary-5d2e", project_name="haven", user_domain_name="Default")
    auth["project_domain_name"] = "Default"
    answer = account.run("instance_info", env={"OS_CLOUD": ""}, openstack={"auth": auth})
    assert_plain(answer, "bad_credentials", "password")
    assert "canary-5d2e" not in answer.message


def test_a_cloud_that_does_not_exist_is_named(account: Account) -> None:
    assert_plain(account.run("instance_info", openstack={"cloud": "nope"}), "bad_credentials", "nope")
