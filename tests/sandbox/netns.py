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


def listen_inside(name: str, address: str, port: int) -> socket.socket:
    """A listening TCP socket of the named namespace; a socket keeps the namespace it was made in."""
    return call_inside(name, lambda: socket.create_server((address, port), backlog=128))


def free_port(namespace: int) -> int:
    """A loopback TCP port nobody uses at this moment."""

    def find() -> int:
        with socket.create_server(("127.0.0.1", 0)) as trial:
            port: int = trial.getsockname()[1]
            return port

    return call_inside(namespace, find)


def set_sysctls(name: str, values: dict[str, str]) -> None:
    """Write files under /proc/sys/net as the named namespace sees them; keys are paths below that folder."""

    def write() -> None:
        for key, value in values.items():
            Path("/proc/sys/net", key).write_text(value, encoding="ascii")

    call_inside(name, write)


def within(namespace: int, command: list[str]) -> list[str]:
    """The command that runs another command in the network namespace behind an inherited file descriptor."""
    return ["nsenter", f"--net=/proc/self/fd/{namespace}", "--", *command]
