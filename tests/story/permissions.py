"""Identities that may do what the documentation says and nothing else, and what they did."""

from __future__ import annotations

import json
import os
import pathlib
from typing import Any

import boto3

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
EC2_POLICY = ROOT / "docs" / "ec2-policy.json"


def ec2_user(name: str) -> dict[str, str]:
    """Make a user with docs/ec2-policy.json and no more; returns the environment that makes one this user."""
    iam: Any = boto3.client("iam")
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="documented", PolicyDocument=EC2_POLICY.read_text())
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}


def ec2_allowed() -> set[str]:
    """The actions that the policy allows, such as ec2:RunInstances."""
    statements = json.loads(EC2_POLICY.read_text())["Statement"]
    return {action for statement in statements for action in statement["Action"]}


def ec2_used(key: str) -> set[str]:
    """The actions that were asked for with this access key, from the sandbox's access log."""
    lines = pathlib.Path(os.environ["HAVEN_SANDBOX_EC2_LOG"]).read_text(encoding="utf-8").splitlines()
    entries = [json.loads(line) for line in lines]
    return {f"{entry['service']}:{entry['action']}" for entry in entries if entry["key"] == key}
