# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which machines answer: reads the greeting of each machine's sshd through the hops, many in parallel.

The last hop sees a single login, however many machines there are. ssh forwards a unix socket in a private folder to
each machine (ssh_config(5), LocalForward), so that no process is started for a machine.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import resource
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Optional

from ...module_utils._errors import Unreachable
from ...module_utils._models import Hop
from ...module_utils._ssh.master import held
from .._hosts import variables as _hosts
from .._hosts.populate import ANSWERS, Entry
from .._settings import STATIC

# The number of machines probed at a time, and the seconds for each. A machine that drops packets takes all of them.
AT_ONCE = 200
TIMEOUT = 5.0
# Machines per login: ssh needs an open file for each.
_A_LOGIN = 4000
_GREETING = b"SSH-"

_Open = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


@dataclass(frozen=True)
class Target:
    """A machine. ``id`` is the caller's; ``address`` is what the last hop connects to, or we if there are no hops."""

    id: str
    address: str
    port: int = 22
    hops: tuple[Hop, ...] = ()


def with_answers(entries: Sequence[Entry]) -> tuple[list[Entry], list[str]]:
    """Return the entries, the probed ones with the variable that says whether they answer, and the warnings.

    Machines with an alias are not probed, because only the user's own configuration knows their address.
    """
    asked = [each for each in entries if each.settings.is_probed and not _is_elsewhere(each)]
    answers, troubles = probe(filter(None, map(_target, asked)))
    own = {each.instance.id: {**each.own, ANSWERS: answers.get(each.instance.id, False)} for each in asked}
    return [dataclasses.replace(each, own=own.get(each.instance.id, each.own)) for each in entries], troubles


def _is_elsewhere(entry: Entry) -> bool:
    return entry.settings.cloud == STATIC and not entry.instance.private_address


def _target(entry: Entry) -> Optional[Target]:
    """Where to probe a machine, or None if it cannot answer because it is not running or has no address."""
    instance, settings = entry.instance, entry.settings
    address = _hosts.address(instance, settings)
    if not address or (settings.cloud != STATIC and instance.state != "running"):
        return None
    return Target(instance.id, address, entry.own.get("ansible_port", 22), settings.hops)


def probe(asked: Iterable[Target]) -> tuple[dict[str, bool], list[str]]:
    """Return whether each machine answers, by id, and a sentence for every jump host that does not.

    Raises Untrusted if a jump host shows another host key.
    """
    by_hops: dict[tuple[Hop, ...], list[Target]] = {}
    for target in asked:
        by_hops.setdefault(target.hops, []).append(target)
    answers, troubles = {}, []
    for hops, behind in by_hops.items():
        try:
            answers.update(_behind(hops, behind) if hops else _direct(behind))
        except Unreachable as error:
            answers.update(dict.fromkeys((each.id for each in behind), False))
            troubles.append(str(error))
    return answers, troubles


def _direct(targets: Sequence[Target]) -> dict[str, bool]:
    openers: list[_Open] = [partial(asyncio.open_connection, each.address, each.port) for each in targets]
    return _asked(targets, openers)


def _behind(hops: tuple[Hop, ...], targets: Sequence[Target]) -> dict[str, bool]:
    answers = {}
    most = min(_A_LOGIN, resource.getrlimit(resource.RLIMIT_NOFILE)[1] // 2)
    for start in range(0, len(targets), most):
        some = targets[start : start + most]
        forwards = [(str(number), each.address, each.port) for number, each in enumerate(some)]
        with held(hops, forwards) as connection:
            sockets = [os.path.join(connection.folder, name) for name, _address, _port in forwards]
            answers.update(_asked(some, [partial(asyncio.open_unix_connection, path) for path in sockets]))
    return answers


def _asked(targets: Sequence[Target], openers: Sequence[_Open]) -> dict[str, bool]:
    found = asyncio.run(_ask(openers))
    return {target.id: answers for target, answers in zip(targets, found)}


async def _ask(openers: Sequence[_Open]) -> list[bool]:
    room = asyncio.Semaphore(AT_ONCE)

    async def ask(opener: _Open) -> bool:
        async with room:
            try:
                return await asyncio.wait_for(_greets(opener), TIMEOUT)
            except (OSError, EOFError, asyncio.TimeoutError):
                return False

    return await asyncio.gather(*map(ask, openers))


async def _greets(opener: _Open) -> bool:
    reader, writer = await opener()
    try:
        return await reader.readexactly(len(_GREETING)) == _GREETING
    finally:
        writer.close()
