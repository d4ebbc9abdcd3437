# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ssh configuration of an inventory and its known_hosts, as files."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable

from ..module_utils import _ssh_config
from ..module_utils._models import Instance
from . import _hosts
from ._files import private_folder, write_private
from ._settings import Settings


def write(parent: str, inventory: str, instances: Iterable[Instance], settings: Settings) -> str:
    """The ssh configuration for these machines of an inventory file, in a folder of its own. Returns its path."""
    asked = repr((os.path.abspath(inventory), settings.cloud, settings.projects, settings.regions, settings.hops))
    folder = private_folder(os.path.join(parent, hashlib.sha256(asked.encode()).hexdigest()[:16]))
    known_hosts = os.path.join(folder, "known_hosts")
    machines = [_hosts.machine(instance, settings) for instance in instances]
    config = _ssh_config.render(machines, settings.hops, known_hosts=known_hosts, host_keys=settings.host_keys)
    write_private(known_hosts, _ssh_config.known_hosts(machines, settings.hops))
    path = os.path.join(folder, "ssh_config")
    write_private(path, config)
    return path
