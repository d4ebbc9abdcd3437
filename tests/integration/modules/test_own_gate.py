# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A jump host that is an instance of the project: who may come in where."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Account
from .test_access_and_info import public_key
from .test_ec2_permissions import client, playbook

MINE = "198.51.100.7/32"


def incoming(account: Account) -> dict[str, set[str]]:
    """By firewall, who may use SSH."""
    condition = {"Name": "tag:haven:project", "Values": [account.project]}
    found = client(account, "ec2").describe_security_groups(Filters=[condition])["SecurityGroups"]
    return {
        group["GroupName"].rpartition("/")[2]: {
            peer["CidrIp"] for rule in group["IpPermissions"] for peer in rule["IpRanges"] if rule["FromPort"] == 22
        }
        for group in found
    }


@pytest.mark.long
@pytest.mark.only("ec2")
def test_it_lets_in_the_users_network_and_the_other_instances_let_in_only_it(account: Account, tmp_path: Path) -> None:
    common = {**account.api.basics, "wait": "running"}
    settings = {
        "haven_hops": [{"instance": "gate", "user": "sshuser"}],
        "haven_ssh_sources": [MINE],
        "haven_instances": [{"name": name, **common} for name in ("gate", "one")],
        "haven_users": [{"name": "alice", "ssh_keys": [public_key()], "password": "x"}],
    }
    playbook(account, {}, tmp_path, "provision", **settings)
    (gate,) = [each for each in account.run("instance_info")["instances"] if each["name"] == "gate"]
    expected = {"haven-jump-host": {MINE}, account.project: {f"{gate['private_address']}/32"}}
    assert incoming(account) == expected
    assert "changed=0 " in playbook(account, {}, tmp_path, "provision", **settings)
    assert incoming(account) == expected
    playbook(account, {}, tmp_path, "destroy", haven_destroy=account.project)
    assert account.run("instance_info", resources=True)["resources"] == []
