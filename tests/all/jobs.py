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
BUDGETS = {"lint": 4.0, "unit": 2.0, "integration": 19.0, "story": 9.0, "molecule": 16.0}
# What `make test` leaves to `make test-long`, beside whole jobs.
LEFT_OUT = (
    "modules and inventories that are decided above the adapters, on OpenStack (tests/integration/conftest.py)",
    "installing the software of the services on every guest (images: tests/sandbox/prepared_image.py)",
    "tests marked long: what needs many guests or two clouds, and the comparison with amazon.aws (pytest -m long)",
    "haven.gpu.accounts on Debian 12 (molecule/jupyter/tests/test_accounts.py)",
)
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
    # Jobs that name the same thing are never run at the same time.
    alone_on: str = ""
    # Only `make test-long` runs it.
    long: bool = False
    # Only `make check` runs it.
    quick: bool = False


def pytest(
    level: str,
    name: str,
    minutes: float,
    *arguments: str,
    sandbox: bool = True,
    alone_on: str = "",
    long: bool = False,
) -> Job:
    # Without xdist: the queue has the lanes.
    command = ("pytest", "-q", *arguments)
    return Job(f"{level}-{name}" if name else level, level, command, minutes, sandbox, alone_on, long)


def scenario(name: str, minutes: float, *, long: bool = False, alone_on: str = "") -> Job:
    """A Molecule scenario; one of the whole story belongs to the stories."""
    # The sandbox goes with all that is in it; the stories destroy theirs.
    keep = () if long else ("--destroy", "never")
    command = ("molecule", "test", "--scenario-name", name, *keep)
    level = "story" if name.startswith("site_") else "molecule"
    return Job(f"molecule-{name}", level, command, minutes, sandbox=True, alone_on=alone_on, long=long)


INTEGRATION = "tests/integration"
# These restart services and make them fail, and look at what is left in the project: nobody else may use it meanwhile.
GUESTS = ("inventory/test_connections.py", "modules/test_wait_ssh.py")
# What needs the clouds' APIs and no guest.
APIS = ("test_contract.py",)
# Services that end in the middle, and every answer that can be lost; the contract loses a few in each run.
OPENSTACK_FAULTS = ("modules/test_lost_answers.py", "modules/test_openstack_faults.py")
OPENSTACK = ("test_openstack_*.py", "test_sandbox_machines.py")


def files(*patterns: str) -> tuple[str, ...]:
    found = {path for pattern in patterns for path in (ROOT / INTEGRATION).glob(pattern)}
    return tuple(sorted(str(path.relative_to(ROOT)) for path in found))


def rest(folder: str) -> tuple[str, ...]:
    """What a folder of the integration tests has beyond what other jobs take."""
    taken = files(*GUESTS, *APIS, *OPENSTACK, *OPENSTACK_FAULTS)
    return tuple(name for name in files(f"{folder}test_*.py") if name not in taken)


JOBS = (
    Job("lint", "lint", ("tools/lint.sh", "--no-sanity"), 1.5),
    Job("sanity", "lint", ("tools/sanity.sh",), 2.0),
    pytest("unit", "", 4.0, "tests/unit", sandbox=False),
    pytest("integration", "inventory", 3.8, *rest("inventory/")),
    # These start the clouds' APIs themselves, while the sandbox is still being made. What needs OpenStack comes last,
    # because it is still being installed.
    pytest("integration", "modules", 9.0, *rest("modules/"), *files(*APIS), sandbox=False),
    pytest("integration", "openstack-faults", 1.6, *files(*OPENSTACK_FAULTS), sandbox=False, long=True),
    pytest("integration", "guests", 2.0, *files(*GUESTS), alone_on="OpenStack"),
    # The services themselves, and what their servers do: the story and the tests of the modules use them in each run.
    pytest("integration", "openstack", 6.0, *files(*OPENSTACK), alone_on="OpenStack", long=True),
    pytest("integration", "sandbox", 6.5, *rest("")),
    pytest("story", "notebook", 4.5, "tests/story/test_story.py"),
    pytest("story", "killed", 4.0, "tests/story/test_kill.py"),
    # The calls of this story are counted against the rules in modules/test_openstack_rules.py.
    pytest("story", "permissions", 1.9, "tests/story/test_permissions.py", alone_on="OpenStack", long=True),
    pytest("story", "readme", 6.0, "tests/story/test_readme.py", alone_on="OpenStack", long=True),
    pytest("story", "laptop", 5.0, "tests/story/test_laptop.py", alone_on="OpenStack", long=True),
    pytest("story", "hostile", 9.0, "-s", "tests/story/test_hostile.py", long=True),
    scenario("cuda", 1.0),
    scenario("egress", 1.8),
    scenario("jump_host", 4.0),
    scenario("jupyter", 4.7),
    scenario("ssh_config", 0.8),
    scenario("tensorboard", 1.8),
    scenario("tls", 1.3),
    scenario("venv", 2.2),
    scenario("site_ec2", 5.4, long=True),
    scenario("site_openstack", 5.8, long=True, alone_on="OpenStack"),
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
