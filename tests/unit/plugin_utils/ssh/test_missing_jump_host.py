# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The inventory where a jump host that is an instance does not run, or is not created yet."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

PLAY = """
import json, sys
from types import SimpleNamespace
from ansible.inventory.data import InventoryData
from ansible_collections.haven.gpu.plugins.inventory.instances import InventoryModule
from ansible_collections.haven.gpu.plugins.module_utils._models import Instance
from ansible_collections.haven.gpu.plugins.plugin_utils._settings import settings_from
settings, warned = settings_from({"cloud": "ec2", "projects": "p", "hops": [{"instance": "gate"}]}), []
plugin = InventoryModule()
plugin.display, plugin.inventory = SimpleNamespace(warning=warned.append), InventoryData()
plugin.get_option = {"ssh_folder": sys.argv[1]}.get
listed = [Instance(name, name, "p", "ec2", "r", "running", private_address="10.0.0.5") for name in sys.argv[2:]]
entries = plugin._listed(sys.argv[1] + "/haven.yml", [settings], [listed], listed)
print(json.dumps([warned, [each.ssh_config for each in entries]]))
"""


@pytest.mark.parametrize("names", [[], ["one"]])
def test_nobody_is_kept_from_creating_it_and_nothing_is_reached_without_it(tmp_path: Path, names: list[str]) -> None:
    command = ["python", "-c", PLAY, str(tmp_path), *names]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    warned, configs = json.loads(done.stdout.splitlines()[-1])
    assert len(warned) == len(configs) == len(names)
    for said, config in zip(warned, configs):
        assert "The jump host gate is not among the instances that run" in said
        assert "HostName this-jump-host-does-not-run.invalid" in Path(config).read_text()
