# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lists each cloud, account, and region. The only part of the inventory that uses the network."""

from __future__ import annotations

import gc
import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import ExitStack
from functools import partial
from threading import BoundedSemaphore, Lock, Thread
from typing import TYPE_CHECKING, Callable, Optional, TypeVar, Union

from ...module_utils._cloud import Cloud
from ...module_utils._clouds import connect
from ...module_utils._clouds.registry import CLOUDS
from ...module_utils._errors import HavenError, TimedOut
from ...module_utils._models import Hop, Instance
from ...module_utils._retry import Deadline
from .._settings import DIRECT, EVERY_REGION, Settings

if TYPE_CHECKING:
    from ...module_utils._ssh.api_proxy import ApiProxy

# Regions of all sources together that are listed at the same time.
_BUSY = BoundedSemaphore(16)
# From this number on, the machines take more memory than the SDK that listed them.
_MANY = 1000
Answer = Union[list[Instance], HavenError]
_T = TypeVar("_T")

# What determines the account and the endpoint of the SDKs, besides the options.
_ENVIRONMENT = tuple(each for cloud in CLOUDS.values() for each in cloud.ENVIRONMENT)
_ACCOUNT_FILES = tuple(each for cloud in CLOUDS.values() for each in cloud.FILES)


def listings(sources: Sequence[Settings]) -> list[Answer]:
    """Return the listing of each source: its machines in a stable order, or why it has none.

    All regions of all sources are listed in parallel, as far as there are threads. A source that takes longer than its
    timeout has none, and does not delay the others.
    """
    answers = _ask(sources)
    if sum(len(each) for each in answers if isinstance(each, list)) >= _MANY:
        # An SDK's clients and models refer to each other, and occupy 40 MiB that the hosts can use.
        gc.collect()
    return answers


def _ask(sources: Sequence[Settings]) -> list[Answer]:
    with _ApiProxies() as proxies:
        began = [Deadline(source.timeout) for source in sources]
        asked = [
            _in_background(partial(_listed, source, proxies, deadline)) for source, deadline in zip(sources, began)
        ]
        return [_answer(*each) for each in zip(sources, asked, began)]


def _answer(source: Settings, asked: Future[list[Instance]], deadline: Deadline) -> Answer:
    try:
        return asked.result(timeout=deadline.left)
    except HavenError as error:
        return error
    except FutureTimeout:
        return TimedOut(
            f"It did not answer within {source.timeout:g} s: check the network, the proxy, and the address of the "
            "cloud, give it more time with timeout, or go on without it with on_error: warn."
        )


def _in_background(function: Callable[[], _T]) -> Future[_T]:
    """Call it in a thread that nobody has to wait for, unlike those of a pool: a cloud may never answer."""
    future: Future[_T] = Future()

    def run() -> None:
        try:
            future.set_result(function())
        except BaseException as error:  # pylint: disable=broad-exception-caught
            # Raised where the result is used.
            future.set_exception(error)

    Thread(target=run, daemon=True).start()
    return future


def _listed(source: Settings, proxies: _ApiProxies, deadline: Deadline) -> list[Instance]:
    """The machines in all regions of the source. Raises HavenError."""
    clouds = _clouds(source, proxies.to(source))
    for cloud in clouds:
        cloud.deadline = deadline
    if len(clouds) == 1:
        parts = [_of_region(source, clouds[0])]
    else:
        asked = [_in_background(partial(_of_region, source, cloud)) for cloud in clouds]
        parts = [each.result() for each in asked]
    found = {each.id: each for part in parts for each in part}
    return sorted(found.values(), key=lambda each: (each.project, each.region, each.name, each.id))


# None: the API is called directly. An error says why there is no proxy.
_Proxy = Union["ApiProxy", HavenError, None]


class _ApiProxies:
    """The proxies to the clouds' APIs, for as long as they are needed. Sources with the same hops share one."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self._known: dict[tuple[Hop, ...], Future[_Proxy]] = {}
        self._lock = Lock()

    def __enter__(self) -> _ApiProxies:
        return self

    def __exit__(self, *failure: object) -> None:
        self._open.close()

    def to(self, source: Settings) -> _Proxy:
        if source.api_via == DIRECT:
            return None
        with self._lock:
            first = source.hops not in self._known
            future = self._known.setdefault(source.hops, Future())
        if first:
            future.set_result(self._opened(source.hops))
        return future.result()

    def _opened(self, hops: tuple[Hop, ...]) -> _Proxy:
        # Imported late, because it is rarely needed and loading it takes a while.
        from ...module_utils._ssh.api_proxy import api_proxy

        try:
            return self._open.enter_context(api_proxy(hops))
        except HavenError as error:
            return error


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
    with _BUSY:
        return _matching(source, cloud)


def _matching(source: Settings, cloud: Cloud) -> list[Instance]:
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
