"""Runs the jobs in two lanes, the longest first; the output of each goes to a log of its own."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import pathlib
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable

from .jobs import ROOT, Job
from .times import Result, Step

LANES = 2
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
CLOSING = re.compile(
    r"\d+ (?:passed|failed|error).* in [\d.]+s[^=]*|lint: everything.*|ansible-test sanity: .*|mutation: \d+ lines.*"
)
# Molecule says so before each step.
STEP = re.compile(r"^\S* *\S+ ➜ (\S+?): Executing")
# Where pytest, Ansible and Molecule say what went wrong.
REASON = re.compile(r"^(FAILED|ERROR|E   )|^(fatal|failed): \[|\[ERROR\]|\bCRITICAL\b")
REASONS = 8
# Seconds that a job has for its own clean-up once it was told to end.
PATIENCE = 60.0


class StoppedError(Exception):
    """Somebody wants the run to end: what is running was ended, and nothing new begins."""


class Lanes:
    """The queue. ``ready`` is set once the sandbox is up; ``began``: the run's first moment, by the monotonic clock."""

    def __init__(self, logs: pathlib.Path, ready: threading.Event, began: float) -> None:
        self.logs = logs
        self.ready = ready
        self.began = began
        self.results: list[Result] = []
        self._waiting: list[Job] = []
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._taken: set[str] = set()
        self._changed = threading.Condition()
        self._stopped = False

    def run(self, jobs: Iterable[Job]) -> list[Result]:
        """All of them; returns when the last has ended. StoppedError: `stop` was called."""
        self._waiting = sorted(jobs, key=lambda job: job.minutes, reverse=True)
        with concurrent.futures.ThreadPoolExecutor(LANES) as pool:
            lanes = [pool.submit(self._lane) for _ in range(LANES)]
            try:
                for lane in lanes:
                    lane.result()
            except BaseException:
                # Or the pool would wait for jobs that nobody asks for any more.
                self.stop()
                raise
        if self._stopped:
            raise StoppedError
        return self.results

    def stop(self) -> None:
        """Let nothing new begin and end what runs: first as Ctrl-C does, so that pytest and Molecule tidy up."""
        with self._changed:
            if self._stopped:
                return
            self._stopped = True
            running = list(self._running.values())
            self._changed.notify_all()
        for how in (signal.SIGINT, signal.SIGKILL):
            for process in running:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, how)
            deadline = time.monotonic() + PATIENCE
            while any(process.poll() is None for process in running) and time.monotonic() < deadline:
                time.sleep(0.1)

    def wake(self) -> None:
        """Look at the queue again: the sandbox is up, or will not be."""
        with self._changed:
            self._changed.notify_all()

    def _lane(self) -> None:
        while (job := self._next()) is not None:
            result = self._one(job)
            with self._changed:
                self._running.pop(job.name, None)
                self._taken.discard(job.alone_on)
                self._changed.notify_all()
                self.results.append(result)
            if not self._stopped:
                say(result, self.logs)

    def _next(self) -> Job | None:
        """The longest that can begin; waits while there are others only."""
        with self._changed:
            while self._waiting and not self._stopped:
                for job in self._waiting:
                    if (not job.sandbox or self.ready.is_set()) and (
                        not job.alone_on or job.alone_on not in self._taken
                    ):
                        self._waiting.remove(job)
                        self._taken.add(job.alone_on)
                        return job
                self._changed.wait()
            return None

    def _one(self, job: Job) -> Result:
        started = time.monotonic()
        log = self.logs / f"{job.name}.log"
        tests = self.logs / f"{job.name}.tests.jsonl"
        tests.unlink(missing_ok=True)
        environment = {**os.environ, "HAVEN_TEST_TIMES": str(tests)}
        environment["PYTEST_ADDOPTS"] = f"{environment.get('PYTEST_ADDOPTS', '')} -p tests.all.timing".strip()
        # Started under the lock: what begins while the run is being stopped would be missed by who stops it.
        with self._changed:
            if self._stopped:
                return Result(job, -signal.SIGINT, started - self.began, 0.0)
            process = self._running[job.name] = subprocess.Popen(
                job.command, cwd=ROOT, env=environment, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
        steps = copied(process, log)
        code = process.wait()
        ended = time.monotonic()
        return Result(job, code, started - self.began, ended - started, steps, closing(log))


def copied(process: subprocess.Popen[bytes], log: pathlib.Path) -> list[Step]:
    """Copy what a process says to its log until it has nothing more to say; returns Molecule's steps with seconds."""
    steps: list[tuple[str, float]] = []
    assert process.stdout is not None
    with log.open("wb") as output:
        for line in process.stdout:
            output.write(line)
            output.flush()
            if found := STEP.search(COLOUR.sub("", line.decode(errors="replace"))):
                steps.append((found[1], time.monotonic()))
    ends = [at for dummy, at in steps[1:]] + [time.monotonic()]
    return [Step(name, end - at) for (name, at), end in zip(steps, ends, strict=False)]


def lines_of(log: pathlib.Path) -> list[str]:
    return COLOUR.sub("", log.read_text(errors="replace")).splitlines()


def closing(log: pathlib.Path) -> str:
    """The last line with which a test runner says how it went."""
    return next((found[0] for line in reversed(lines_of(log)) if (found := CLOSING.search(line))), "no closing line")


def reasons(log: pathlib.Path) -> list[str]:
    """The last few lines of a log that say what went wrong; where none does, its last lines."""
    lines = [line[:200] for line in lines_of(log) if line.strip()]
    return ([line for line in lines if REASON.search(line)] or lines)[-REASONS:]


def say(result: Result, logs: pathlib.Path, out: Callable[[str], None] = lambda text: print(text, flush=True)) -> None:
    """One line for a job, and the end of its log where it failed."""
    verdict = "ok" if result.passed else f"FAILED (rc {result.code})"
    out(f"{result.job.name}: {verdict}, {result.seconds / 60:.1f} min, {result.closing}")
    if not result.passed:
        out("\n".join(lines_of(logs / f"{result.job.name}.log")[-80:]))
