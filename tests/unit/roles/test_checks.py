# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a user reads who made a mistake: a sentence about that mistake, with the user and the variable."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).parents[3]
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB9M0ZybCMNmyA4LDz861HNx+0wHRc4jpmE9UJhJ1ll0 alice"
MEMBER = {"name": "alice", "ssh_keys": [KEY]}
# What the role jump_host has asked the machine before.
FOUND = {"ansible_facts": {"getent_passwd": {"daemon": ["x", "1", "1"]}}, "__jump_host_gid_there": "990"}
ALICE = {"name": "alice", "password": "canary"}
JUPYTER = {"jupyter_users": [ALICE], "jupyter_secret": "canary canary canary"}
GIVEN = {"jupyter": JUPYTER, "jump_host": {**FOUND, "jump_host_members": [MEMBER], "jump_host_operators": ["debian"]}}
HTTPS = {"jupyter_listen": "https", "jupyter_certificate": "/c", "jupyter_certificate_key": "/k"}
GOOD: list[tuple[str, dict[str, Any]]] = [
    ("jupyter", {}),
    (
        "jupyter",
        {**HTTPS, "jupyter_proxy_url": "http://p:3128", "jupyter_users": [ALICE, {"name": "b", "state": "absent"}]},
    ),
    (
        "jump_host",
        {
            "jump_host_environments": {"red": ["10.1.0.0/16"]},
            "jump_host_members": [{**MEMBER, "environments": ["red"]}],
        },
    ),
    ("tensorboard", {"tensorboard_users": [{"name": "alice"}, {"name": "bob", "logdir": "/srv/runs"}]}),
    ("tensorboard.accounts", {"tensorboard_users": [{"name": "nobody"}, {"name": "gone", "state": "absent"}]}),
    ("tensorboard.accounts", {"tensorboard_users": []}),
    ("tensorboard.accounts", {"tensorboard_users": [{"name": "root"}, {"name": "daemon"}]}),
    ("egress", {"egress_proxy": "http://p:3128"}),
    ("egress", {"egress_proxy": {"url": "http://p:3128", "ca": "files/ca.pem"}}),
]
# A role's variables, and the sentence that they lead to.
CASES: list[tuple[str, dict[str, Any], str]] = [
    ("jupyter", {"jupyter_secret": "short canary"}, "jupyter_secret (haven_secret in the playbooks) has 12 characters"),
    ("jupyter", {"jupyter_listen": "https", "jupyter_certificate": "/c"}, "jupyter_certificate_key is not set"),
    ("jupyter", {"jupyter_users": [ALICE, {"name": "Alice Smith", "password": "x"}]}, "'Alice Smith' in jupyter_users"),
    (
        "jupyter",
        {"jupyter_users": [{"name": "bob"}]},
        "'bob' in jupyter_users (haven_users in the playbooks) has no password",
    ),
    ("jupyter", {**HTTPS, "jupyter_users": [ALICE, {"name": "bob", "password": "x"}]}, "alice: 8888, bob: 8888"),
    (
        "jupyter",
        {"jupyter_proxy_url": "https://p:3128"},
        "jupyter_proxy_url (haven_egress_proxy.url in the playbooks) begins with https",
    ),
    ("tensorboard", {"tensorboard_users": [{"name": "A"}]}, "'A' in tensorboard_users"),
    (
        "tensorboard",
        {"tensorboard_users": [{"name": "bob", "logdir": "runs"}]},
        "The logdir runs of bob in tensorboard_users",
    ),
    (
        "tensorboard.accounts",
        {"tensorboard_users": [{"name": "nobody"}, {"name": "nosuchuser"}]},
        "nosuchuser of tensorboard_users (haven_users in the playbooks) has no account on this machine",
    ),
    ("egress", {"egress_proxy": {"uri": "http://p:3128"}}, "must be a URL, or a dictionary with the keys url"),
    ("egress", {"egress_proxy": ["http://p:3128"]}, "must be a URL, or a dictionary with the keys url"),
    ("egress", {"egress_proxy": "p:3128"}, "It must have the form http://host:port"),
    (
        "egress",
        {"egress_proxy": {"url": "http://p:3128", "ca": "/gone/ca.pem"}},
        "/gone/ca.pem, and there is no such file",
    ),
    (
        "egress",
        {"egress_proxy": {"url": "http://p:3128", "ca": "files/gone.pem"}},
        "files/gone.pem, and there is no such file",
    ),
    ("egress", {"egress_proxy": "http://p:99999"}, "with a port from 1 to 65535"),
    ("egress", {"egress_proxy": "http://p:0"}, "with a port from 1 to 65535"),
    (
        "jump_host",
        {"jump_host_members": [{**MEMBER, "name": "Al Ice"}]},
        "jump_host_members cannot hold Al Ice: begin with",
    ),
    (
        "jump_host",
        {"jump_host_members": [MEMBER, MEMBER]},
        "jump_host_members cannot hold alice: list each member once",
    ),
    ("jump_host", {"jump_host_sources": ["anywhere"]}, "cannot hold anywhere: networks read like"),
    (
        "jump_host",
        {"jump_host_members": [{**MEMBER, "environments": ["x"]}]},
        "The member alice of jump_host_members cannot be made: jump_host_environments lacks x.",
    ),
    (
        "jump_host",
        {"jump_host_members": [{**MEMBER, "ssh_keys": ["nonsense"]}]},
        "no plain public key on one line: nonsense.",
    ),
    ("jump_host", {"jump_host_members": [{**MEMBER, "expires": "soon"}]}, "made: expires must be a day like"),
    ("jump_host", {"jump_host_members": [{**MEMBER, "name": "debian"}]}, "made: it is one of jump_host_operators."),
    ("jump_host", {"jump_host_members": [{**MEMBER, "name": "daemon"}]}, "made: there is an account of that name"),
]
MISSING = [
    (
        {**ALICE, "password": "{{ vault_alice_password }}"},
        "The password of 'alice' in haven_users",
        "vault_alice_password",
    ),
    (
        {**ALICE, "ssh_keys": ["{{ lookup('file', '/gone/id.pub') }}"]},
        "The ssh_keys of 'alice' in haven_users",
        "/gone/id.pub",
    ),
    ({"name": "alice"}, "'alice' in haven_users has no password", "vault"),
]
SETTINGS: dict[str, Any] = {
    **yaml.safe_load((REPOSITORY / "playbooks/vars/faults.yml").read_text()),
    "__haven_playbook": "site",
    "haven_project": "demo",
    "haven_cloud": "ec2",
    "haven_instances": [{"name": "notebook", "image": {"name": "x"}, "instance_type": "g5.xlarge"}],
    "haven_users": [{**ALICE, "ssh_keys": [KEY]}],
}
# Variables of the playbooks with several mistakes, all of which are said at once.
MISTAKES: list[tuple[dict[str, Any], list[str]]] = [
    (
        {
            "haven_egres_proxy": {},
            "haven_ssh_source": [],
            "egress_enforced": True,
            "cuda_requird": False,
            "haven_region": "eu-north-1",
            "haven_instances": [{"name": "a", "instance_typ": "x", "spots": True}],
            "haven_users": [{**ALICE, "ssh_keys": ["~/.ssh/id.pub"], "shel": "/bin/sh"}],
            "haven_hops": [{"host": "gate", "usr": "x"}],
            "haven_environments": [{"name": "x", "user": "alice", "package": []}],
        },
        [
            "haven_egress_proxy",
            "haven_ssh_sources",
            "egress_enforce is probably meant",
            "cuda_required is probably meant",
            "haven_region is no setting",
            "the nearest one is instance_type",
            "the nearest one is spot",
            "Key 1 of 'alice' in haven_users is not an OpenSSH",
            "the nearest one is shell",
            "the nearest one is user",
            "the nearest one is packages",
        ],
    ),
    (
        {"haven_instance": [], "haven_instances": None, "haven_users": []},
        ["the nearest name is haven_instances", "haven_instances is not set", "haven_users is empty"],
    ),
    (
        {
            "haven_instances": [{"name": "a", "state": "there"}],
            "haven_hops": [{"user": "x"}],
            "haven_environments": [{"name": "x"}],
            "haven_cloud": "ec3",
        },
        [
            "value of state must be one of",
            "one of the following is required: host, instance, tag",
            "missing required arguments: user",
            "value of haven_cloud must be one of: ec2, openstack",
        ],
    ),
]
USUAL: list[dict[str, Any]] = [
    {"cuda_version": "12", "tls_cert": "x", "haven_mine": 1, "haven_own_variables": ["haven_mine"]},
    # `stop` needs no vault.
    {"__haven_playbook": "stop", "haven_users": [{"name": "alice", "password": "{{ vault_alice_password }}"}]},
    {"__haven_playbook": "provision", "haven_users": [{"name": "alice", "ssh_keys": [KEY]}]},
]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What each case says: one run of ansible-playbook for all of them."""
    folder = tmp_path_factory.mktemp("checks")
    plays = [_play(f"role {number}", _role(role, given)) for number, (role, given, dummy) in enumerate(CASES)]
    plays += [_play(f"good {number}", _role(role, given)) for number, (role, given) in enumerate(GOOD)]
    tasks = yaml.safe_load((REPOSITORY / "playbooks/tasks/arguments.yml").read_text())
    plays += [
        _play(f"site {number}", tasks, {**SETTINGS, "haven_users": [user]})
        for number, (user, *dummy) in enumerate(MISSING)
    ]
    plays += [
        _play(f"settings {number}", tasks, {**SETTINGS, **given}) for number, (given, dummy) in enumerate(MISTAKES)
    ]
    plays += [_play(f"good settings {number}", tasks, {**SETTINGS, **given}) for number, given in enumerate(USUAL)]
    (folder / "play.yml").write_text(yaml.safe_dump(plays))
    (folder / "files").mkdir()
    (folder / "files" / "ca.pem").write_text("")
    command = [Path(sys.executable).with_name("ansible-playbook"), "-i", "localhost,", "-c", "local", "play.yml"]
    environment = {**os.environ, "ANSIBLE_LOCALHOST_WARNING": "false", "SAID": str(folder), "ANSIBLE_HOME": str(folder)}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return {file.stem: json.loads(file.read_text()) for file in folder.glob("*.json")}


def _role(role: str, given: dict[str, Any]) -> list[dict[str, Any]]:
    role, _dot, part = role.partition(".")
    variables = {**GIVEN.get(role, {}), **given}
    call = {"name": f"haven.gpu.{role}", "tasks_from": part or "check", "rolespec_validate": False}
    return [{"name": "Check", "ansible.builtin.include_role": call, "vars": variables}]


def _play(name: str, tasks: list[dict[str, Any]], variables: dict[str, Any] | None = None) -> dict[str, Any]:
    """Its tasks must fail; what they say is written down."""
    copy = {
        "content": "{{ ansible_failed_result | to_json }}",
        "dest": f"{{{{ lookup('env', 'SAID') }}}}/{name}.json",
        "mode": "0600",
    }
    block = {"block": tasks, "rescue": [{"name": "Write down", "ansible.builtin.copy": copy}]}
    return {"name": name, "hosts": "localhost", "gather_facts": False, "vars": variables or {}, "tasks": [block]}


@pytest.mark.parametrize("number", range(len(CASES)), ids=[f"{case[0]}-{case[2][:40]}" for case in CASES])
def test_a_mistake_in_a_roles_variables_is_named(answers: dict[str, Any], number: int) -> None:
    said = _said(answers[f"role {number}"])
    assert CASES[number][2] in said
    assert "canary" not in said


def test_what_is_right_is_not_complained_of(answers: dict[str, Any]) -> None:
    assert not [name for name in answers if name.startswith("good")]


@pytest.mark.parametrize("number", range(len(MISSING)), ids=[case[2] for case in MISSING])
def test_what_a_user_lacks_is_named_before_anything_costs_money(answers: dict[str, Any], number: int) -> None:
    said = _said(answers[f"site {number}"])
    assert all(words in said for words in MISSING[number][1:])


@pytest.mark.parametrize("number", range(len(MISTAKES)))
def test_all_mistakes_in_the_playbooks_variables_are_named_at_once(answers: dict[str, Any], number: int) -> None:
    said = _said(answers[f"settings {number}"])
    assert [words for words in MISTAKES[number][1] if words not in said] == []
    assert "canary" not in said


def _said(result: dict[str, Any]) -> str:
    """The messages of a failed task, or of the failed items of its loop."""
    return " ".join(part["msg"] for part in [result, *result.get("results", [])] if part.get("failed"))
