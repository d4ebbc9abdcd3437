"""Runs every check, stage by stage: `python -m tests.all [STAGE...]`; this is what `make test` calls.

Stages: lint, unit, integration, story, molecule, mutation. One sandbox of its own serves them all and
is taken down at the end, whatever happened. Each stage's time is printed, and the closing line of each test runner.
"""

from __future__ import annotations

import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable

from .environment import source
from .sandbox import probe
from .sandbox.errors import UnsuitableMachineError

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
LOGS = BUILD / "test-logs"
ANSIBLE_HOME = BUILD / "test-ansible"
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
CLOSING = re.compile(r"\d+ (passed|failed|error).* in [\d.]+s")  # pytest's last line
# A path of its own: a sandbox that somebody works with stays as it is. Short, for unix sockets' sake.
SANDBOX = BUILD / "test-sandbox"


def run(name: str, *command: str, quiet: bool = False) -> bool:
    """Run one command; where it is quiet its output goes to a log, shown when it fails."""
    log = LOGS / f"{name}.log"
    if not quiet:
        return subprocess.run(command, cwd=ROOT, check=False).returncode == 0
    started = time.monotonic()
    with log.open("wb") as output:
        code = subprocess.run(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, check=False).returncode
    lines = COLOUR.sub("", log.read_text(errors="replace")).splitlines()
    closing = next((found[0] for line in reversed(lines) if (found := CLOSING.search(line))), "no closing line")
    verdict = "ok" if code == 0 else f"FAILED (rc {code})"
    print(f"{name}: {verdict}, {(time.monotonic() - started) / 60:.1f} min, {closing}", flush=True)
    if code:
        print("\n".join(lines[-80:]), flush=True)
    return code == 0


def scenarios() -> list[str]:
    """Names of the Molecule scenarios; the longest first, so that the two lanes end together."""
    names = sorted(path.parent.name for path in ROOT.glob("molecule/*/molecule.yml"))
    return sorted(names, key=lambda name: not name.startswith(("site", "jump_host", "jupyter", "tensorboard")))


def molecule() -> bool:
    """Every scenario, two at a time, on the one sandbox."""
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        jobs = [
            pool.submit(run, f"molecule-{name}", "molecule", "test", "--scenario-name", name, quiet=True)
            for name in scenarios()
        ]
    return report([job.result() for job in jobs])


def report(results: list[bool]) -> bool:
    print(f"molecule: {sum(results)} passed, {len(results) - sum(results)} failed", flush=True)
    return all(results)


STAGES: dict[str, Callable[[], bool]] = {
    "lint": lambda: run("lint", "tools/lint.sh"),
    "unit": lambda: run("unit", "pytest", "-q", "-n", "2", "tests/unit"),
    "integration": lambda: run("integration", "pytest", "-q", "-n", "2", "--dist", "loadfile", "tests/integration"),
    "story": lambda: run("story", "pytest", "-q", "-n", "2", "--dist", "loadfile", "tests/story"),
    "molecule": molecule,
    "mutation": lambda: run("mutation", sys.executable, "-m", "tests.mutation"),
}
# Breaking one line at a time takes as long as all the rest together.
ON_REQUEST = {"mutation"}
NEED_SANDBOX = {"integration", "story", "molecule", "mutation"}


def sandbox(*verb: str) -> None:
    subprocess.run([sys.executable, "-m", "tests.sandbox", *verb, "--dir", str(SANDBOX)], cwd=ROOT, check=True)


def main() -> None:
    chosen = sys.argv[1:] or [stage for stage in STAGES if stage not in ON_REQUEST]
    if NEED_SANDBOX & set(chosen):
        # Said before the stages that need none have taken their minutes.
        try:
            probe.require(SANDBOX)
        except UnsuitableMachineError as error:
            sys.exit(f"{error} Without a sandbox there are `make lint` and `make unit`.")
    LOGS.mkdir(parents=True, exist_ok=True)
    # What an earlier run noted of its hosts does not hold in a new sandbox.
    shutil.rmtree(ANSIBLE_HOME, ignore_errors=True)
    os.environ["ANSIBLE_HOME"] = str(ANSIBLE_HOME)
    results, minutes = {}, {}
    started = False
    try:
        for stage in chosen:
            begin = time.monotonic()
            print(f"=== {stage}", flush=True)
            if stage in NEED_SANDBOX and not started:
                started = True
                sandbox("up", "--cloud", "all")
                source(SANDBOX / "env")
            results[stage] = STAGES[stage]()
            minutes[stage] = (time.monotonic() - begin) / 60
        if started:
            begin = time.monotonic()
            results["leftovers"] = run("leftovers", sys.executable, "-m", "tests.leftovers")
            minutes["leftovers"] = (time.monotonic() - begin) / 60
    finally:
        if started:
            sandbox("down")
    for stage, good in results.items():
        print(f"{stage:<12} {'passed' if good else 'FAILED'}  {minutes[stage]:5.1f} min")
    print(f"{sum(results.values())} passed, {len(results) - sum(results.values())} failed")
    sys.exit(0 if all(results.values()) else 1)


if __name__ == "__main__":
    main()
