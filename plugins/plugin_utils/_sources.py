# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the inventory asks which cloud, account and region, and as whom. Its only part that uses the network."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Optional

from ..module_utils import _cloud
from ..module_utils._models import Instance
from ._settings import DIRECT, Settings

if TYPE_CHECKING:
    from ..module_utils._api_proxy import ApiProxy

# What decides, besides the options, which account and endpoint the SDKs speak to.
_ENVIRONMENT = ("AWS_", "OS_")
_ACCOUNT_FILES = (
    ("AWS_CONFIG_FILE", "~/.aws/config"),
    ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"),
    ("OS_CLIENT_CONFIG_FILE", "~/.config/openstack/clouds.yaml"),
    ("OS_CLIENT_SECURE_FILE", "~/.config/openstack/secure.yaml"),
    ("", "clouds.yaml"),
    ("", "/etc/openstack/clouds.yaml"),
)


def listing(settings: Settings) -> list[Instance]:
    """The machines of every region and project, in a stable order; regions are asked at the same time."""

    def of_region(region: Optional[str]) -> list[Instance]:
        cloud = _cloud.connect(settings.cloud, settings.options_for(region), proxy)
        return [each for project in settings.projects for each in cloud.instances(project, states=settings.states)]

    with _way(settings) as proxy, ThreadPoolExecutor(max_workers=min(16, len(settings.regions))) as pool:
        found = {each.id: each for part in pool.map(of_region, settings.regions) for each in part}
    return sorted(found.values(), key=lambda each: (each.project, each.region, each.name, each.id))


def _way(settings: Settings) -> AbstractContextManager[Optional[ApiProxy]]:
    """The way to the cloud's API, for as long as it is asked."""
    if settings.api_via == DIRECT:
        return nullcontext()
    # Here, because most have no use for it and it takes a while to load.
    from ..module_utils._api_proxy import api_proxy

    return api_proxy(settings.hops)


def identity() -> list[tuple[str, str]]:
    """The environment and a fingerprint of the files from which an SDK takes account and endpoint."""
    known = [(name, value) for name, value in os.environ.items() if name.startswith(_ENVIRONMENT)]
    for variable, default in _ACCOUNT_FILES:
        path = os.path.expanduser(os.environ.get(variable, default) if variable else default)
        if os.path.isfile(path):
            with open(path, "rb") as file:
                known.append((path, hashlib.sha256(file.read()).hexdigest()))
    return known
