# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Network namespaces from Python: enter one in a thread, open a socket in one, run a program in one."""

from __future__ import annotations

import ctypes
import os
import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

_CLONE_NEWNET = 0x40000000
_NAMED = Path("/run/netns")  # where ip-netns(8) keeps them

_T = TypeVar("_T")
_libc = ctypes.CDLL(None, use_errno=True)


def enter(namespace: int) -> None:
    """Move this thread, and no other, into the network namespace behind a file descriptor."""
    # os.setns came with Python 3.12.
    if _libc.setns(namespace, _CLONE_NEWNET) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"setns: {os.strerror(error)}")


def enter_named(name: str) -> None:
    """Move this thread into a namespace made by `ip netns add`."""
    namespace = os.open(_NAMED / name, os.O_RDONLY | os.O_CLOEXEC)
    try:
        enter(namespace)
    finally:
        os.close(namespace)


def call_inside(namespace: str | int, function: Callable[[], _T]) -> _T:
    """Call a function in a thread that has entered a namespace, given by name or by descriptor."""
    results: list[_T] = []
    errors: list[BaseException] = []

    def inside() -> None:
        try:
            if isinstance(namespace, str):
                enter_named(namespace)
            else:
                enter(namespace)
            results.append(function())
        except OSError as error:
            errors.append(error)

    thread = threading.Thread(target=inside, name=f"in {namespace}")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def listen_inside(namespace: str | int, address: str, port: int) -> socket.socket:
    """A listening TCP socket of a namespace, given by name or by descriptor; it keeps the one it was made in."""
    return call_inside(namespace, lambda: socket.create_server((address, port), backlog=128))


def free_ports(namespace: int, count: int) -> list[int]:
    """Loopback TCP ports nobody uses at this moment."""

    def find() -> list[int]:
        with ExitStack() as trials:
            each = [trials.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
            return [trial.getsockname()[1] for trial in each]

    return call_inside(namespace, find)


def set_sysctls(name: str, values: dict[str, str]) -> None:
    """Write files under /proc/sys/net as the named namespace sees them; keys are paths below that folder."""

    call_inside(name, lambda: write_sysctls(values))


def write_sysctls(values: dict[str, str]) -> None:
    """The same in the namespace that this process is in."""
    for key, value in values.items():
        Path("/proc/sys/net", key).write_text(value, encoding="ascii")


def answer_for_others(name: str | None, link: str) -> None:
    """Let a namespace answer on a link for every address it has another way to; None is the caller's own namespace."""
    # Without a delay, which is meant for real wires.
    values = {f"ipv4/conf/{link}/proxy_arp": "1", f"ipv4/neigh/{link}/proxy_delay": "0"}
    if name is None:
        write_sysctls(values)
    else:
        set_sysctls(name, values)


def within(namespace: int, command: list[str]) -> list[str]:
    """The command that runs another command in the network namespace behind an inherited file descriptor."""
    return ["nsenter", f"--net=/proc/self/fd/{namespace}", "--", *command]
