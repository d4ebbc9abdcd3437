# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults that wait for the calls they are meant for."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any, Generic, TypeVar


@dataclass
class CountedFault:
    """times: how many calls are hit; -1 means all. Subclasses have hits(*call): is this call one of them?"""

    times: int = 1

    def hits(self, *call: Any) -> bool:
        """Is this call one of them?"""
        raise NotImplementedError


F = TypeVar("F", bound=CountedFault)


class Faults(Generic[F]):
    """The faults that are waiting, first come first served."""

    def __init__(self, kind: type[F]) -> None:
        self._kind = kind
        self._waiting: list[F] = []
        self._lock = threading.Lock()
        self.latency_ms = 0.0

    def add(self, description: dict[str, Any]) -> None:
        """Raises TypeError for a description with unknown fields."""
        fault = self._kind(**description)
        with self._lock:
            self._waiting.append(fault)

    def take(self, *call: Any) -> F | None:
        """The first fault that is meant for a call, which counts as hit."""
        with self._lock:
            for fault in self._waiting:
                if fault.hits(*call):
                    if fault.times > 0:
                        fault.times -= 1
                    return fault
        return None

    def clear(self) -> None:
        """No faults, no latency."""
        with self._lock:
            self._waiting.clear()
            self.latency_ms = 0.0
