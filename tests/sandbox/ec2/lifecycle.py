# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Instances follow their machines: pending until sshd answers, stopping until switched off, terminated when gone.

One thread watches the instances that are on their way somewhere; commands to machines run in a pool, those for one
instance in order. Nothing here blocks an API call.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import SandboxError

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
READY_WITHIN_S = 120.0
GONE_TRIES = 10
TRY_AGAIN_AFTER_S = 1.0
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
    first: bool = False  # a launch: what fails now never was, so that nothing is lost by removing it
    doomed: tuple[str, str] | None = None  # the reason for which it will never run
    tries: int = 0


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
        self._depart(instance, first=True, doomed=doomed)
        if not doomed:
            self.switch_on(instance)

    def start(self, instance: SandboxInstance, doomed: tuple[str, str] | None = None) -> None:
        self._depart(instance, doomed=doomed)
        if not doomed:
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
            try:
                self._machines.stop(instance.id)
                self._machines.start(instance.id, instance.public_ip or "")
            finally:
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
            command()

        self._last[id] = ordered = self._pool.submit(run)
        ordered.add_done_callback(lambda done: self._report(id, done))
        return ordered

    @staticmethod
    def _report(id: str, done: Future[None]) -> None:
        failure = done.exception()
        if failure:
            log.error("a command for the machine of %s failed", id, exc_info=failure)

    def _state(self, id: str) -> str:
        """What the machine reports; nothing known where it cannot be asked just now."""
        try:
            return self._machines.state(id)
        except SandboxError as silent:
            log.warning("the machine of %s does not say how it is: %s", id, silent)
            return "unknown"

    def _depart(self, instance: SandboxInstance, *, first: bool = False, doomed: tuple[str, str] | None = None) -> None:
        low, high = self._delays.get(instance.state_name, (0.0, 0.0))
        earliest = time.monotonic() + DICE.uniform(low, high)
        with self._awake:
            self._running.pop(instance.id, None)
            self._journeys[instance.id] = Journey(instance, instance.state_name, earliest, first, doomed)
            self._awake.notify()

    def _run(self) -> None:
        try:
            self._travel()
        finally:  # a cloud whose instances never arrive would only look alive
            log.critical("no instance changes its state any more: ending", exc_info=True)
            os._exit(70)

    def _travel(self) -> None:
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
            end = instance.become_terminated if journey.first else instance.become_stopped
            self._arrive(journey, lambda: end(journey.doomed))
            return
        failed = ordered is not None and ordered.exception() is not None
        seen = "failed" if failed else self._state(instance.id)
        if seen == "booting" and time.monotonic() > journey.earliest + READY_WITHIN_S:
            seen = "failed"
        if seen == "unknown":
            return
        if journey.state == "shutting-down" and seen != "absent":
            self._destroy_again(journey)
        elif seen in ARRIVED[journey.state]:
            self._arrive(
                journey,
                {
                    "pending": instance.become_running,
                    "stopping": instance.become_stopped,
                    "shutting-down": instance.become_terminated,
                }[journey.state],
            )
        elif seen == "failed" and journey.first:
            self._order(instance.id, lambda: self._machines.destroy(instance.id))
            self._arrive(journey, lambda: instance.become_terminated(BROKEN))
        elif seen == "failed":
            self._arrive(journey, lambda: instance.become_stopped(BROKEN))

    def _destroy_again(self, journey: Journey) -> None:
        """A machine that cannot be removed yet is tried again; one that never can must not hold its instance."""
        id = journey.instance.id
        journey.tries += 1
        if journey.tries >= GONE_TRIES:
            self._arrive(journey, journey.instance.become_terminated)
            return
        journey.earliest = time.monotonic() + TRY_AGAIN_AFTER_S
        self._order(id, lambda: self._machines.destroy(id))

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
            if instance.id in self._rebooting or self._state(instance.id) not in {"stopped", "failed"}:
                continue
            with self._lock:
                if instance.state_name != "running":
                    continue
                if instance.instance_initiated_shutdown_behavior == "terminate":
                    instance.terminate()
                    instance.say_why(SHUT_DOWN_INSIDE)
                    self.terminate(instance)
                else:
                    self._running.pop(instance.id, None)
                    instance.become_stopped(SHUT_DOWN_INSIDE)
                self._changed(instance)
