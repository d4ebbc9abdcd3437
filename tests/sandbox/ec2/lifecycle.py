# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Instances follow their machines: pending until sshd answers, stopping until switched off, terminated when gone.

One thread watches the instances that are on their way somewhere; commands to machines run in a pool, those for one
instance in order. Nothing here blocks an API call.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .disks import MachinesWithDisks
    from .models import SandboxInstance

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.02
LOOK_AT_RUNNING_EVERY_S = 1.0
WORKERS = 8
DICE = random.SystemRandom()

# What the machine must report for the instance to arrive there.
ARRIVED = {
    "pending": {"ready"},
    "stopping": {"stopped", "failed", "absent"},
    "shutting-down": {"absent"},
}
BROKEN = ("Server.InternalError", "Server.InternalError: Internal error on launch")
SHUT_DOWN_INSIDE = (
    "Client.InstanceInitiatedShutdown",
    "Client.InstanceInitiatedShutdown: Instance initiated shutdown",
)


@dataclass
class Journey:
    """An instance on its way. earliest: not before this moment of the monotonic clock, however fast the machine is."""

    instance: SandboxInstance
    state: str
    earliest: float
    doomed: tuple[str, str] | None = None  # the reason for which it will never run


class Lifecycle:
    """Carries out what the models were asked, and tells `changed` of each instance that arrived."""

    def __init__(
        self,
        machines: MachinesWithDisks,
        lock: threading.RLock,
        changed: Callable[[SandboxInstance], None],
        *,
        watch: bool,
    ) -> None:
        self._machines = machines
        self._lock = lock
        self._changed = changed
        self._watch = watch
        self._journeys: dict[str, Journey] = {}
        self._running: dict[str, SandboxInstance] = {}
        self._rebooting: set[str] = set()
        self._last: dict[str, Future[None]] = {}
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="machine")
        self._awake = threading.Condition()
        self._delays: dict[str, tuple[float, float]] = {}
        threading.Thread(target=self._run, name="lifecycle", daemon=True).start()

    def delay(self, state: str, seconds: float | Sequence[float]) -> None:
        """From now on that state lasts at least so long; with two numbers, a random time between them."""
        if state not in ARRIVED:
            raise ValueError(f"state must be one of {', '.join(ARRIVED)}, not {state}")
        low, high = (seconds, seconds) if isinstance(seconds, (int, float)) else seconds
        self._delays[state] = (float(low), float(high))

    def clear_delays(self) -> None:
        self._delays.clear()

    def launch(
        self, instance: SandboxInstance, create: Callable[[], None], doomed: tuple[str, str] | None = None
    ) -> None:
        """Make the machine with `create` and switch it on."""
        if not doomed:
            self._order(instance.id, create)
        self._depart(instance, doomed)
        if not doomed:
            self.switch_on(instance)

    def start(self, instance: SandboxInstance) -> None:
        self._depart(instance)
        self.switch_on(instance)

    def switch_on(self, instance: SandboxInstance) -> None:
        public = instance.public_ip or ""
        self._order(instance.id, lambda: self._machines.start(instance.id, public))

    def stop(self, instance: SandboxInstance) -> None:
        self._depart(instance)
        self._order(instance.id, lambda: self._machines.stop(instance.id))

    def terminate(self, instance: SandboxInstance) -> None:
        self._depart(instance)
        self._order(instance.id, lambda: self._machines.destroy(instance.id))

    def reboot(self, instance: SandboxInstance) -> None:
        """Off and on again; the instance stays "running" for the API, as on AWS."""

        def reboot() -> None:
            self._machines.stop(instance.id)
            while self._machines.state(instance.id) not in ARRIVED["stopping"]:
                time.sleep(LOOK_EVERY_S)
            self._machines.start(instance.id, instance.public_ip or "")
            self._rebooting.discard(instance.id)

        self._rebooting.add(instance.id)
        self._order(instance.id, reboot)

    def order(self, id: str, command: Callable[[], None]) -> Future[None]:
        """Do something with a machine, after everything that was ordered for it before."""
        return self._order(id, command)

    def abandon(self, id: str) -> Future[None]:
        """Forget an instance and remove its machine."""
        with self._awake:
            self._journeys.pop(id, None)
            self._running.pop(id, None)
        destroyed = self._order(id, lambda: self._machines.destroy(id))
        self._last.pop(id, None)
        return destroyed

    def _order(self, id: str, command: Callable[[], None]) -> Future[None]:
        before = self._last.get(id)

        def run() -> None:
            if before is not None:
                before.exception()  # the pool is first in, first out: it has begun already
            try:
                command()
            except Exception:
                log.exception("a command for the machine of %s failed", id)
                raise

        self._last[id] = ordered = self._pool.submit(run)
        return ordered

    def _depart(self, instance: SandboxInstance, doomed: tuple[str, str] | None = None) -> None:
        low, high = self._delays.get(instance.state_name, (0.0, 0.0))
        earliest = time.monotonic() + DICE.uniform(low, high)
        with self._awake:
            self._running.pop(instance.id, None)
            self._journeys[instance.id] = Journey(instance, instance.state_name, earliest, doomed)
            self._awake.notify()

    def _run(self) -> None:
        looked_at_running = 0.0
        while True:
            with self._awake:
                while not self._journeys and not (self._watch and self._running):
                    self._awake.wait()
                journeys = list(self._journeys.values())
            now = time.monotonic()
            for journey in journeys:
                if now >= journey.earliest:
                    self._look(journey)
            if self._watch and now - looked_at_running >= LOOK_AT_RUNNING_EVERY_S:
                looked_at_running = now
                self._look_at_running()
            time.sleep(LOOK_EVERY_S)

    def _look(self, journey: Journey) -> None:
        instance = journey.instance
        ordered = self._last.get(instance.id)
        if ordered is not None and not ordered.done():
            return
        if journey.doomed:
            self._arrive(journey, lambda: instance.become_terminated(journey.doomed))
            return
        failed = ordered is not None and ordered.exception() is not None
        seen = "failed" if failed else self._machines.state(instance.id)
        if seen in ARRIVED[journey.state]:
            self._arrive(
                journey,
                {
                    "pending": instance.become_running,
                    "stopping": instance.become_stopped,
                    "shutting-down": instance.become_terminated,
                }[journey.state],
            )
        elif seen == "failed":
            self._arrive(journey, lambda: instance.become_terminated(BROKEN))

    def _arrive(self, journey: Journey, become: Callable[[], None]) -> None:
        instance = journey.instance
        with self._lock:
            with self._awake:
                if self._journeys.get(instance.id) is not journey:
                    return  # it was sent elsewhere meanwhile
                del self._journeys[instance.id]
            become()
            if instance.state_name == "running":
                self._running[instance.id] = instance
            elif instance.state_name == "terminated":
                self._last.pop(instance.id, None)
            self._changed(instance)

    def _look_at_running(self) -> None:
        """A guest that was shut down from inside stops its instance, or ends it, as it was launched to do."""
        for instance in list(self._running.values()):
            if instance.id in self._rebooting or self._machines.state(instance.id) not in {"stopped", "failed"}:
                continue
            with self._lock:
                if instance.state_name != "running":
                    continue
                if instance.instance_initiated_shutdown_behavior == "terminate":
                    instance.terminate()
                    self.terminate(instance)
                else:
                    self._running.pop(instance.id, None)
                    instance.become_stopped(SHUT_DOWN_INSIDE)
                self._changed(instance)
