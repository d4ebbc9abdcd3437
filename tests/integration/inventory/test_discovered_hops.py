# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A jump host that is a machine of the inventory: where it is told to be. Who passes it is test_connections' matter."""

from __future__ import annotations

import pytest

from .conftest import KEY, Project, asked

HOPS = "\nhaven_hops: [{instance: gate, user: passer}]\n"


def behind(project: Project, hops: str = HOPS) -> None:
    """Put a jump host before the machines of the project."""
    project.write("group_vars/all.yml", f"haven_project: {project.name}\nhaven_cloud: {project.cloud}{hops}")


def hop_of(variables: dict[str, object]) -> dict[str, str]:
    """What ssh makes of the last jump host before the host with these variables."""
    words = asked(variables)["proxycommand"].split()
    return asked({**variables, "ansible_host": next(word for word in words if word.startswith("haven-hop-"))})


@pytest.mark.only("ec2")
def test_a_jump_hosts_new_address_is_followed(project: Project) -> None:
    """A floating address of OpenStack stays with its server."""
    gate = project.machine("gate", haven__host_key=KEY)
    project.machine("one")
    behind(project)
    before = project.hosts()
    hop = hop_of(before["one"])
    assert hop["hostname"] == before["gate"]["haven_public_address"]
    assert (hop["user"], hop["stricthostkeychecking"]) == ("passer", "true")
    assert before["gate"]["haven_hops"] == []
    assert before["one"]["haven_hops"] == [
        {"host": hop["hostname"], "port": 22, "user": "passer", "host_key": KEY},
    ]
    assert "proxycommand" not in asked(before["gate"])

    project.machines.stop(gate)
    project.machines.start(gate)
    after = project.hosts()
    assert after["gate"]["haven_public_address"] != before["gate"]["haven_public_address"]
    assert hop_of(after["one"])["hostname"] == after["gate"]["haven_public_address"]
    assert after["one"]["haven_ssh_config"] == before["one"]["haven_ssh_config"]
