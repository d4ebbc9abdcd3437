# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lists each cloud, account, and region. The only part of the inventory that uses the network."""

from __future__ import annotations

import gc
import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Optional, Union

from ...module_utils._cloud import Cloud
from ...module_utils._clouds import connect
from ...module_utils._clouds.registry import CLOUDS
from ...module_utils._errors import HavenError
from ...module_utils._models import Hop, Instance
from .._settings import DIRECT, EVERY_REGION, Settings

if TYPE_CHECKING:
    from ...module_utils._ssh.api_proxy import ApiProxy

# Threads for all sources and regions together.
_WORKERS = 16
# From this number on, the machines take more memory than the SDK that listed them.
_MANY = 1000
Answer = Union[list[Instance], HavenError]

# What determines the account and the endpoint of the SDKs, besides the options.
_ENVIRONMENT = tuple(each for cloud in CLOUDS.values() for each in cloud.ENVIRONMENT)
_ACCOUNT_FILES = tuple(each for cloud in CLOUDS.values() for each in cloud.FILES)


def listings(sources: Sequence[Settings]) -> list[Answer]:
    """Return the listing of each source: its machines in a stable order, or why it has none.

    All regions of all sources are listed in parallel, as far as there are threads.
    """
    answers = _ask(sources)
    if sum(len(each) for each in answers if isinstance(each, list)) >= _MANY:
        # An SDK's clients and models refer to each other, and occupy 40 MiB that the hosts can use.
        gc.collect()
    return answers


def _ask(sources: Sequence[Settings]) -> list[Answer]:
    with _ApiProxies() as proxies, ThreadPoolExecutor(max_workers=_WORKERS) as pool:
        found = [proxies.to(source) for source in sources]
        clouds = [pool.submit(_clouds, source, proxy) for source, proxy in zip(sources, found)]
        asked = [_asked(pool, source, regions) for source, regions in zip(sources, clouds)]
        return [_joined(parts) for parts in asked]


# None: the API is called directly. An error says why there is no proxy.
_Proxy = Union["ApiProxy", HavenError, None]


class _ApiProxies:
    """The proxies to the clouds' APIs, for as long as they are needed. Sources with the same hops share one."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self._known: dict[tuple[Hop, ...], _Proxy] = {}

    def __enter__(self) -> _ApiProxies:
        return self

    def __exit__(self, *failure: object) -> None:
        self._open.close()

    def to(self, source: Settings) -> _Proxy:
        if source.api_via == DIRECT:
            return None
        if source.hops not in self._known:
            # Imported late, because it is rarely needed and loading it takes a while.
            from ...module_utils._ssh.api_proxy import api_proxy

            try:
                self._known[source.hops] = self._open.enter_context(api_proxy(source.hops))
            except HavenError as error:
                self._known[source.hops] = error
        return self._known[source.hops]


def _asked(
    pool: ThreadPoolExecutor, source: Settings, regions: Future[list[Cloud]]
) -> Union[list[Future[list[Instance]]], HavenError]:
    try:
        return [pool.submit(_of_region, source, cloud) for cloud in regions.result()]
    except HavenError as error:
        return error


def _joined(parts: Union[list[Future[list[Instance]]], HavenError]) -> Answer:
    if isinstance(parts, HavenError):
        return parts
    try:
        found = {each.id: each for part in parts for each in part.result()}
    except HavenError as error:
        return error
    return sorted(found.values(), key=lambda each: (each.project, each.region, each.name, each.id))


def _clouds(source: Settings, proxy: _Proxy) -> list[Cloud]:
    """Each region of the source."""
    if isinstance(proxy, HavenError):
        raise proxy
    regions: Sequence[Optional[str]] = source.regions
    every = EVERY_REGION in regions
    first = connect(source.cloud, source.options_for(None if every else regions[0]), proxy)
    if every:
        regions = first.regions()
    return [first.in_region(region) if region and region != first.region else first for region in regions]


def _of_region(source: Settings, cloud: Cloud) -> list[Instance]:
    found: dict[str, Instance] = {}
    for project in source.projects:
        for filters in source.questions:
            listed = cloud.instances(project, states=source.states, filters=filters, details=source.details)
            found.update({each.id: each for each in listed})
        if found:
            for filters in source.exclude:
                for each in cloud.instances(project, states=source.states, filters=filters):
                    found.pop(each.id, None)
    return list(found.values())


def identity() -> list[tuple[str, str]]:
    """The environment variables, and a fingerprint of the files, that determine an SDK's account and endpoint."""
    known = [(name, value) for name, value in os.environ.items() if name.startswith(_ENVIRONMENT)]
    for variable, default in _ACCOUNT_FILES:
        path = os.path.expanduser(os.environ.get(variable, default) if variable else default)
        if os.path.isfile(path):
            with open(path, "rb") as file:
                known.append((path, hashlib.sha256(file.read()).hexdigest()))
    return known
