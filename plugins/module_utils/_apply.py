# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Carries out plans for instances. It makes all changes and no decisions.

The instances of one call go through the same steps in parallel, with one API call for many where the API allows that.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from . import _cloud_init
from ._cloud import Cloud, Rebuilds, Shelves
from ._errors import (
    BadCredentials,
    CloudFailure,
    HavenError,
    InvalidRequest,
    Throttled,
    TimedOut,
    TokenUsed,
    UnexpectedAnswer,
    Unreachable,
    Unsupported,
)
from ._models import Change, HostKey, Instance, Observed, Plan, Resource, Spec
from ._ownership import TAG_HOST_KEY
from ._plan import HOST_KEY_LATER, generation, volumes_matter
from ._progress import progress
from ._retry import WORKERS, Deadline, Pace, together
from ._ssh import host_key as _host_key
from ._ssh.checks import principal
from ._ssh.handshake import Route
from ._wait import explained, until_state

# The maximum number of instances of one name that are created and deleted while a token is remembered, about a day.
MAX_GENERATIONS = 200
# Seconds: how long another controller's instance may be missing from the listing after its token was used.
LISTING_DELAY = 3.0
# Seconds within which an instance boots and prints its keys, if it prints them at all.
HOST_KEY_TIMEOUT = 240.0


@dataclass(frozen=True)
class Job:
    """One instance of a call: the request, the state found, and the plan."""

    spec: Spec
    observed: Observed
    plan: Plan


@dataclass(frozen=True)
class Waiting:
    """How long to wait: ``kind`` is running, ssh, or none; ``route`` has the hops, the user, and the key."""

    kind: str
    timeout: float
    route: Route


@dataclass
class Result:
    """The instances as they are now, in the order of the jobs, without those that are gone."""

    instances: list[Instance] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def apply(jobs: Sequence[Job], cloud: Cloud, waiting: Waiting) -> Result:
    """Carry out the plans. On failure, the HavenError has the existing instances in ``instances``."""
    run = _Run(jobs, cloud, waiting)
    try:
        run.all_steps()
    except HavenError as error:
        error.instances = [each for each in run.result().instances if each.id != error.removed]
        raise
    return run.result()


# After these errors, no other call would succeed either.
_HOPELESS = (BadCredentials, Throttled, TimedOut, UnexpectedAnswer, Unreachable)
# On OpenStack, an instance that still waits for a host has no port for these.
_NEED_PORTS = ("firewalls", "public_address")


class _Run:
    def __init__(self, jobs: Sequence[Job], cloud: Cloud, waiting: Waiting) -> None:
        self._jobs = jobs
        self._cloud = cloud
        self._waiting = waiting
        self._deadline = cloud.deadline = Deadline(waiting.timeout)
        self._now: dict[str, Instance] = {}
        self._boots: dict[str, str] = {}
        # Console output before a rebuild. Some consoles keep it, and its host key is that of the old system.
        self._old_consoles: dict[str, str] = {}
        self._warnings: list[str] = []
        self._by_id = {job.spec.id for job in jobs if job.spec.id}
        for job in jobs:
            for each in job.observed.live:
                self._now[job.spec.key] = each

    def all_steps(self) -> None:
        self._update(needs_stop=False)
        self._terminate()
        self._stop()
        with self._interrupted():
            self._update(needs_stop=True)
            progress.ends()
            self._start()
        self._shelve()
        self._rebuild()
        self._create()
        self._remove_leftovers()
        progress.ends()
        if self._waiting.kind != "none":
            self._wait()
        self._read_volumes_again()

    def result(self) -> Result:
        known = [self._now[job.spec.key] for job in self._jobs if job.spec.key in self._now]
        return Result([each for each in known if not each.gone], self._warnings)

    # -- steps

    def _update(self, *, needs_stop: bool) -> None:
        def due(change: Change) -> bool:
            return change.action == "update" and change.needs_stop is needs_stop and change.field != HOST_KEY_LATER

        def one(job: Job) -> None:
            for change in filter(due, job.plan.changes):
                self._update_one(job, change)

        touched = [job for job in self._jobs if any(due(change) for change in job.plan.changes)]
        wired = [job for job in touched if any(due(each) and each.field in _NEED_PORTS for each in job.plan.changes)]
        self._settle([self._now[job.spec.key] for job in wired], "pending", "running")
        together(one, touched)
        staying = [self._now[job.spec.key] for job in touched if not job.plan.has("terminate")]
        if staying:
            self._remember(list(self._cloud.refresh([each.id for each in staying]).values()))

    def _update_one(self, job: Job, change: Change) -> None:
        owners = {each.id: each for each in job.observed.live}
        instance = owners.get(change.target, self._now[job.spec.key])
        if change.field == "tags":
            self._cloud.tag([instance.id], change.after)
        elif change.field == "removed_tags":
            self._cloud.untag([instance.id], sorted(change.before))
        else:
            self._cloud.update(instance, change)

    def _terminate(self) -> None:
        ids = [change.target for job in self._jobs for change in job.plan.changes if change.action == "terminate"]
        follows = any(job.plan.has("create") or job.plan.has("remove") for job in self._jobs)
        # An instance that somebody else or an interrupted run is terminating keeps its disks until it is gone.
        leaving = [each for job in self._jobs for each in job.observed.found if each.state == "terminating"]
        victims = [each for job in self._jobs for each in job.observed.found if each.id in ids]
        if ids:
            self._cloud.terminate(ids)
        for instance in victims:
            self._now.pop(self._key(instance), None)
        if follows:
            victims = list({each.id: each for each in (*victims, *leaving)}.values())
        if follows or self._waiting.kind != "none":
            until_state(self._cloud, victims, "terminated", self._deadline)

    def _stop(self) -> None:
        chosen = self._machines_with("stop")
        if not chosen:
            return
        # An instance that is still starting cannot be stopped.
        self._settle(chosen, "pending", "running")
        for hibernate in (False, True):
            ids = [each.id for each in chosen if each.hibernation is hibernate]
            if ids:
                self._cloud.stop(ids, hibernate=hibernate)
        needed = any(change.needs_stop for job in self._jobs for change in job.plan.changes)
        if needed or self._waiting.kind != "none":
            stopping = [dataclasses.replace(each, state="stopping") for each in chosen]
            self._remember(until_state(self._cloud, stopping, "stopped", self._deadline))
        else:
            self._remember([dataclasses.replace(each, state="stopping") for each in chosen])

    def _start(self) -> None:
        chosen = self._machines_with("start")
        if chosen:
            self._settle(chosen, "stopping", "stopped")
            self._cloud.start([each.id for each in chosen])
            self._remember([dataclasses.replace(self._now[self._key(each)], state="pending") for each in chosen])
        again = self._machines_with("restart")
        if again:
            self._settle(again, "pending", "running")
            if self._waiting.kind == "ssh":
                self._boots = self._waiting.route.boots(again)
            self._cloud.restart([each.id for each in again])
            if self._cloud.restart_shows:
                self._remember([dataclasses.replace(self._now[self._key(each)], state="pending") for each in again])

    @contextmanager
    def _interrupted(self) -> Iterator[None]:
        """If a change fails for which instances were stopped, try to bring them back as they were, and say so."""
        try:
            yield
        except HavenError as error:
            # After the others, nothing else would work either.
            told = [] if isinstance(error, _HOPELESS) else together(self._bring_back, self._jobs)
            if not any(told):
                raise
            whole = type(error)(" ".join(filter(None, [str(error), *told])))
            whole.removed = error.removed
            raise whole from error

    def _bring_back(self, job: Job) -> str:
        """Start an instance that this run stopped, with its former type. Return a sentence, if there is one to say."""
        resized = next((each for each in job.plan.changes if each.field == "instance_type"), None)
        if not job.plan.has("start"):
            return ""
        now = self._now[job.spec.key]
        try:
            now = self._cloud.refresh([now.id]).get(now.id, now)
            if now.state == "stopped" and job.plan.has("stop"):
                if resized and now.instance_type == resized.after:
                    self._cloud.update(now, dataclasses.replace(resized, before=resized.after, after=resized.before))
                self._cloud.start([now.id])
                pending = dataclasses.replace(now, state="pending")
                until_state(self._cloud, [pending], "running", self._deadline)
        except HavenError:
            # What was tried first is the error to report.
            pass
        with suppress(HavenError):
            now = self._cloud.refresh([now.id]).get(now.id, now)
        self._remember([now])
        up = now.state in ("pending", "running")
        # Either nothing was changed, or this one has what it was to have.
        if not resized or (up and now.instance_type == resized.after):
            return ""
        if up:
            return f"{now.name} is running again, with the instance type {now.instance_type} as before."
        return (
            f"{now.name} is {now.state} now, with the instance type {now.instance_type}: run this again later, or with "
            "another type."
        )

    def _shelve(self) -> None:
        chosen = self._machines_with("shelve")
        if not chosen:
            return
        self._settle(chosen, "pending", "running")
        self._settle(chosen, "stopping", "stopped")
        if not isinstance(self._cloud, Shelves):
            raise Unsupported(f"{self._cloud.name} cannot shelve an instance: use state: stopped.")
        self._cloud.shelve([each.id for each in chosen])
        shelving = [dataclasses.replace(self._now[self._key(each)], state="stopping") for each in chosen]
        if self._waiting.kind != "none":
            shelving = until_state(self._cloud, shelving, "shelved", self._deadline)
        self._remember(shelving)

    def _rebuild(self) -> None:
        chosen = [job for job in self._jobs if job.plan.has("rebuild")]
        if not chosen:
            return
        machines = [self._now[job.spec.key] for job in chosen]
        self._settle(machines, "pending", "running")
        self._settle(machines, "stopping", "stopped")
        if self._waiting.kind == "ssh":
            self._boots = self._waiting.route.boots(machines)
        together(self._rebuild_one, chosen)

    def _rebuild_one(self, job: Job) -> None:
        machine = self._now[job.spec.key]
        if job.spec.record_host_key:
            self._old_consoles[machine.name] = self._cloud.console(machine)
        if not isinstance(self._cloud, Rebuilds):
            raise Unsupported(f"{self._cloud.name} cannot rebuild an instance: use recreate: true.")
        self._cloud.rebuild(machine, job.spec, job.observed.image)
        tags = {key: value for key, value in machine.tags.items() if key != TAG_HOST_KEY}
        self._remember([dataclasses.replace(machine, state="pending", tags=tags)])

    def _create(self) -> None:
        wanted = [job for job in self._jobs if job.plan.has("create")]
        if not wanted:
            return
        with ThreadPoolExecutor(min(WORKERS, len(wanted))) as pool:
            futures = {pool.submit(self._create_one, job): job for job in wanted}
            _done, unfinished = wait(futures, return_when=FIRST_EXCEPTION)
            # A failure usually affects all instances: start no more.
            for future in unfinished:
                future.cancel()
        made = [self._now[job.spec.key] for future, job in futures.items() if _succeeded(future)]
        for each in made:
            progress.begins("launch accepted", about=each.name)
        settled = self._cloud.settle(made) if made else []
        self._remember(settled)
        # Some clouds accept a creation and fail later.
        refused: list[tuple[str, HavenError]] = []
        for each in settled:
            if each.gone:
                refused.append((each.name, explained(self._cloud, each, "running")))
                self._now.pop(each.name)
        self._raise_failures(futures, refused)

    def _raise_failures(self, futures: dict[Future[None], Job], failed: list[tuple[str, HavenError]]) -> None:
        skipped: list[str] = []
        for future, job in futures.items():
            if future.cancelled():
                skipped.append(job.spec.name)
                continue
            error = future.exception()
            if isinstance(error, HavenError):
                failed.append((job.spec.name, error))
            elif error is not None:
                raise error
        if not failed:
            return
        if len(futures) == 1:
            raise failed[0][1]
        made = [job.spec.name for job in futures.values() if job.spec.key in self._now]
        message = f"Could not create {', '.join(name for name, _error in failed)}: {failed[0][1]}"
        if made:
            message += f" Created and kept: {', '.join(sorted(made))}."
        if skipped:
            message += f" Not tried after that: {', '.join(sorted(skipped))}."
        raise type(failed[0][1])(message)

    def _create_one(self, job: Job) -> None:
        progress.begins("the cloud is asked to launch it", about=job.spec.name)
        self._now[job.spec.key] = self._create_or_adopt(job)

    def _create_or_adopt(self, job: Job) -> Instance:
        """Create the instance with the first unused token.

        A used token means that an instance of this name was created with it. If that is terminated, take the next
        generation. If it exists, another controller created it, or a call whose answer was lost, and it is the one.
        """
        if job.observed.image is None:
            raise InvalidRequest(f"Instance {job.spec.name} cannot be created without an image: give one.")
        spec = job.spec
        if spec.host_key_source == "injected":
            spec = dataclasses.replace(spec, host_key=_new_host_key(spec))
        number = generation(job.observed.found)
        replaced = {each.id for each in job.observed.live}
        for _attempt in range(MAX_GENERATIONS):
            try:
                return self._cloud.create(spec, job.observed.image, number)
            except TokenUsed as used:
                found = self._look_for_owner(spec, number, patient=not used.terminated)
            live = [each for each in found if not each.gone and each.id not in replaced]
            if live:
                return live[0]
            number = max(number + 1, generation(found))
        raise CloudFailure(
            f"{MAX_GENERATIONS} instances called {spec.name} were created and terminated within about a day: "
            "use another name, or try again tomorrow."
        )

    def _look_for_owner(self, spec: Spec, number: int, *, patient: bool) -> list[Instance]:
        """Find the instance that used this token. The listing may lag behind an instance that was just created."""
        end = time.monotonic() + (LISTING_DELAY if patient else 0.0)
        pace = Pace(self._cloud.pacing)
        while True:
            found = self._cloud.instances(spec.project, [spec.name])
            if any(each.generation >= number for each in found) or time.monotonic() >= end:
                return found
            pace.sleep()

    def _remove_leftovers(self) -> None:
        doomed = [
            Resource(change.kind, change.target, job.spec.name, str(change.before))
            for job in self._jobs
            for change in job.plan.changes
            if change.action == "remove" and change.kind
        ]
        together(self._cloud.remove, doomed)

    # -- waiting

    def _wait(self) -> None:
        chosen = [self._now[job.spec.key] for job in self._jobs if job.spec.key in self._now]
        # "present" leaves a stopped instance stopped, but waits for one that is starting.
        starting = [each for each in chosen if each.state == "pending"]
        with self._interrupted():
            self._remember(until_state(self._cloud, starting, "running", self._deadline))
        self._record_host_keys()
        if self._waiting.kind == "ssh":
            running = [each for each in self._now.values() if each.state == "running"]
            route = dataclasses.replace(self._waiting.route, console=self._new_console)
            route.wait(running, self._deadline, self._boots)

    def _record_host_keys(self) -> None:
        """Read the consoles of new instances until each has printed its key, and record it in the instance's tags."""
        wanting = [
            self._now[job.spec.key]
            for job in self._jobs
            if job.spec.record_host_key
            and any(
                change.action in ("create", "start", "rebuild") or change.field == HOST_KEY_LATER
                for change in job.plan.changes
            )
        ]
        wanting = [each for each in wanting if each.state == "running" and not each.host_key]
        patience = Deadline(min(HOST_KEY_TIMEOUT, self._deadline.left))
        pace = Pace(self._cloud.pacing)
        for each in wanting:
            progress.begins("boots, its host key is not on the console yet", about=each.name)
        while wanting:
            done = together(self._record_host_key, wanting)
            wanting = [each for each, recorded in zip(wanting, done) if not recorded]
            if not wanting:
                return
            if patience.over:
                names = ", ".join(each.name for each in wanting)
                self._warnings.append(
                    f"No ed25519 host key on the console of {names} within {patience.seconds:.0f} s, so strict "
                    "connections will refuse: run this again when cloud-init has finished there."
                )
                return
            pace.sleep()

    def _new_console(self, instance: Instance) -> str:
        """The console output since the rebuild, if there was one."""
        return _cloud_init.since(self._old_consoles.get(instance.name, ""), self._cloud.console(instance))

    def _record_host_key(self, instance: Instance) -> bool:
        key = _cloud_init.host_key(self._new_console(instance))
        if not key:
            return False
        self._cloud.tag([instance.id], {TAG_HOST_KEY: key})
        self._remember([dataclasses.replace(instance, tags={**instance.tags, TAG_HOST_KEY: key})])
        return True

    # -- book-keeping

    def _read_volumes_again(self) -> None:
        """Read again what the plans compared and later listings do not contain."""
        bare = [
            self._now[job.spec.key]
            for job in self._jobs
            if volumes_matter(job.spec)
            and job.plan.changed
            and not job.plan.has("create")
            and job.spec.key in self._now
        ]
        if bare:
            self._remember(self._cloud.with_volumes(bare))

    def _machines_with(self, action: str) -> list[Instance]:
        return [self._now[job.spec.key] for job in self._jobs if job.plan.has(action)]

    def _settle(self, instances: Sequence[Instance], passing: str, state: str) -> None:
        """Wait until no instance is in a transitional state."""
        moving = [each for each in instances if each.state == passing]
        self._remember(until_state(self._cloud, moving, state, self._deadline))

    def _remember(self, instances: Sequence[Instance]) -> None:
        self._now.update({self._key(each): each for each in instances})

    def _key(self, instance: Instance) -> str:
        return instance.id if instance.id in self._by_id else instance.name


def _new_host_key(spec: Spec) -> HostKey:
    return _host_key.make(spec.host_key_signer, principal(spec.name, spec.project))


def _succeeded(future: Future[None]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None
