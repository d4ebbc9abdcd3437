# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What users of the documented policies may do. That all of the first one is needed is shown by tests/story."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest

from .conftest import Account, Answer
from .test_access_and_info import other_key, public_key
from .test_errors import assert_plain

pytestmark = pytest.mark.only("ec2")
DOCS = Path(__file__).parents[3] / "docs"
FIDO = "sk-ssh-ed25519@openssh.com"
PARAMETER = "/aws/service/debian/release/12/latest/amd64"


def client(account: Account, service: str) -> Any:
    """The account's administrator."""
    environment = account.api.environment
    connect: Any = boto3.client
    return connect(
        service,
        region_name=environment["AWS_DEFAULT_REGION"],
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
    )


def user(account: Account, *policies: str, without: str = "") -> dict[str, str]:
    """The environment of somebody who may do what these files in docs/ say, and nothing else, not even ``without``."""
    iam = client(account, "iam")
    name = f"user-{os.urandom(4).hex()}"
    iam.create_user(UserName=name)
    for policy in policies:
        document = (DOCS / policy).read_text().replace(without or "no such action", "ec2:DescribeRegions")
        iam.put_user_policy(UserName=name, PolicyName=policy.partition(".")[0], PolicyDocument=document)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}


def playbook(
    account: Account, env: dict[str, str], folder: Path, name: str, *options: str, ends: int = 0, **variables: Any
) -> str:
    """Run one of ours, which must end with that code; returns what it printed."""
    account.wrote = True
    file = folder / "variables.json"
    file.write_text(json.dumps({"haven_project": account.project, "haven_cloud": "ec2", **variables}))
    program = str(Path(sys.executable).parent / "ansible-playbook")
    done = subprocess.run(
        [
            program,
            f"haven.gpu.{name}",
            "-i",
            "localhost,",
            "-e",
            f"@{file}",
            "-e",
            f"ssh_config_path={folder}/config",
            *options,
        ],
        env={**os.environ, **account.api.environment, **env, "HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == ends, done.stdout + done.stderr
    return done.stdout


def incoming(account: Account) -> dict[str, set[tuple[int, str]]]:
    """By network, who may come in to the project's firewalls, and where."""
    condition = {"Name": "tag:haven:project", "Values": [account.project]}
    found = client(account, "ec2").describe_security_groups(Filters=[condition])["SecurityGroups"]
    return {
        group["VpcId"]: {
            (rule["FromPort"], peer["CidrIp"]) for rule in group["IpPermissions"] for peer in rule["IpRanges"]
        }
        for group in found
    }


@pytest.mark.long  # the killed story takes exactly the same policy
def test_the_documented_policy_is_enough_wherever_the_subnets_are_and_to_undo(account: Account, tmp_path: Path) -> None:
    """No default network, subnets in two networks, an image by parameter, as the documented example has it."""
    account.api.control("networks", default="other")
    known = account.api.control("networks", default="none")
    env = user(account, "ec2-policy.json")
    common = {"image": {"parameter": PARAMETER}, "instance_type": "g5.xlarge", "wait": "running"}
    settings: dict[str, Any] = {
        "haven_subnet": known["own"]["subnets"][0],
        "haven_instances": [
            {"name": "one", **common},
            {"name": "two", **common},
            {"name": "far", **common, "subnet": known["other"]["subnets"][2]},
        ],
        "haven_users": [{"name": "alice", "ssh_keys": [other_key(FIDO), public_key()], "password": "x"}],
        "haven_ssh_sources": ["10.0.0.5/32", "10.1.0.0/16"],
    }
    # A key pair takes the first key that EC2 imports. Without one, cloud-init brings the keys.
    bare = {**settings, "haven_users": [{"name": "alice", "ssh_keys": [other_key(FIDO)], "password": "x"}]}
    told = playbook(account, env, tmp_path, "provision", "--check", "--diff", **bare)
    assert FIDO in told
    assert '"key_pair"' not in told
    playbook(account, env, tmp_path, "provision", **settings)
    assert {each["key_pair"] for each in account.run("instance_info")["instances"]} == {account.project}
    wide = {(22, "10.0.0.5/32"), (22, "10.1.0.0/16")}
    networks = {known["own"]["vpc"], known["other"]["vpc"]}
    assert incoming(account) == dict.fromkeys(networks, wide)
    assert sorted(account.living()) == ["far", "one", "two"]
    assert "changed=0 " in playbook(account, env, tmp_path, "provision", **settings)
    # Somebody opens it by hand, and the sources are narrowed.
    group = client(account, "ec2").describe_security_groups(
        Filters=[{"Name": "vpc-id", "Values": [known["own"]["vpc"]]}, {"Name": "tag:haven:project", "Values": ["*"]}]
    )["SecurityGroups"][0]["GroupId"]
    everybody = {"IpProtocol": "tcp", "FromPort": 8888, "ToPort": 8888, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    client(account, "ec2").authorize_security_group_ingress(GroupId=group, IpPermissions=[everybody])
    settings["haven_ssh_sources"] = ["10.0.0.5/32"]
    playbook(account, env, tmp_path, "provision", **settings)
    assert incoming(account) == {network: {(22, "10.0.0.5/32")} for network in networks}
    playbook(account, env, tmp_path, "destroy", haven_destroy=account.project)
    assert account.run("instance_info", resources=True)["resources"] == []


def with_data_volume(account: Account, env: dict[str, str]) -> Answer:
    account.make("two", data_volumes=[{"size_gib": 1}])
    return account.instance("two", state="absent", delete_volumes=True, env=env)


Use = Callable[[Account, dict[str, str]], Answer]
USES: list[tuple[str, Use]] = [
    ("ec2:AuthorizeSecurityGroupEgress", lambda one, env: one.run(
        "firewall", name="f", egress=[{"ports": "443", "to": ["10.0.0.0/8"]}], env=env)),
    ("ec2:RevokeSecurityGroupEgress", lambda one, env: one.run("firewall", name="f", egress=[], env=env)),
    ("ec2:DescribeInstanceAttribute", lambda one, env: one.make(shutdown_behavior="stop", env=env)),
    ("ec2:ModifyInstanceMetadataOptions", lambda one, env: one.make(ec2={"imdsv2": False}, env=env)),
    ("ec2:DeleteTags", lambda one, env: one.make(purge_tags=True, env=env)),
    ("ec2:ModifyInstanceAttribute", lambda one, env: one.make(instance_type="t3.small", allow_stop=True, env=env)),
    ("ec2:ModifyVolume", lambda one, env: one.make(root_volume={"size_gib": 20}, env=env)),
    ("ec2:RebootInstances", lambda one, env: one.instance(state="restarted", env=env)),
    ("ec2:DeleteVolume", with_data_volume),
]  # fmt: skip


@pytest.mark.parametrize(("permission", "use"), USES, ids=[permission for permission, _use in USES])
def test_an_optional_permission_is_named_where_it_lacks_and_enough_where_it_is(
    account: Account, permission: str, use: Use
) -> None:
    account.make(tags={"team": "cells"}, root_volume={"size_gib": 10})
    refused = use(account, user(account, "ec2-policy.json"))
    assert_plain(refused, "denied", permission)
    done = use(account, user(account, "ec2-policy.json", "ec2-policy-optional.json"))
    assert done.ok, done.message
    assert done["changed"] or permission == "ec2:DescribeInstanceAttribute"


def test_without_the_permission_gpus_of_a_new_type_are_unknown_and_not_none(account: Account) -> None:
    def gpu(without: str = "") -> Any:
        limited = user(account, "ec2-policy.json", without=without)
        told = account.make(instance_type="p99.xlarge", check=True, env=limited)
        assert told.ok, told.message
        return told["diff"]["after"]["one"]["instance"].get("gpu")

    assert gpu("ec2:DescribeInstanceTypes") == "1 x unknown"
    # The API says that there is no such type, and the creation would say so.
    assert gpu() is None


def test_what_a_wrong_region_left_is_found_where_the_account_may_be_asked(account: Account) -> None:
    wrong = {"ec2": {"region": "eu-central-1"}}
    assert account.make(**wrong).ok
    account.run("keypair", name="k", public_key=public_key(), **wrong)
    limited = user(account, "ec2-policy.json")
    told = account.run("instance_info", resources=True, elsewhere=True, env=limited)["elsewhere"]
    own = account.api.environment["AWS_DEFAULT_REGION"]
    assert (told["regions"], told["resources"]) == ([own], [])
    assert "ec2:DescribeRegions" in told["not_asked"][""]
    more = user(account, "ec2-policy.json", "ec2-policy-optional.json")
    found = account.run("instance_info", resources=True, elsewhere=True, env=more)
    assert found["resources"] == []
    assert {(each["region"], each["kind"]) for each in found["elsewhere"]["resources"]} == {
        ("eu-central-1", "instance"),
        ("eu-central-1", "volume"),
        ("eu-central-1", "key_pair"),
    }
    assert found["elsewhere"]["regions"][0] == own
    assert "eu-central-1" in found["elsewhere"]["regions"]
    assert account.run("project", state="absent", **wrong).ok


@pytest.mark.long
def test_the_end_of_a_day_stops_all_but_the_spot_instance_and_names_that(account: Account, tmp_path: Path) -> None:
    account.make(["mine", "yours"])
    account.make("cheap", spot={})
    # Nobody can work there: these machines exist in memory only.
    told = playbook(account, user(account, "ec2-policy.json"), tmp_path, "stop", ends=2, haven_busy="stop")
    told = " ".join(told.split())
    assert "cheap (i-" in told
    assert "terminate it with state: absent" in told
    assert "The others succeeded." in told
    states = {each["name"]: each["state"] for each in account.run("instance_info")["instances"]}
    assert states == {"mine": "stopped", "yours": "stopped", "cheap": "running"}
