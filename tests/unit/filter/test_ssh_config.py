# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter gives the files of an ssh configuration as haven.gpu.files takes them, and one sentence for a mistake."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.haven.gpu.plugins.filter.ssh_config import ssh_config

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGtQkg2pJ0Q1m1GZ1h6dXqg8xW6gQq3Yk8Qx2u8ZqQ0n"
BOX = {"name": "box", "address": "10.0.0.6", "host_key": KEY}


def test_each_file_is_what_the_module_files_takes() -> None:
    files = ssh_config([BOX], folder="/home/alice/.ssh/haven-lab", config="/home/alice/.ssh/other")
    assert {name: (file["path"], file["mode"], file["diff"]) for name, file in files.items()} == {
        "known_hosts": ("/home/alice/.ssh/haven-lab/known_hosts", "0600", True),
        # A program: its text tells nobody what changes.
        "helper": ("/home/alice/.ssh/haven-lab/proxy_helper.py", "0600", False),
        "config": ("/home/alice/.ssh/haven-lab/config", "0600", True),
    }
    assert files["known_hosts"]["content"] == f"box {KEY} box\n"


def test_the_hops_lead_to_each_machine_and_are_read_from_the_including_configuration() -> None:
    hops = [{"host": "gate.example.org", "host_key": KEY}]
    config = ssh_config([BOX], folder="/k", hops=hops, config="/home/alice/.ssh/other")["config"]["content"]
    assert " through verified '/home/alice/.ssh/other' haven-hop-gate-example-org-" in config
    assert " through verified - haven-hop-" in ssh_config([BOX], folder="/k", hops=hops)["config"]["content"]


def test_a_mistake_of_the_user_is_one_sentence() -> None:
    with pytest.raises(AnsibleFilterError, match=r"^haven\.gpu\.ssh_config: The address of machine 'box' is neither"):
        ssh_config([{**BOX, "address": "a b"}], folder="/k")
