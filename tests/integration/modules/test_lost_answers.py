# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""OpenStack has no client tokens: whatever becomes of an answer or a run, nothing that is paid for is made twice."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.clouds import OpenStackApi
from tests.integration.sandbox_guests import wait_until

from .conftest import Account
from .test_errors import assert_plain
from .test_openstack import server_ids
from .test_openstack_faults import until

pytestmark = pytest.mark.only("openstack")
# All that can be made beside a server.
WHOLE: dict[str, Any] = {
    "public_address": True,
    "firewalls": ["web"],
    "data_volumes": [{"device": "/dev/vdb", "size_gib": 1}],
}
CREATIONS = {
    "server": ("nova", "/servers$"),
    "volume": ("cinder", "/volumes$"),
    "port": ("neutron", "/ports"),
    "address": ("neutron", "/floatingips"),
    "firewall": ("neutron", "/security-groups"),
    "key_pair": ("nova", "/os-keypairs"),
}


def fault(account: Account, kind: str, **what: Any) -> None:
    service, path = CREATIONS[kind]
    account.api.control("fault", service=service, method="POST", path=path, agent="^openstacksdk", **what)


def make_whole(account: Account, **options: Any) -> Any:
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ/+K5c7Wxxm5lYcOSr4fe1rH2bRVh0PEdtpSx4s1Lqz"
    for module, wanted in (
        ("keypair", {"name": "k", "public_key": key}),
        ("firewall", {"name": "web", "rules": [{"ports": "22", "from": ["10.0.0.1/32"]}]}),
    ):
        done = account.run(module, **wanted)
        assert done.ok, done.message
    return account.make(key_pair="k", **{**WHOLE, **options})


def counted(account: Account) -> dict[str, int]:
    """How many there are of each kind that carries the project's mark."""
    kinds = [each["kind"] for each in account.run("instance_info", resources=True)["resources"]]
    return {kind: kinds.count(kind) for kind in sorted(set(kinds))}


ONE_OF_EACH = {"address": 1, "firewall": 1, "instance": 1, "key_pair": 1, "port": 1, "volume": 1}


@pytest.mark.parametrize("status", [500, pytest.param(503, marks=pytest.mark.long)])
def test_what_was_made_and_answered_with_an_error_is_found(account: Account, status: int) -> None:
    for kind in CREATIONS:
        fault(account, kind, status=status, after_success=True)
    made = make_whole(account)
    assert made.ok, made.message
    assert counted(account) == ONE_OF_EACH
    assert len(server_ids(account)) == 1
    assert not make_whole(account)["changed"]


@pytest.fixture
def hasty(account: Account, tmp_path: Path) -> dict[str, str]:
    """An environment whose clouds.yaml gives each request two seconds."""
    assert isinstance(account.api, OpenStackApi)
    clouds = yaml.safe_load(Path(account.api.environment["OS_CLIENT_CONFIG_FILE"]).read_text())
    clouds["clouds"]["haven"]["api_timeout"] = 2
    (tmp_path / "clouds.yaml").write_text(yaml.safe_dump(clouds))
    return {"OS_CLIENT_CONFIG_FILE": str(tmp_path / "clouds.yaml")}


@pytest.mark.parametrize("after_success", [pytest.param(True, marks=pytest.mark.long), False])
def test_an_answer_that_is_late_is_a_lost_one(account: Account, hasty: dict[str, str], after_success: bool) -> None:
    """Whether nova has made the server when the time is over, or makes it while we look."""
    fault(account, "server", delay_ms=4000, after_success=after_success)
    made = make_whole(account, env=hasty)
    assert made.ok, made.message
    machine = made.instances["one"]
    assert machine["public_address"]
    assert len(server_ids(account)) == 1
    assert counted(account) == ONE_OF_EACH


@pytest.mark.long
def test_what_a_late_server_needs_is_left_for_it(account: Account, hasty: dict[str, str]) -> None:
    """No answer and no server as long as we look: what it needs stays, and the next run makes nothing twice."""
    fault(account, "server", delay_ms=15_000)
    answer = make_whole(account, env=hasty, constants={"_clouds.openstack.client.LOOK_FOR": 3.0})
    assert_plain(answer, "unreachable", "may still be")
    left = {kind: number for kind, number in ONE_OF_EACH.items() if kind != "instance"}
    assert counted(account) == left
    # Once nova has it and gave it its port.
    servers = account.api.aside.compute.servers
    assert wait_until(lambda: [each.status for each in servers(name="^one$")] == ["ACTIVE"], 40)
    again = make_whole(account)
    assert again.ok, again.message
    assert counted(account) == ONE_OF_EACH


@pytest.mark.parametrize("after", ["POST neutron /v2.0/floatingips", "POST cinder /v3/volumes"])
def test_what_a_killed_run_left_is_used_by_the_next(account: Account, after: str) -> None:
    make_whole(account, check=True)
    began = time.time()
    # Late, so that it is killed before there is a server.
    fault(account, "server", delay_ms=3000, drop=True)
    process = account.start("instance", name=["one"], **account.api.basics, **{**WHOLE, "firewalls": ["web"]})
    until(account, after, began)
    time.sleep(0.5)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = counted(account)
    assert before["address"] == 1
    made = make_whole(account)
    assert made.ok, made.message
    assert counted(account) == ONE_OF_EACH
    assert not make_whole(account)["changed"]


def test_a_port_that_does_not_fit_is_replaced_and_its_address_kept(account: Account) -> None:
    began = time.time()
    make_whole(account, check=True)
    fault(account, "server", delay_ms=3000, drop=True)
    process = account.start("instance", name=["one"], **account.api.basics, public_address=True)
    until(account, "POST neutron /v2.0/floatingips", began)
    time.sleep(0.3)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    (address,) = [
        each for each in account.run("instance_info", resources=True)["resources"] if each["kind"] == "address"
    ]
    made = make_whole(account)
    assert made.ok, made.message
    assert counted(account) == ONE_OF_EACH
    (same,) = [each for each in account.run("instance_info", resources=True)["resources"] if each["kind"] == "address"]
    assert same["id"] == address["id"]


def test_an_address_that_was_taken_off_by_hand_is_put_on_again(account: Account) -> None:
    assert isinstance(account.api, OpenStackApi)
    first = account.make(public_address=True).instances["one"]["public_address"]
    network = account.api.aside.network
    network.update_ip(network.find_ip(first), port_id=None)
    unused = [each for each in account.run("instance_info", resources=True)["resources"] if each["used"] is False]
    assert [each["kind"] for each in unused] == ["address"]
    again = account.make(public_address=True)
    assert again.instances["one"]["public_address"] == first
    assert counted(account)["address"] == 1


@pytest.mark.long
def test_a_data_disk_that_stayed_comes_back_with_its_data_and_a_root_disk_does_not(account: Account) -> None:
    disks: dict[str, Any] = {**WHOLE, "root_volume": {"size_gib": 3, "delete_with_instance": False}}
    larger = {**disks, "data_volumes": [{"device": "/dev/vdb", "size_gib": 2}]}

    def volumes(root: bool) -> dict[str, int]:
        (machine,) = account.run("instance_info")["instances"]
        return {each["id"]: each["size_gib"] for each in machine["volumes"] if each["root"] is root}

    assert make_whole(account, **disks).ok
    data, system = volumes(root=False), volumes(root=True)
    account.instance(state="absent")
    assert make_whole(account, **larger).ok
    assert volumes(root=False) == dict.fromkeys(data, 2)
    assert not volumes(root=True).keys() & system.keys()
    # What this run did not make, it does not remove when it fails.
    account.instance(state="absent")
    fault(account, "server", status=400, message="Not now.")
    assert not make_whole(account, **larger).ok
    assert data.keys() <= {each["id"] for each in account.run("instance_info", resources=True)["resources"]}
