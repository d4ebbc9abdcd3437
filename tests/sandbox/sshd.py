# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does a guest's sshd answer?"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from . import netns

_EVERY_S = 0.1


def wait_for_greeting(namespace: str, address: str, while_true: Callable[[], bool]) -> bool:
    """Wait until sshd greets; False when the condition ended first.

    It is asked from within the guest's own namespace, so that no security rule stands in the way.
    """
    return netns.call_inside(namespace, lambda: _wait(address, while_true))


def _wait(address: str, while_true: Callable[[], bool]) -> bool:
    while while_true():
        if greets(address):
            return True
        time.sleep(_EVERY_S)
    return False


def greets(address: str, port: int = 22) -> bool:
    """Does an SSH server answer there, right now?"""
    try:
        with socket.create_connection((address, port), timeout=2) as link:
            return link.recv(8).startswith(b"SSH-2.0-")
    except OSError:  # nobody listens yet
        return False
