"""Where the time went: build/test-logs/times.json, and the short table at the end of a run."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

from .jobs import BUDGETS, JOBS, LEFT_OUT, Job

SLOWEST = 25


@dataclasses.dataclass(frozen=True)
class Step:
    """A part of a job: an action of Molecule. Seconds."""

    name: str
    seconds: float


@dataclasses.dataclass(frozen=True)
class Result:
    """How a job went; ``started`` in seconds after the run began."""

    job: Job
    code: int
    started: float
    seconds: float
    steps: Sequence[Step] = ()
    closing: str = ""

    @property
    def passed(self) -> bool:
        return self.code == 0


def tests_of(results: Sequence[Result], logs: pathlib.Path) -> list[dict[str, Any]]:
    """Every test that ran: {"job", "test", "setup", "call", "teardown"}, in seconds, the slowest first."""
    found = []
    for result in results:
        file = logs / f"{result.job.name}.tests.jsonl"
        for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else ():
            found.append({"job": result.job.name, **json.loads(line)})
    return sorted(found, key=_total, reverse=True)


def _total(test: dict[str, Any]) -> float:
    return float(test.get("setup", 0) + test.get("call", 0) + test.get("teardown", 0))


def record(results: Sequence[Result], stages: dict[str, float], total: float, logs: pathlib.Path) -> dict[str, Any]:
    """All that is known, for times.json. ``stages``: seconds of what is no job, such as the sandbox's start."""
    return {
        "total": round(total, 1),
        "stages": {name: round(seconds, 1) for name, seconds in stages.items()},
        "levels": {level: round(seconds, 1) for level, seconds in levels(results).items()},
        "jobs": [
            {
                "name": result.job.name,
                "level": result.job.level,
                "passed": result.passed,
                "started": round(result.started, 1),
                "seconds": round(result.seconds, 1),
                "steps": [{"name": step.name, "seconds": round(step.seconds, 1)} for step in result.steps],
            }
            for result in results
        ],
        "tests": tests_of(results, logs),
    }


def levels(results: Sequence[Result]) -> dict[str, float]:
    """Seconds of lane time that each level took."""
    found: dict[str, float] = {}
    for result in results:
        found[result.job.level] = found.get(result.job.level, 0.0) + result.seconds
    return found


def table(times: dict[str, Any]) -> Iterator[str]:
    """The short table, line by line: levels beside their budgets, jobs, the slowest tests."""
    yield f"{'level':<24}{'minutes':>8}{'budget':>8}   (of one lane; there are two)"
    for level, seconds in times["levels"].items():
        budget = f"{BUDGETS[level]:8.1f}" if level in BUDGETS else " " * 8
        yield f"{level:<24}{seconds / 60:8.1f}{budget}"
    yield ""
    yield f"{'job':<24}{'minutes':>8}  began  longest steps"
    for job in times["jobs"]:
        steps = sorted(job["steps"], key=lambda step: step["seconds"], reverse=True)[:4]
        told = ", ".join(f"{step['name']} {step['seconds']:.0f} s" for step in steps)
        verdict = "" if job["passed"] else "FAILED  "
        yield f"{job['name']:<24}{job['seconds'] / 60:8.1f}  {job['started'] / 60:5.1f}  {verdict}{told}".rstrip()
    for stage, seconds in times["stages"].items():
        yield f"{stage:<24}{seconds / 60:8.1f}"
    yield ""
    yield f"{'set-up':>7} {'call':>7}  the {SLOWEST} slowest tests (seconds)"
    for test in times["tests"][:SLOWEST]:
        yield f"{test.get('setup', 0):7.1f} {test.get('call', 0):7.1f}  {test['test']}"
    ran = {job["name"] for job in times["jobs"]}
    left_out = [job.name for job in JOBS if job.long and job.name not in ran]
    if left_out and "lint" in ran:
        yield ""
        yield f"Only `make test-long` runs: {', '.join(left_out)};"
        yield from (f"  {each}" for each in LEFT_OUT)
