# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the services of OpenStack refuse is told in their own words, with what is true about it and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.integration.clouds import OpenStackApi

from .conftest import SHORT_PAUSES, Account
from .test_errors import assert_plain
from .test_lost_answers import WHOLE, counted, fault
from .test_openstack import server_ids

pytestmark = pytest.mark.only("openstack")

TINY: dict[str, Any] = {"openstack": {"cloud": "haven-tiny"}}
LISTING = "GET nova /v2.1/servers/detail"


def api_of(account: Account) -> OpenStackApi:
    assert isinstance(account.api, OpenStackApi)
    return account.api


# -- limits on the rate of requests


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (413, "This request was rate-limited."),
        pytest.param(429, "Too many requests.", marks=pytest.mark.long),
    ],
)
def test_a_limit_of_the_rate_is_waited_for_as_the_service_asks(account: Account, status: int, message: str) -> None:
    def limit(seconds: str, times: int) -> None:
        account.api.control(
            "fault", service="nova", method="GET", path="/servers/detail", agent="^openstacksdk", status=status,
            message=message, retry_after=seconds, times=times,
        )  # fmt: skip

    limit("1", 2)
    answer = account.run("instance_info", constants=SHORT_PAUSES)
    assert answer.ok, answer.message
    assert account.calls.count(LISTING) == 3
    # Nobody waits that long: it is said, and not asked again.
    limit("3600", -1)
    assert_plain(account.run("instance_info"), "throttled", message.rstrip("."), "3600 s")
    assert account.calls.count(LISTING) == 1


def test_a_limit_of_the_rate_of_creations_makes_nothing_twice(account: Account) -> None:
    fault(account, "server", status=413, message="This request was rate-limited.", retry_after="1", times=2)
    answer = account.make(constants={**account.api.constants, **SHORT_PAUSES})
    assert answer.ok, answer.message
    assert len(server_ids(account)) == 1


# -- servers that nova accepts and does not start


def test_a_network_that_refuses_nova_is_no_lack_of_room(account: Account) -> None:
    asked = {"service": "neutron", "method": "POST", "path": "/ports", "agent": "^(?!openstacksdk)"}
    for status, message in ((409, "The fabric is being repaired."), (401, "The request requires authentication.")):
        account.api.control("fault", **asked, status=status, message=message, times=-1)
        answer = account.make()
        assert answer["reason"] in ("cloud_failure", "bad_credentials"), answer.message
        assert "instance_type" not in answer.message
        account.api.control("reset")
    assert server_ids(account) == []


def test_a_host_that_refuses_to_start_a_server_is_no_lack_of_room(account: Account) -> None:
    # Once all hosts have refused, nova keeps the reason to itself.
    for demand, said in (("spawn", "does not say why"), ("abort", "the server's metadata demands it")):
        answer = account.make(tags={"sandbox:fail": demand})
        assert_plain(answer, "cloud_failure", said)
        assert "instance_type" not in answer.message
    assert server_ids(account) == []


# -- quotas that are full for one resource only


@contextmanager
def quota(account: Account, **network: int) -> Iterator[None]:
    """The tiny project's quota of the network service, for a while."""
    admin, tiny = api_of(account).sdk("haven-admin"), api_of(account).sdk("haven-tiny").current_project_id
    before = admin.network.get(f"/quotas/{tiny}").json()["quota"]
    admin.network.put(f"/quotas/{tiny}", json={"quota": network}).raise_for_status()
    try:
        yield
    finally:
        admin.network.put(f"/quotas/{tiny}", json={"quota": {name: before[name] for name in network}})


def test_a_quota_is_told_as_that_of_the_service_that_refused(account: Account) -> None:
    with quota(account, port=0):
        # nova says it for neutron, or neutron itself.
        for options in ({}, {"public_address": True}):
            answer = account.make(**TINY, **options)
            assert_plain(answer, "quota", "port", "0 of 0 ports")
            assert "instances" not in answer.message
    with quota(account, floatingip=0):
        answer = account.make(**TINY, public_address=True)
        assert_plain(answer, "quota", "floatingip", "0 of 0 floating IPs")
    answer = account.make(**TINY, data_volumes=[{"device": "/dev/vdb", "size_gib": 6}])
    assert_plain(answer, "quota", "5 of 5 GiB of volumes")
    assert "vCPUs" not in answer.message
    assert account.run("instance_info", resources=True, **TINY)["resources"] == []


def test_what_nova_says_stands_in_every_refusal(account: Account) -> None:
    fault(account, "server", status=403, message="Only on weekdays, says the operator.")
    assert_plain(account.make(), "denied", "Only on weekdays", "role")


# -- images


@pytest.fixture
def image(account: Account) -> Iterator[Any]:
    """An image of the project's own, without content."""
    glance = api_of(account).sdk().image
    made = glance.create_image(name=f"own-{account.project}", disk_format="raw", container_format="bare")
    yield made
    glance.delete_image(made.id)


def test_an_image_that_is_not_active_is_told_before_anything_is_made(account: Account, image: Any) -> None:
    for choice in ({"name": image.name}, {"name": f"{image.name[:-1]}*"}, {"id": image.id}):
        answer = account.make(**{**WHOLE, "firewalls": []}, image=choice)
        assert_plain(answer, "invalid_request", image.id, "queued", "upload")
        assert account.touched == []
    admin = api_of(account).sdk("haven-admin").image
    binary = {"Content-Type": "application/octet-stream"}
    admin.put(f"/images/{image.id}/file", data=b"x", headers=binary).raise_for_status()
    admin.post(f"/images/{image.id}/actions/deactivate").raise_for_status()
    assert_plain(account.make(image={"name": image.name}), "invalid_request", "deactivated", "withdrawn")


def test_of_two_images_of_a_name_the_newest_is_taken_and_its_owner_told(account: Account) -> None:
    name = "haven-debian-12-cuda-20260101"
    glance = api_of(account).aside.image
    older, newer = sorted(glance.images(name=name), key=lambda each: (str(each.created_at), each.id))
    assert older.owner != newer.owner
    told = account.make(image={"name": name}, check=True)["diff"]["after"]["one"]["instance"]
    assert (told["image"], told["image_owner"]) == (newer.id, newer.owner)
    told = account.make(image={"name": name, "owner": older.owner}, check=True)["diff"]["after"]["one"]["instance"]
    assert told["image"] == older.id


def test_a_community_image_is_taken_only_with_its_owner(account: Account) -> None:
    name = "haven-debian-12-20991231"
    (offered,) = api_of(account).aside.image.images(name=name, visibility="community")
    answer = account.make(image={"name": name})
    assert_plain(answer, "not_found", "community", offered.owner)
    told = account.make(image={"name": name, "owner": offered.owner}, check=True)
    assert told["diff"]["after"]["one"]["instance"]["image"] == offered.id


def test_names_that_are_no_plain_text_are_shown_as_what_they_are(account: Account, image: Any) -> None:
    """Escape sequences, line breaks, and characters that change the direction of writing: glance takes all of them."""
    plain = str(image.name)
    hostile = f"{plain}-\x1b[2J\n\u202e"
    glance = api_of(account).aside.image
    glance.update_image(image, name=hostile)
    answer = account.make(image={"name": f"{plain}-*"})
    assert_plain(answer, "invalid_request", "queued", "\\x1b[2J\\n\\u202e")
    glance.put(f"/images/{image.id}/file", data=b"x", headers={"Content-Type": "application/octet-stream"})
    told = account.make(image={"name": f"{plain}-*"}, check=True)
    assert told["diff"]["after"]["one"]["instance"]["image_name"].endswith("-\\x1b[2J\\n\\u202e")


def test_a_hidden_image_is_told_by_its_id(account: Account, image: Any) -> None:
    api_of(account).aside.image.update_image(image, os_hidden=True)
    assert_plain(account.make(image={"name": f"{image.name[:-1]}?"}), "not_found", "hidden", image.id)


# -- GPUs


def test_flavors_with_the_names_that_universities_use_have_gpus(account: Account) -> None:
    for flavor, gpu in (
        ("gpu.rtx6000.2", "2 x RTX 6000"),
        ("m.8c.64g.1g", "1 x GeForce 2080 TI, 11 GiB each"),
        ("special", "unknown number x unknown"),
    ):
        told = account.make(instance_type=flavor, check=True)
        assert told["diff"]["after"]["one"]["instance"]["gpu"] == gpu
    assert "gpu" not in account.make(check=True)["diff"]["after"]["one"]["instance"]


def test_where_the_cloud_hides_extra_specs_nobody_says_that_there_is_no_gpu(account: Account) -> None:
    account.api.control("policy", service="nova", rules={"os_compute_api:os-flavor-extra-specs:index": "role:admin"})
    machine = account.make().instances["one"]
    assert machine["gpu"] == {"model": "unknown", "count": 0, "memory_gib": 0.0}
    assert account.run("instance_info")["instances"][0]["gpu"] == machine["gpu"]
    told = account.make("two", instance_type="gpu.a100.1", check=True)
    assert told["diff"]["after"]["two"]["instance"]["gpu"] == "unknown number x A100"


# -- which service it is


def test_the_service_that_does_not_answer_is_named(account: Account) -> None:
    account.api.control("service", name="keystone", do="kill")
    answer = account.run("instance_info", constants=SHORT_PAUSES)
    assert_plain(answer, "unreachable", "identity service", account.api.environment["HAVEN_SANDBOX_KEYSTONE_URL"])
    assert "compute" not in answer.message


def test_rules_that_were_made_and_answered_with_an_error_are_found(account: Account) -> None:
    asked = {"service": "neutron", "method": "POST", "path": "/security-group-rules", "agent": "^openstacksdk"}
    account.api.control("fault", **asked, status=500, after_success=True, times=2)
    rules = [{"ports": "22", "from": ["10.0.0.1/32"]}, {"ports": "443", "from": ["10.0.0.1/32"]}]
    made = account.run("firewall", name="web", rules=rules, constants=SHORT_PAUSES)
    assert made["changed"], made.message
    assert not account.run("firewall", name="web", rules=rules)["changed"]
    # Where nothing was made either, the options are not to blame.
    fault(account, "key_pair", status=500, message="Unexpected API Error.", times=-1)
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ/+K5c7Wxxm5lYcOSr4fe1rH2bRVh0PEdtpSx4s1Lqz"
    answer = account.run("keypair", name="k", public_key=key, constants=SHORT_PAUSES)
    assert_plain(answer, "cloud_failure", "Unexpected API Error", "operator")
    assert "options" not in answer.message


# -- waiting


def test_a_volume_that_stays_in_creation_is_waited_for_as_long_as_asked_and_then_used(account: Account) -> None:
    disk = {"data_volumes": [{"device": "/dev/vdb", "size_gib": 1}]}
    account.api.control("volumes", hold=True)
    answer = account.make(**disk, wait_timeout=2)
    assert_plain(answer, "timeout", "creating", "wait_timeout")
    assert counted(account) == {"volume": 1}
    account.api.control("volumes", hold=False)
    made = account.make(**disk)
    assert made.ok, made.message
    assert counted(account) == {"instance": 1, "volume": 1}
