# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers of the sandbox's OpenStack are guests, in each of their states and on the way between them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.openstack_servers import Project, Server
from tests.integration.sandbox_guests import wait_until

USER_DATA = b"#cloud-config\nruncmd: [[touch, /var/tmp/first-boot]]\n"
TICK = "sudo systemd-run --quiet --unit=tick sh -c 'while date +%s%N >/run/tick; do sleep 0.05; done'"
BOOT = "stat -c %Y /proc/1; cut -d' ' -f22 /proc/1/stat"


@pytest.fixture(scope="module")
def server(project: Project) -> Iterator[Server]:
    """A server for tests that leave it ACTIVE, with a note on its disk."""
    with project.server(user_data=USER_DATA) as one:
        one.run("echo kept > note; sync")
        yield one


def test_a_server_has_its_key_pair_user_data_name_and_address(server: Server) -> None:
    assert server.run("hostname") == server.name
    assert wait_until(lambda: server.ssh("test -e /var/tmp/first-boot")[0] == 0)
    assert server.address in server.run("ip -4 -brief address show eth0")
    assert [one["addr"] for found in server.now().addresses.values() for one in found] == [server.address]
    assert server.now().power_state == 1


def test_stop_keeps_disk_and_host_keys_and_start_boots_again(server: Server) -> None:
    boot = server.run(BOOT)
    server.act("stop_server", status="SHUTOFF")
    assert server.state() == "stopped"
    assert server.now().power_state == 4
    assert not server.answers()
    server.act("start_server", status="ACTIVE")
    server.await_guest()
    assert server.run("cat note") == "kept"
    assert server.run(BOOT) != boot


@pytest.mark.parametrize("how", ["SOFT", "HARD"])
def test_reboot_boots_again_from_the_same_disk(server: Server, how: str) -> None:
    boot = server.run(BOOT)
    server.act("reboot_server", how, status="ACTIVE")
    server.await_guest()
    assert server.run(BOOT) != boot
    assert server.run("cat note") == "kept"


@pytest.mark.parametrize(
    ("halt", "go_on", "status", "power_state"),
    [("suspend_server", "resume_server", "SUSPENDED", 7), ("pause_server", "unpause_server", "PAUSED", 3)],
)
@pytest.mark.long
def test_a_halted_server_does_not_answer_and_goes_on_with_its_processes(
    server: Server, halt: str, go_on: str, status: str, power_state: int
) -> None:
    server.ssh(TICK)
    before = server.run(f"systemctl show tick --property=MainPID; {BOOT}")
    server.act(halt, status=status)
    assert server.now().power_state == power_state
    assert not server.answers()
    server.act(go_on, status="ACTIVE")
    assert server.run(f"systemctl show tick --property=MainPID; {BOOT}") == before
    tick = server.run("cat /run/tick")
    assert wait_until(lambda: server.run("cat /run/tick") != tick)


def test_a_server_made_from_a_snapshot_has_the_files_and_host_keys_of_its_own(project: Project, server: Server) -> None:
    image = project.cloud.compute.create_server_image(server.id, f"{project.tag}-snapshot", wait=True)
    try:
        server.await_status("ACTIVE")
        with project.server(image_id=image.id) as copy:
            assert copy.host_key() != server.host_key()
            assert copy.run("cat note; hostname").split() == ["kept", copy.name]
    finally:
        project.cloud.image.delete_image(image)


def test_a_shelved_server_leaves_the_host_and_comes_back_with_its_disk(server: Server) -> None:
    address = server.address
    server.host_key()
    server.act("shelve_server", status="SHELVED_OFFLOADED")
    assert server.state() == "absent"
    server.act("unshelve_server", status="ACTIVE")
    server.await_guest()
    assert server.address == address
    assert server.run("cat note") == "kept"


@pytest.mark.long
def test_a_resized_server_keeps_its_disk_whether_confirmed_or_reverted(project: Project, server: Server) -> None:
    server.act("resize_server", project.larger_flavor.id, status="VERIFY_RESIZE")
    server.act("revert_server_resize", status="ACTIVE")
    server.await_guest()
    assert server.run("cat note") == "kept"
    server.act("resize_server", project.larger_flavor.id, status="VERIFY_RESIZE")
    server.act("confirm_server_resize", status="ACTIVE")
    server.await_guest()
    assert server.run("cat note") == "kept"
    assert server.now().flavor.name == project.larger_flavor.name


def test_nova_started_again_finds_its_servers(project: Project, server: Server) -> None:
    boot = server.run(BOOT)
    project.control("service", name="nova", do="kill")
    assert server.run(BOOT) == boot
    project.control("service", name="nova", do="start")
    server.await_status("ACTIVE")
    assert server.now().power_state == 1
    assert server.run(BOOT) == boot
    server.act("reboot_server", "SOFT", status="ACTIVE")
    server.await_guest()
    assert server.run("cat note") == "kept"


def test_a_rebuilt_server_has_a_new_disk_and_host_key_at_its_old_address(project: Project, server: Server) -> None:
    address = server.address
    server.host_key()
    server.compute.rebuild_server(server.id, image=project.image.id)
    server.await_status("ACTIVE")
    before = server.forget_host_key()
    server.await_guest()
    assert server.address == address
    assert server.host_key() != before
    assert server.run("hostname; ls") == server.name


def test_a_server_whose_nova_died_over_its_build_is_an_error_that_can_be_deleted(project: Project) -> None:
    server = Server(project, metadata={"sandbox:fail": "hang"})
    try:
        assert wait_until(lambda: server.now().task_state == "spawning", 60)
        project.control("service", name="nova", do="restart")
        assert wait_until(lambda: server.now().status == "ERROR", 60)
    finally:
        server.delete()
    assert server.state() == "absent"
    assert not list(project.cloud.network.ports(device_id=server.id))


def test_a_deleted_server_leaves_no_guest_and_no_port(project: Project) -> None:
    with project.server() as server:
        assert server.state() == "ready"
    assert server.state() == "absent"
    assert not list(project.cloud.network.ports(device_id=server.id))


@pytest.mark.parametrize(("demand", "says"), [("spawn", "Exceeded maximum"), ("abort", "metadata demands it")])
def test_a_spawn_refused_on_demand_is_an_error_with_a_fault(project: Project, demand: str, says: str) -> None:
    server = Server(project, metadata={"sandbox:fail": demand})
    try:
        assert wait_until(lambda: server.now().status == "ERROR", 60)
        assert says in server.now().fault["message"]
        assert server.state() == "absent"
    finally:
        server.delete()


def test_a_server_stuck_in_build_can_be_deleted(project: Project) -> None:
    server = Server(project, metadata={"sandbox:fail": "hang"})
    try:
        assert wait_until(lambda: server.now().task_state == "spawning", 60)
        assert not wait_until(lambda: server.now().status != "BUILD", 3)
    finally:
        server.delete()
    assert server.state() == "absent"


def test_a_server_may_be_slow_to_build(project: Project) -> None:
    server = Server(project, metadata={"sandbox:fail": "hang:3"})
    try:
        assert wait_until(lambda: server.now().task_state == "spawning", 60)
        assert server.state() == "absent"
        server.await_status("ACTIVE")
    finally:
        server.delete()


@pytest.mark.long
def test_there_are_four_gpus(project: Project) -> None:
    servers = [Server(project, flavor_id=project.gpu_flavor.id) for _number in range(5)]
    try:
        assert wait_until(lambda: all(one.now().status in {"ACTIVE", "ERROR"} for one in servers), 120)
        faults = [one.now().fault for one in servers if one.now().status == "ERROR"]
        assert [fault["message"].split(".")[0] for fault in faults] == ["No valid host was found"]
    finally:
        for one in servers:
            one.delete()
