# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""haven.gpu.check with the inventory that users copy: it finds nothing wrong, or each mistake that is planted in it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml

from tests import shipped
from tests.access_rules import AccessRulesUser, documented_rules

from .conftest import Account

# With the listing by the inventory.
MOST_CALLS = 12
# What a run of provision asks that makes nothing.
UNCHANGED = {"DescribeInstances", "DescribeSecurityGroups", "DescribeKeyPairs", "DescribeSubnets"}
USER = {"name": "alice", "ssh_keys": ["{{ lookup('ansible.builtin.file', '~/.ssh/id_ed25519.pub') }}"]}
HOP = {"host": "gate.invalid", "user": "alice", "key": "/gone/id_ed25519"}
# Two kinds of mistakes each, which one run finds together: what is changed in the inventory, and what is said of it.
VARIABLES: dict[str, tuple[dict[str, Any], str]] = {
    "a misspelt variable": ({"haven_egres_proxy": {}}, "haven_egress_proxy"),
    "a variable that is one letter short": ({"haven_ssh_source": []}, "haven_ssh_sources"),
    "a misspelt variable of a role": ({"egress_enforced": True}, "egress_enforce is probably meant"),
    "another one": ({"cuda_requird": False}, "cuda_required is probably meant"),
    "a variable of hosts": ({"haven_region": "us-east-1"}, "haven_region is no setting"),
    "a variable of a role with a wrong type": ({"jupyter_port": "many"}, "jupyter_port"),
    "a network with host bits": ({"haven_ssh_sources": ["10.0.0.5/8"]}, "write 10.0.0.0/8, or 10.0.0.5"),
    "a port that is none": ({"haven_listen_ports": [22, 70000]}, "'70000' in haven_listen_ports"),
    "a misspelt key of a jump host": ({"haven_hops": [{**HOP, "usr": "alice"}]}, "the nearest one is user"),
    "a misspelt key of an environment": (
        {"haven_environments": [{"name": "x", "user": "alice", "package": ["numpy"]}]},
        "the nearest one is packages",
    ),
}
WISHES: dict[str, tuple[dict[str, Any], str]] = {
    "a subnet that is not there": ({"haven_subnet": "subnet-0123456789abcdef0"}, "no such subnet"),
    "a jump host whose name cannot be looked up": ({"haven_hops": [{**HOP, "key": None}]}, "gate.invalid cannot be"),
    "an instance that is to be stopped and is not there": (
        {"haven_instances": [{"name": "idle", "state": "stopped", "image": {"id": "x"}, "instance_type": "t3.micro"}]},
        "cannot be stopped",
    ),
    "a type without the GPU that is required": (
        {"haven_gpu_required": True},
        "It has no GPU, and haven_gpu_required is true",
    ),
    "a private key that is not there": ({"haven_private_key": "/gone/id_rsa"}, "/gone/id_rsa does not exist"),
}
INSTANCES: dict[str, tuple[dict[str, Any], str]] = {
    "an image that is not there": ({"image": {"name": "no-such-image-*"}}, "called 'no-such-image-*'"),
    "a parameter that is not there": ({"image": {"parameter": "/aws/service/nothing"}}, "SSM parameter"),
    "an instance type that is not there": ({"instance_type": "g5.xlage"}, "check its spelling and the region"),
    "a misspelt option": ({"instance_typ": "g5.xlarge"}, "the nearest one is instance_type"),
    "an option that does not exist": ({"spots": True}, "the nearest one is spot"),
    "a key of an image": ({"image": {"nme": "x"}}, "the nearest one is name"),
    "a state that EC2 does not have": ({"state": "shelved"}, "state: shelved"),
    "no keys where some are needed": ({"spot": True}, ".spot is true, and needs keys such as max_price"),
    "a text where keys are needed": ({"image": "ubuntu"}, ".image is a text, and needs keys such as id, name"),
    "a name that YAML reads as something else": ({"name": False}, "is false, which YAML also reads no"),
    "a disk without a size": ({"data_volumes": [{"size_gib": 0}]}, "The size_gib of data_volumes[0] is 0"),
    "an address that is none": ({"private_address": "10.0.0.300"}, "'10.0.0.300' is no IP address"),
    "a name that cannot be one": ({"name": "jupyter demo"}, "letters, digits, dots"),
    "contradicting options": ({"host_key_signer": "/tmp/key"}, "host_key_source: injected"),
}
USERS: dict[str, tuple[dict[str, Any], str]] = {
    "a user without a password": ({"name": "bob"}, "'bob' in haven_users has no password"),
    "a password that is a number": ({"name": "erin", "password": 12345678}, "password of 'erin' in haven_users is no"),
    "a path instead of a key": ({"name": "carol", "password": "x", "ssh_keys": ["~/.ssh/id.pub"]}, "Key 1 of 'carol'"),
    "a name that cannot be an account": ({"name": "Dave D", "password": "x"}, "'Dave D' in haven_users"),
}


class Inventory:
    """A copy of the shipped inventory of the account's cloud, with its marked lines filled in."""

    def __init__(self, account: Account, folder: Path) -> None:
        self.account = account
        self.home = folder / "home"
        (self.home / ".ssh").mkdir(parents=True)
        key = self.home / ".ssh" / "id_ed25519"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
        self.folder = folder / "mine"
        shutil.copytree(shipped.INVENTORIES / shipped.COPIED[account.api.cloud], self.folder)
        self.environment = dict(account.api.environment)
        own = self._of_openstack if account.api.cloud == "openstack" else self._of_ec2
        values = {"haven_project": account.project, "haven_hops": "[]", "vault_alice_password": "canary", **own()}
        file = self.folder / "group_vars" / "all.yml"
        text = shipped.filled(file.read_text(), values)
        self.given: dict[str, Any] = yaml.safe_load(text)
        file.unlink()
        (self.folder / "group_vars" / "all").mkdir()
        (self.folder / "group_vars" / "all" / "shipped.yml").write_text(text)

    def _of_ec2(self) -> dict[str, str]:
        client: Any = boto3.client(
            "ec2",
            region_name=self.environment["AWS_DEFAULT_REGION"],
            endpoint_url=self.environment["AWS_ENDPOINT_URL"],
            aws_access_key_id=self.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.environment["AWS_SECRET_ACCESS_KEY"],
        )
        return {
            "haven_ec2": f"{{region: {self.environment['AWS_DEFAULT_REGION']}}}",
            "haven_subnet": client.describe_subnets()["Subnets"][0]["SubnetId"],
        }

    def _of_openstack(self) -> dict[str, str]:
        """As somebody with exactly the documented access rules."""
        user = AccessRulesUser(self.environment, self.account.project, self.home, documented_rules())
        self.environment.update(user.environment)
        (self.home / "proxy-ca.pem").write_text("")
        basics = self.account.api.basics
        return {
            "haven_openstack": "{cloud: haven}",
            "haven_egress_proxy": '{url: "http://proxy.internal:3128", ca: ~/proxy-ca.pem}',
            "haven_login_user": "debian",
            "image": json.dumps(basics["image"]),
            "instance_type": basics["instance_type"],
            "openstack": "{networks: [private]}",
        }

    def check(self, changed: Mapping[str, Any], *options: str) -> tuple[int, str, list[str]]:
        """How haven.gpu.check ended with these variables instead, what it said, and the calls that it made."""
        return self.play("check", changed, *options)

    def play(self, playbook: str, changed: Mapping[str, Any], *options: str) -> tuple[int, str, list[str]]:
        """The same of a playbook."""
        (self.folder / "group_vars" / "all" / "z_changed.yml").write_text(yaml.safe_dump(dict(changed)))
        environment = {
            **os.environ,
            **self.environment,
            "HOME": str(self.home),
            "ANSIBLE_HOME": str(self.home / "ansible"),
            "SSH_AUTH_SOCK": "",
            "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "0",
        }
        program = str(Path(sys.executable).parent / "ansible-playbook")
        began = time.time()
        done = subprocess.run(
            [program, "-i", str(self.folder), f"haven.gpu.{playbook}", *options],
            cwd=self.home,
            env=environment,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        calls = [entry["action"] for entry in self.account.api.log(began)]
        said = " ".join((done.stdout + done.stderr).replace("''", "'").split())
        assert "canary" not in said
        return done.returncode, said, calls


@pytest.fixture
def inventory(account: Account, tmp_path: Path) -> Inventory:
    return Inventory(account, tmp_path)


def test_the_shipped_inventory_is_right_and_takes_few_calls(inventory: Inventory) -> None:
    status, said, calls = inventory.check({})
    assert status == 0, said
    assert "WRONG" not in said
    assert len(calls) <= MOST_CALLS, calls
    assert inventory.account.run("instance_info", resources=True)["resources"] == []


@pytest.mark.only("ec2")
def test_site_asks_nothing_if_all_instances_are_in_the_inventory(inventory: Inventory) -> None:
    assert inventory.account.make("jupyter-demo").ok
    status, said, calls = inventory.check({}, "-e", '{"__haven_only_new": true}')
    assert status == 0, said
    assert calls == ["DescribeInstances"]
    # What costs nothing is checked all the same.
    status, said, calls = inventory.check({"haven_hop": []}, "-e", '{"__haven_only_new": true}')
    assert (status, calls) == (2, ["DescribeInstances"])
    assert "the nearest name is haven_hops" in said


@pytest.mark.only("ec2")
def test_provision_alone_makes_nothing_before_everything_is_right_and_asks_once(inventory: Inventory) -> None:
    instance = {**inventory.given["haven_instances"][0], "wait": "running"}
    wrong = {**instance, "name": "two", "instance_type": "g5.xlage"}
    status, said, calls = inventory.play("provision", {"haven_instances": [instance, wrong]})
    assert status != 0
    assert "check its spelling and the region" in said, said
    assert inventory.account.run("instance_info", resources=True)["resources"] == []
    # The variables of the roles are not read.
    right = {"haven_instances": [instance], "haven_environments": "{{ not_defined }}", "haven_users": [USER]}
    status, said, calls = inventory.play("provision", right)
    assert status == 0, said
    assert inventory.account.living() == ["jupyter-demo"]
    status, said, calls = inventory.play("provision", right)
    assert status == 0, said
    assert set(calls) <= UNCHANGED


@pytest.mark.long
@pytest.mark.only("ec2")
def test_destroy_in_check_mode_says_what_it_would_destroy_and_leaves_it(inventory: Inventory) -> None:
    project = inventory.account.project
    assert inventory.account.make("jupyter-demo").ok
    there = inventory.account.run("instance_info", resources=True)["resources"]
    status, said, _calls = inventory.play("destroy", {}, "--check")
    assert status == 0, said
    assert "would destroy: instance jupyter-demo" in said
    assert f"-e haven_destroy={project}" in said
    assert f"Nothing of project {project}" not in said
    assert inventory.account.run("instance_info", resources=True)["resources"] == there
    # What check mode announced is what happens; then there is nothing to announce.
    status, said, _calls = inventory.play("destroy", {}, "-e", f"haven_destroy={project}")
    assert status == 0, said
    assert f"Nothing of project {project} is left." in said
    assert "would destroy" not in said
    assert inventory.account.run("instance_info", resources=True)["resources"] == []
    status, said, _calls = inventory.play("destroy", {}, "--check")
    assert f"Nothing of project {project} is left." in said
    assert "would destroy" not in said


@pytest.mark.only("ec2")
def test_one_run_finds_all_mistakes_that_are_planted(inventory: Inventory) -> None:
    """More than twenty mistakes in two runs, since some variables can be wrong in one way at a time only."""
    shipped_instance = inventory.given["haven_instances"][0]
    instances = [
        {**shipped_instance, "name": f"n{number}", **wrong} for number, (wrong, _) in enumerate(INSTANCES.values())
    ]
    users = [*inventory.given["haven_users"], *(wrong for wrong, _ in USERS.values())]
    variables = {name: value for wrong, _ in VARIABLES.values() for name, value in wrong.items()}
    status, said, _calls = inventory.check({**variables, "haven_instances": instances, "haven_users": users})
    assert status != 0
    planted = {**VARIABLES, **INSTANCES, **USERS}
    assert [mistake for mistake, (_, words) in planted.items() if words not in said] == []
    wishes = {name: value for wrong, _ in WISHES.values() for name, value in wrong.items()}
    status, said, _calls = inventory.check(wishes)
    assert status != 0
    assert [mistake for mistake, (_, words) in WISHES.items() if words not in said] == []
    assert len(planted) + len(WISHES) > 20
    assert inventory.account.run("instance_info", resources=True)["resources"] == []


@pytest.mark.only("openstack")
def test_five_mistakes_are_found_in_one_run_on_openstack(inventory: Inventory) -> None:
    instance = inventory.given["haven_instances"][0]
    instances = [
        {**instance, "name": "one", "image": {"name": "no-such-image-*"}},
        {**instance, "name": "two", "instance_type": "gpu.a1000.1"},
        {**instance, "name": "three", "openstack": {"networks": ["privat"]}},
        {**instance, "name": "four", "spot": {"max_price": "0.5"}},
    ]
    proxy = {"url": "http://proxy.internal:3128", "ca": "/gone/proxy-ca.pem"}
    status, said, _calls = inventory.check({"haven_instances": instances, "haven_egress_proxy": proxy})
    assert status != 0
    words = ("'no-such-image-*'", "'gpu.a1000.1'", "no network 'privat'", "/gone/proxy-ca.pem", "instance four")
    assert [each for each in words if each not in said] == [], said
