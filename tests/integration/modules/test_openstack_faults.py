# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The services fail in the middle of a run: it succeeds or says in a sentence why not, and the next one converges."""

from __future__ import annotations

import json
import time

import pytest

from tests.integration.sandbox_guests import wait_until

from .conftest import SHORT_PAUSES, Account, Answer
from .test_errors import assert_plain
from .test_openstack import server_ids

pytestmark = pytest.mark.only("openstack")


def assert_converges(account: Account) -> None:
    """Whatever was left: the next run ends with one server, and the one after it has nothing to do."""
    made = account.make(wait_timeout=90)
    assert made.ok, made.message
    assert account.living() == ["one"]
    assert len(server_ids(account)) == 1
    again = account.make()
    assert not again["changed"], again["diff"]


def assert_fine_or_plain(answer: Answer) -> None:
    if not answer.ok:
        assert_plain(answer, answer["reason"], "OpenStack")


def until(account: Account, call: str, since: float) -> None:
    """Wait until a run has made a call."""
    deadline = time.monotonic() + 60
    while call not in [each["action"] for each in account.api.log(since)]:
        assert time.monotonic() < deadline, f"no {call}"
        time.sleep(0.02)


@pytest.mark.parametrize(
    "after", ["GET nova /v2.1/flavors/detail", pytest.param("POST nova /v2.1/servers", marks=pytest.mark.long)]
)
def test_nova_dies_in_the_middle_of_a_creation(account: Account, after: str) -> None:
    began = time.time()
    # How long a server may wait for a host before nova counts as having forgotten it.
    constants = {"_clouds.openstack.adapter.SCHEDULE_TIMEOUT": 10.0}
    process = account.start("instance", name=["one"], wait_timeout=90, constants=constants, **account.api.basics)
    until(account, after, began)
    account.api.control("service", name="nova", do="kill")
    time.sleep(1)
    account.api.control("service", name="nova", do="start")
    out, err = process.communicate(timeout=150)
    assert_fine_or_plain(Answer(json.loads(out), err, time.time() - began))
    assert_converges(account)


@pytest.mark.long
def test_neutron_is_unavailable_for_five_seconds(account: Account) -> None:
    account.api.control("fault", service="neutron", status=503, seconds=2, agent="^openstacksdk")
    made = account.run("firewall", name="f", rules=[{"ports": "22", "from": ["10.0.0.1/32"]}])
    assert made["changed"], made.message
    account.api.control("fault", service="neutron", status=503, seconds=5, agent="^openstacksdk")
    answer = account.make(firewalls=["f"], public_address=True)
    assert answer["changed"], answer.message
    assert answer.instances["one"]["public_address"]
    assert len(server_ids(account)) == 1


@pytest.mark.parametrize("after", ["GET glance /v2/images", "POST nova /v2.1/servers"])
def test_a_token_expires_in_the_middle_of_a_creation(account: Account, after: str) -> None:
    began = time.time()
    process = account.start("instance", name=["one"], **account.api.basics)
    until(account, after, began)
    account.api.control("tokens", revoke=True)
    out, err = process.communicate(timeout=120)
    # nova builds with the user's own token, and cannot get itself another.
    assert_fine_or_plain(Answer(json.loads(out), err, time.time() - began))
    assert_converges(account)


@pytest.mark.long
def test_glance_is_slow(account: Account) -> None:
    account.api.control("latency", service="glance", ms=1000)
    answer = account.make()
    assert answer["changed"], answer.message
    assert len(server_ids(account)) == 1


def test_glance_stops_answering(account: Account) -> None:
    account.api.control("fault", service="glance", drop=True, times=-1, agent="^openstacksdk")
    assert_plain(account.make(constants=SHORT_PAUSES), "unreachable", "image")
    assert server_ids(account) == []
    account.api.control("reset")
    assert_converges(account)


def test_a_resize_that_was_interrupted_is_completed(account: Account) -> None:
    machine = account.make().instances["one"]
    account.instance(state="stopped")
    compute = account.api.aside.compute  # type: ignore[attr-defined]
    compute.resize_server(machine["id"], compute.find_flavor(account.api.other_type).id)
    assert wait_until(lambda: compute.get_server(machine["id"]).status == "VERIFY_RESIZE", 60)
    assert account.run("instance_info")["instances"][0]["state"] == "stopped"
    started = account.instance(state="running", instance_type=account.api.other_type)
    assert started.ok, started.message
    assert compute.get_server(machine["id"]).status == "ACTIVE"
    assert not account.instance(state="running", instance_type=account.api.other_type)["changed"]
