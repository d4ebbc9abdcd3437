# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""neutron's rules and floating IPs, felt on the wire: allowed before, refused after."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.openstack_servers import Project, Server


@pytest.fixture(scope="module")
def pair(project: Project) -> Iterator[tuple[Server, Server]]:
    """A client and a server that answers HTTP on port 8000."""
    with project.server() as client, project.server() as server:
        server.serve()
        yield client, server


def update_groups(server: Server, *groups: Any) -> None:
    server.project.cloud.network.update_port(server.port.id, security_groups=[group.id for group in groups])


def test_a_rule_lets_in_what_it_says_until_it_is_deleted(project: Project, pair: tuple[Server, Server]) -> None:
    client, server = pair
    assert not client.reaches(server.address)
    rule = project.allow(project.group, "tcp", 8000, remote_ip_prefix=f"{client.address}/32")
    assert client.reaches(server.address)
    project.cloud.network.delete_security_group_rule(rule.id)
    assert not client.reaches(server.address)


def test_a_group_may_be_let_in_as_its_members_come_and_go(project: Project, pair: tuple[Server, Server]) -> None:
    client, server = pair
    members, web = project.new_group("members"), project.new_group("web")
    project.allow(web, "tcp", 8000, remote_group_id=members.id)
    update_groups(server, project.group, web)
    assert not client.reaches(server.address)
    update_groups(client, project.group, members)
    assert client.reaches(server.address)
    update_groups(client, project.group)
    assert not client.reaches(server.address)
    update_groups(server, project.group)


def test_a_server_gets_out_only_where_its_groups_say(project: Project, pair: tuple[Server, Server]) -> None:
    client, server = pair
    open_rule = project.allow(project.group, "tcp", 8000, remote_ip_prefix="0.0.0.0/0")
    closed = project.new_group("closed")
    project.allow(closed, "tcp", 22, remote_ip_prefix=f"{project.sandbox.gate}/32")
    for rule in closed.security_group_rules:
        project.cloud.network.delete_security_group_rule(rule["id"])
    assert client.reaches(server.address)
    update_groups(client, closed)
    assert not client.reaches(server.address)
    project.allow(closed, "tcp", 8000, direction="egress", remote_ip_prefix=f"{server.address}/32")
    assert client.reaches(server.address)
    update_groups(client, project.group)
    project.cloud.network.delete_security_group_rule(open_rule.id)


def test_without_port_security_everything_passes(project: Project, pair: tuple[Server, Server]) -> None:
    client, server = pair
    port = server.port
    project.cloud.network.update_port(port.id, security_groups=[], port_security_enabled=False)
    assert client.reaches(server.address)
    project.cloud.network.update_port(port.id, port_security_enabled=True, security_groups=[project.group.id])
    assert not client.reaches(server.address)
    assert server.answers()


def test_a_floating_ip_leads_to_the_server_it_is_given_to(project: Project, pair: tuple[Server, Server]) -> None:
    client, server = pair
    network = project.cloud.network
    floating = network.create_ip(floating_network_id=project.public_network.id, port_id=server.port.id)
    address = floating.floating_ip_address
    try:
        assert network.get_ip(floating.id).status == "ACTIVE"
        assert server.run("hostname", address) == server.name
        network.update_ip(floating.id, port_id=client.port.id)
        assert client.run("hostname", address) == client.name
        client.act("stop_server", status="SHUTOFF")
        client.act("start_server", status="ACTIVE")
        client.await_guest()
        assert client.answers(address)
        network.update_ip(floating.id, port_id=None)
        assert network.get_ip(floating.id).status == "DOWN"
        assert not client.answers(address)
        assert client.answers()
    finally:
        network.delete_ip(floating.id)


def test_a_floating_ip_outlives_its_server(project: Project) -> None:
    network = project.cloud.network
    with project.server() as server:
        floating = network.create_ip(floating_network_id=project.public_network.id, port_id=server.port.id)
        assert server.answers(floating.floating_ip_address)
    try:
        left = network.get_ip(floating.id)
        assert (left.port_id, left.status) == (None, "DOWN")
    finally:
        network.delete_ip(floating.id)
