"""What `make test` runs, each job with its level, what it needs and about how long it takes.

A level is a kind of test; CONTRIBUTING.md says which test belongs to which, and what each level may cost.
"""

from __future__ import annotations

import dataclasses
import pathlib
import sys
from collections.abc import Iterable

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Minutes of one core's lane that each level may take, all its jobs together.
BUDGETS = {"lint": 4.0, "unit": 3.0, "integration": 15.0, "story": 12.0, "molecule": 16.0}
# Breaking one line at a time takes as long as all the rest together.
ON_REQUEST = {"mutation"}


@dataclasses.dataclass(frozen=True)
class Job:
    """One command. ``minutes``: how long it took when somebody looked last; the queue starts the longest first."""

    name: str
    level: str
    command: tuple[str, ...]
    minutes: float
    sandbox: bool = False
    # Only `make test-long` runs it.
    long: bool = False
    # Only `make check` runs it.
    quick: bool = False


def pytest(name: str, level: str, minutes: float, *arguments: str) -> Job:
    # Its tests' times are of use only apart from those of other processes, so the queue has the lanes, not xdist.
    return Job(name, level, ("pytest", "-q", *arguments), minutes, sandbox=level != "unit")


def scenario(name: str, minutes: float, *, long: bool = False) -> Job:
    """A Molecule scenario."""
    command = ("molecule", "test", "--scenario-name", name)
    return Job(f"molecule-{name}", "story" if long else "molecule", command, minutes, sandbox=True, long=long)


JOBS = (
    Job("lint", "lint", ("tools/lint.sh", "--no-sanity"), 2.0),
    Job("sanity", "lint", ("tools/sanity.sh",), 2.0),
    pytest("unit", "unit", 2.5, "tests/unit"),
    pytest("integration-inventory", "integration", 5, "tests/integration/inventory"),
    pytest("integration-modules", "integration", 8, "tests/integration/modules"),
    pytest("integration-sandbox", "integration", 5, *sorted(
        str(path.relative_to(ROOT)) for path in ROOT.glob("tests/integration/test_*.py")
    )),
    pytest("story-notebook", "story", 5, "tests/story/test_story.py"),
    pytest("story-killed", "story", 3, "tests/story/test_kill.py"),
    pytest("story-permissions", "story", 5, "tests/story/test_permissions.py"),
    scenario("cuda", 2.4),
    scenario("egress", 3.1),
    scenario("jump_host", 4),
    scenario("jupyter", 5),
    scenario("ssh_config", 1.2),
    scenario("tensorboard", 4.3),
    scenario("tls", 2.2),
    scenario("venv", 3.5),
    scenario("site_ec2", 5.4, long=True),
    scenario("site_openstack", 5.8, long=True),
    Job("lint-changed", "lint", ("tools/lint_changed.sh",), 0.5, quick=True),
    Job("unit-together", "unit", ("pytest", "-q", "-n", "2", "tests/unit"), 0.7, quick=True),
    Job(
        "story-quick", "story", ("pytest", "-q", "-m", "quick", "tests/story/test_story.py"), 2.0,
        sandbox=True, quick=True,
    ),
    Job("mutation", "mutation", (sys.executable, "-m", "tests.mutation"), 60, sandbox=True),
)  # fmt: skip


def chosen(names: Iterable[str], *, long: bool = False, quick: bool = False) -> list[Job]:
    """The jobs of these names or levels; with none, all of `make test`, `make test-long` or `make check`.

    KeyError: one of the names is unknown.
    """
    wanted = list(names)
    if quick:
        return [job for job in JOBS if job.quick]
    if not wanted:
        return [job for job in JOBS if job.level not in ON_REQUEST and not job.quick and (long or not job.long)]
    known = {job.name for job in JOBS} | {job.level for job in JOBS}
    for name in wanted:
        if name not in known:
            raise KeyError(name)
    return [job for job in JOBS if job.name in wanted or (job.level in wanted and not job.quick and not job.long)]
