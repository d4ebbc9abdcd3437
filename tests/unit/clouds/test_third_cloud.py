# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A third cloud is one folder: in a copy of the collection it is put beside the others, and everything knows it.

This does what "Adding a cloud" in CONTRIBUTING.md says.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.clouds import MEMORY
from tests.clouds.world import PUBLIC_KEY

REPOSITORY = Path(__file__).parents[3]
PARTS = ("docs", "meta", "playbooks", "plugins", "roles", "tools")
SINGLE = ("galaxy.yml", "pyproject.toml")
# What `make generated` writes for a cloud.
GENERATED = {
    "docs/code.md",
    "docs/variables.md",
    "playbooks/provision.yml",
    "playbooks/stop.yml",
    "playbooks/vars/arguments.yml",
    "playbooks/vars/cloud.yml",
    "plugins/doc_fragments/clouds.py",
    "plugins/doc_fragments/sources.py",
    "plugins/module_utils/_clouds/registry.py",
}
VARIABLES: dict[str, Any] = {
    "haven_project": "third",
    "haven_cloud": "memory",
    "haven_users": [{"name": "alice", "ssh_keys": [PUBLIC_KEY]}],
    "haven_instances": [
        {
            "name": "demo",
            "image": {"name": "memory-*"},
            "instance_type": "gpu",
            "memory": {"rack": "r1"},
            "wait": "running",
        }
    ],
}
PLAYBOOK = """
- ansible.builtin.import_playbook: haven.gpu.provision

- hosts: localhost
  gather_facts: false
  tasks:
    - haven.gpu.instance_info:
        cloud: memory
        memory: "{{ haven_memory }}"
        project: "{{ haven_project }}"
        resources: true
      register: there
    - ansible.builtin.assert:
        that:
          - groups.haven == ['demo']
          - hostvars.demo.haven_cloud == 'memory'
          - hostvars.demo.haven_private_address == there.instances[0].private_address
          - hostvars.demo.haven_host_key == there.instances[0].host_key
          - there.instances[0].gpu.model == 'Memory-1'
          - there.resources | map(attribute='kind') | sort == ['firewall', 'instance', 'key_pair', 'volume']

- ansible.builtin.import_playbook: haven.gpu.stop

- hosts: localhost
  gather_facts: false
  tasks:
    - haven.gpu.instance_info:
        cloud: memory
        memory: "{{ haven_memory }}"
        project: "{{ haven_project }}"
      register: there
    - ansible.builtin.assert:
        that: there.instances | map(attribute='state') == ['stopped']
    - haven.gpu.project:
        cloud: memory
        memory: "{{ haven_memory }}"
        project: "{{ haven_project }}"
        state: absent
    - ansible.builtin.meta: refresh_inventory
    - ansible.builtin.assert:
        that: groups.haven | default([]) == []
"""


def files(root: Path) -> dict[str, bytes]:
    """What a collection has, by path."""
    found = [path for part in PARTS for path in (root / part).rglob("*") if path.is_file()]
    found += [root / name for name in SINGLE]
    return {str(path.relative_to(root)): path.read_bytes() for path in found if "__pycache__" not in path.parts}


def generate(copy: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "tools.generated"], cwd=copy, env={**os.environ, "PYTHONPATH": ""}, check=True
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The collection, as it is here."""
    target = tmp_path / "ansible_collections" / "haven" / "gpu"
    for part in PARTS:
        shutil.copytree(REPOSITORY / part, target / part, ignore=shutil.ignore_patterns("__pycache__"))
    for name in SINGLE:
        shutil.copy(REPOSITORY / name, target)
    return target


def play(copy: Path, inventory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the playbook."""
    account = {"file": str(inventory / "account.json")}
    (inventory / "group_vars").mkdir(parents=True, exist_ok=True)
    (inventory / "group_vars" / "all.yml").write_text(yaml.safe_dump({**VARIABLES, "haven_memory": account}))
    (inventory / "haven.yml").write_text("plugin: haven.gpu.instances\n")
    (inventory / "play.yml").write_text(PLAYBOOK)
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(copy.parents[2]),
        "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"),
        "ANSIBLE_HOME": str(inventory.parent / "home"),
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
        "PYTHONPATH": "",
    }
    command = ["ansible-playbook", "-i", str(inventory / "haven.yml"), str(inventory / "play.yml"), *arguments]
    return subprocess.run(command, cwd=inventory, env=environment, capture_output=True, text=True, check=False)


def calls_of(tmp_path: Path) -> list[dict[str, Any]]:
    """The calls that the cloud got."""
    calls: list[dict[str, Any]] = json.loads((tmp_path / "inventory" / "account.json").read_text())["calls"]
    return calls


def test_a_third_cloud_is_one_folder(copy: Path, tmp_path: Path) -> None:
    before = files(copy)
    added = copy / "plugins" / "module_utils" / "_clouds" / "memory"
    shutil.copytree(MEMORY, added, ignore=shutil.ignore_patterns("__pycache__"))
    generate(copy)
    after = files(copy)
    own = {str(path.relative_to(copy)) for path in added.iterdir()}
    assert {path for path, text in after.items() if before.get(path) != text} == GENERATED | own

    # The layers hold with it.
    subprocess.run(["lint-imports", "--no-cache"], cwd=copy, env={**os.environ, "PYTHONPATH": ""}, check=True)
    # No machine is there that could say who is working, so nothing is stopped unless that was asked for.
    refused = play(copy, tmp_path / "inventory")
    assert refused.returncode != 0
    assert "What runs on demo is unknown" in refused.stdout
    assert "-e haven_busy=stop" in refused.stdout
    assert "stop" not in {each["call"] for each in calls_of(tmp_path)}
    done = play(copy, tmp_path / "inventory", "-e", "haven_busy=stop")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Memory is cheap." in done.stdout
    assert {"create", "stop", "terminate"} <= {each["call"] for each in calls_of(tmp_path)}

    # Nothing else was written: without the folder it is what it was.
    shutil.rmtree(added)
    generate(copy)
    assert files(copy) == before
