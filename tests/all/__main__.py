"""Runs every check: `python -m tests.all [--long | --quick] [LEVEL or JOB...]`; this is what `make test` calls.

One queue of jobs (jobs.py) in two lanes, the longest first. One sandbox of its own serves them all: it starts beside
those that need none, and is taken down at the end, whatever happened, also when somebody presses Ctrl-C or ends the
run by a signal. Printed are each test runner's closing line and a table of times.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

from ..environment import source
from ..sandbox import probe
from ..sandbox.errors import UnsuitableMachineError
from .jobs import ROOT, Job, chosen
from .lanes import Lanes, StoppedError, reasons
from .times import Result, record, table

BUILD = ROOT / "build"
LOGS = BUILD / "test-logs"
ANSIBLE_HOME = BUILD / "test-ansible"
# A path of its own: a sandbox that somebody works with stays as it is. Short, for unix sockets' sake.
SANDBOX = BUILD / "test-sandbox"


class SandboxOfTheRun:
    """Starts beside the first jobs, ends after the last."""

    def __init__(self, *options: str) -> None:
        self._options = options
        self.openstack = "all" in options
        self.up = threading.Event()
        self.seconds = 0.0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, lanes: Lanes) -> None:
        """Bring it up; where that fails the run ends, since most jobs would."""
        began = time.monotonic()
        command = self._command("up", *self._options)
        self._process = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
        code = self._process.wait()
        self.seconds = time.monotonic() - began
        if code != 0:
            lanes.stop()
            return
        source(SANDBOX / "env")
        self.up.set()
        lanes.wake()

    def end(self) -> None:
        if self._process is None:
            return
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGINT)
            self._process.wait()
        subprocess.run(self._command("down"), cwd=ROOT, check=True)

    @staticmethod
    def _command(*verb: str) -> list[str]:
        return [sys.executable, "-m", "tests.sandbox", *verb, "--dir", str(SANDBOX)]


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """Whoever ends us, by Ctrl-C, `kill` or closing the terminal, gets the same tidy end."""

    def interrupt(number: int, dummy: object) -> None:
        # Once: a second Ctrl-C must not cut the tidying short.
        for each in signals:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt(signal.Signals(number).name)

    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {each: signal.signal(each, interrupt) for each in signals}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def leftovers(began: float) -> Result:
    """What the suite left on the sandbox's OpenStack."""
    job = Job("leftovers", "integration", (sys.executable, "-m", "tests.leftovers"), 0)
    started = time.monotonic()
    code = subprocess.run(job.command, cwd=ROOT, check=False).returncode
    return Result(job, code, started - began, time.monotonic() - started)


def run(jobs: list[Job], sandbox: SandboxOfTheRun, began: float) -> list[Result]:
    lanes = Lanes(LOGS, sandbox.up, began)
    needed = any(job.sandbox for job in jobs)
    if needed:
        threading.Thread(target=sandbox.start, args=(lanes,), daemon=True).start()
    try:
        results = lanes.run(jobs)
        return [*results, leftovers(began)] if needed and sandbox.openstack else results
    except KeyboardInterrupt:
        print("Ended what ran; taking the sandbox down", flush=True)
        raise
    finally:
        if needed:
            sandbox.end()


def finish(results: list[Result], stages: dict[str, float], total: float) -> None:
    times = record(results, stages, total, LOGS)
    (LOGS / "times.json").write_text(json.dumps(times, indent=1) + "\n")
    print("\n".join(["", *table(times), ""]), flush=True)
    failed = [result.job.name for result in results if not result.passed]
    # At the very end, because of a long output often nothing else is kept.
    for name in failed:
        log = LOGS / f"{name}.log"
        print("\n".join([f"{name}, whole in {log.relative_to(ROOT)}:", *(f"  {line}" for line in reasons(log)), ""]))
    verdict = f": {', '.join(failed)}" if failed else ""
    print(f"{total / 60:.1f} min: {len(results) - len(failed)} passed, {len(failed)} failed{verdict}", flush=True)


def main() -> int:
    began = time.monotonic()
    parser = argparse.ArgumentParser(prog="python -m tests.all", description="Runs every check.")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--long", action="store_true", help="run what takes many guests or many minutes as well")
    which.add_argument("--quick", action="store_true", help="run what a developer runs after each edit: `make check`")
    parser.add_argument("names", nargs="*", metavar="LEVEL or JOB", help="these only (tests/all/jobs.py)")
    options = parser.parse_args()
    try:
        jobs = chosen(options.names, long=options.long, quick=options.quick)
    except KeyError as error:
        parser.error(f"there is no level or job {error}: see tests/all/jobs.py")
    if any(job.sandbox for job in jobs):
        # Said before the jobs that need none have taken their minutes.
        try:
            probe.require(SANDBOX)
        except UnsuitableMachineError as error:
            sys.exit(f"{error} Without a sandbox there are `make lint` and `make unit`.")
    LOGS.mkdir(parents=True, exist_ok=True)
    # What an earlier run noted of its hosts does not hold in a new sandbox.
    shutil.rmtree(ANSIBLE_HOME, ignore_errors=True)
    os.environ["ANSIBLE_HOME"] = str(ANSIBLE_HOME)
    if not options.long:
        os.environ["HAVEN_TEST_SHORT"] = "1"
    # In the long run everything is installed anew, everywhere.
    clouds = "ec2" if options.quick else "all"
    images = [word for name in ("ubuntu-gpu", "ubuntu-like", "ubuntu-next") for word in ("--image", name)]
    sandbox = SandboxOfTheRun("--cloud", clouds, *images, *([] if options.long else ["--prepared"]))
    with ended_by_signals():
        try:
            results = run(jobs, sandbox, began)
        except StoppedError:
            sys.exit("The sandbox did not start, so that nothing could be tested.")
        except KeyboardInterrupt as interrupt:
            print(f"Ended by {interrupt}: nothing is left running.", file=sys.stderr)
            return 130
    stages = {"sandbox's start": sandbox.seconds} if sandbox.seconds else {}
    finish(results, stages, time.monotonic() - began)
    return 0 if all(result.passed for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
