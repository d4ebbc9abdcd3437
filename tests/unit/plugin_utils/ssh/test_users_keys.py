# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The public keys of haven_users reach ssh by the inventory, whose file says nothing about them."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from ansible_collections.haven.gpu.plugins.plugin_utils._settings import settings_from
from tests.unit.module_utils.ssh.readings import KEY

PLAY = """
import json, sys
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.haven.gpu.plugins.inventory.instances import InventoryModule
from ansible_collections.haven.gpu.plugins.plugin_utils._settings import FILE_OPTIONS
plugin = InventoryModule()
plugin.loader, plugin._vars, plugin.get_option = DataLoader(), {}, lambda name: None
plugin.templar = Templar(loader=plugin.loader)
print(json.dumps(plugin._wanted({}, sys.argv[1])["public_keys"]))
"""


def wanted(folder: Path, variables: str) -> str | list[str]:
    (folder / "group_vars").mkdir(exist_ok=True)
    (folder / "group_vars" / "all.yml").write_text(variables)
    (folder / "key.pub").write_text(KEY)
    command = ["python", "-c", PLAY, str(folder / "haven.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    keys: str | list[str] = json.loads(done.stdout.splitlines()[-1])
    return keys


def test_they_are_read_without_the_passwords_beside_them(tmp_path: Path) -> None:
    lookup = f"{{{{ lookup('file', '{tmp_path}/key.pub') }}}}"
    variables = f"""
haven_users:
  - {{name: alice, password: "{{{{ vault_alice_password }}}}", ssh_keys: ["{lookup}"]}}
  - {{name: bob, ssh_keys: ["{{{{ lookup('file', '/no/such/file') }}}}"]}}
  - {{name: carol, state: absent}}
  - nonsense
"""
    assert wanted(tmp_path, variables) == [KEY]
    assert wanted(tmp_path, variables + f"haven_public_key: {KEY} mine\n") == f"{KEY} mine"
    assert wanted(tmp_path, "haven_users: '{{ vault_users }}'\n") == []


@pytest.mark.parametrize(("private_key", "key"), [(None, KEY), ("/keys/mine", "/keys/mine")])
def test_they_are_used_where_no_key_is_given(private_key: str | None, key: str) -> None:
    hops = [{"host": "a.example.org"}, {"instance": "gate"}, {"host": "b.example.org", "key": "/keys/b"}]
    given = {"cloud": "ec2", "projects": "p", "private_key": private_key, "public_keys": [f"{KEY} alice"]}
    settings = settings_from({**given, "hops": hops[::2]})
    assert [hop.key for hop in settings.hops] == [KEY, "/keys/b"]
    assert (settings.private_key or settings.public_keys) == key
    assert settings_from({**given, "hops": hops}).looked_up[1].rest.key == KEY  # type: ignore[union-attr]
