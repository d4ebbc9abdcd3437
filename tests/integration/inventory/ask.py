# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What inventory files say, all in one process: a process for each would cost a second each.

Usage: python -m tests.integration.inventory.ask FILE... Writes JSON to stdout: for each file its hosts with their
variables, and its groups with their hosts, or the error that it ends in.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from ansible import context
from ansible.errors import AnsibleError
from ansible.inventory.manager import InventoryManager
from ansible.module_utils.common.collections import ImmutableDict
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader


def answer(file: str) -> dict[str, Any]:
    try:
        inventory = InventoryManager(loader=DataLoader(), sources=[file])
    except AnsibleError as error:
        return {"error": str(error)}
    return {
        "hosts": {host.name: host.vars for host in inventory.get_hosts()},
        "groups": {
            name: sorted(host.name for host in group.get_hosts())
            for name, group in inventory.groups.items()
            if name not in ("all", "ungrouped")
        },
    }


def main() -> None:
    # As ansible-inventory -e stage=production would.
    context.CLIARGS = ImmutableDict(extra_vars=("stage=production",))
    init_plugin_loader()
    # Moments are no JSON.
    json.dump({file: answer(file) for file in sys.argv[1:]}, sys.stdout, default=str)


if __name__ == "__main__":
    main()
