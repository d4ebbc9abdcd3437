# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which keys may be offered: those that can be read, and nothing else of the users is."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.haven.gpu.plugins.filter.user_keys import user_keys

REPOSITORY = Path(__file__).parents[3]
USERS = [
    {"name": "a", "ssh_keys": ["{{ lookup('file', '/no/such/file') }}"], "password": "{{ vault_closed }}"},
    {"name": "b", "ssh_keys": ["{{ 'key-b' }}", "key-c"], "password": "{{ vault_closed }}"},
    {"name": "c", "ssh_keys": "{{ vault_closed }}"},
    {"name": "d", "ssh_keys": ["key-d"], "state": "absent"},
    {"name": "e"},
    "nonsense",
]


def options_given(folder: Path, variables: dict[str, Any]) -> Any:
    """What the playbooks give to the modules of the clouds as public_keys."""
    clouds = yaml.safe_load((REPOSITORY / "playbooks/vars/cloud.yml").read_text())
    cloud = {name: value for name, value in clouds.items() if name != "__haven_cloud_options"}
    given = {**cloud, **variables, "asked": clouds["__haven_cloud_options"]["public_keys"]}
    task = {"ansible.builtin.copy": {"content": "{{ asked | to_json }}", "dest": str(folder / "said")}}
    play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "vars": given, "tasks": [task]}
    (folder / "play.yml").write_text(json.dumps([play]))
    command = ["ansible-playbook", "-i", "localhost,", str(folder / "play.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((folder / "said").read_text())


@pytest.mark.parametrize(
    ("variables", "keys"),
    [
        ({"haven_users": USERS}, ["key-b", "key-c"]),
        ({"haven_users": USERS, "haven_public_key": "{{ 'mine' }}"}, ["mine"]),
        ({"haven_users": "{{ vault_closed }}", "haven_public_key": "{{ lookup('file', '/no/such/file') }}"}, []),
    ],
    ids=["users", "own", "nothing"],
)
def test_what_cannot_be_read_is_left_out(tmp_path: Path, variables: dict[str, Any], keys: list[str]) -> None:
    assert options_given(tmp_path, variables) == keys


@pytest.mark.parametrize("users", ["alice", None, {"name": "alice"}, [], [None, 5]])
def test_what_is_no_list_of_users_has_no_keys(users: object) -> None:
    assert user_keys(users) == []
