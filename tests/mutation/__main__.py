"""Breaks one line at a time, in copies of the checkout, and expects a test to go red: `make mutation`.

The list is mutations.yml beside this file: `file`, `find` (stands once), `replace`, and what must notice it: either
`pytest` (arguments) or `molecule` (a scenario) with `tests` (pytest's -k). A mutation that no test notices is a missing
test. Red means that a test failed; an error before or beside it, or no test at all, does not count. What is expected to
go red is seen green without the mutation, too: pytest's beforehand, a scenario's afterwards on the same hosts, since a
whole role may have made already what a broken one leaves out.

`--quick` leaves the Molecule ones out, `--only TEXT` takes those whose file contains the text. Copies and logs stay in
build/mutation until the next run; the checkout itself is never written to.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import dataclasses
import os
import pathlib
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from xml.etree import ElementTree

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
LIST = pathlib.Path(__file__).with_name("mutations.yml")
BUILD = ROOT / "build" / "mutation"
LANES = 2
STEP_TIMEOUT = 900.0
stopping = threading.Event()


class StepError(Exception):
    """What kept a mutation from being judged, or that it was not noticed."""


@dataclasses.dataclass(frozen=True)
class Mutation:
    """One entry of the list."""

    file: str
    find: str
    replace: str
    pytest: str = ""
    molecule: str = ""
    tests: str = ""

    def __str__(self) -> str:
        return f"{self.file}: {self.find.strip()}"

    @property
    def group(self) -> str:
        """Those of a group share a green run; those of a scenario its hosts, too."""
        return self.molecule or self.pytest


def load() -> list[Mutation]:
    return [Mutation(**entry) for entry in yaml.safe_load(LIST.read_text())]


def copy_checkout(target: pathlib.Path) -> None:
    """The files that git tracks, as they are in the working tree, made a collection by the usual link."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
    pack = subprocess.run(
        ["tar", "--null", "-cf", "-", "-T", "-"], cwd=ROOT, input=names, stdout=subprocess.PIPE, check=True
    )
    (target / ".cache" / "ansible_collections" / "haven").mkdir(parents=True)
    subprocess.run(["tar", "-C", str(target), "-xf", "-"], input=pack.stdout, check=True)
    (target / ".cache" / "ansible_collections" / "haven" / "gpu").symlink_to("../../..")


def environment(copy: pathlib.Path) -> dict[str, str]:
    """Ours, with the paths of the copy in place of the checkout's."""
    paths = {"ANSIBLE_COLLECTIONS_PATH": f"{copy}/.cache", "PYTHONPATH": f"{copy}/.cache:{copy}"}
    # Bytecode is taken for current by time and size: a mutation of the same length within a second would not count.
    paths |= {"ANSIBLE_CONFIG": f"{copy}/ansible.cfg", "ANSIBLE_HOME": f"{copy}/home", "PYTHONDONTWRITEBYTECODE": "1"}
    return {**os.environ, **paths}


class Group:
    """Mutations judged one after the other, in one copy of the checkout."""

    def __init__(self, mutations: list[Mutation], copy: pathlib.Path) -> None:
        self.mutations = mutations
        self.copy = copy
        self.log = copy.with_suffix(".log")

    def step(self, *command: str, options: str = "") -> int:
        """Run a command in the copy; returns its exit status. Being interrupted, or too slow, is an error."""
        if stopping.is_set():
            raise StepError("interrupted")
        with self.log.open("ab") as output:
            output.write(f"$ {' '.join(command)} # {options}\n".encode())
            output.flush()
            try:
                return subprocess.run(
                    command, cwd=self.copy, env={**environment(self.copy), "PYTEST_ADDOPTS": options}, check=False,
                    stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, timeout=STEP_TIMEOUT,
                ).returncode  # fmt: skip
            except subprocess.TimeoutExpired:
                raise StepError(f"{' '.join(command[:2])} took more than {STEP_TIMEOUT:.0f} s") from None

    def molecule(self, verb: str, options: str = "") -> int:
        return self.step("molecule", verb, "--scenario-name", self.mutations[0].molecule, options=options)

    def verdicts(self) -> Iterator[tuple[Mutation | None, str]]:
        """Each mutation and what is wrong with how it was noticed, if anything; without a mutation: of them all."""
        copy_checkout(self.copy)
        scenario = bool(self.mutations[0].molecule)
        try:
            if not scenario:
                self.judge(None)
            for mutation in self.mutations:
                yield mutation, self.broken(mutation)
            if scenario:
                self.judge(None)
        except StepError as error:
            yield None, f"without a mutation: {error}"
        finally:
            if scenario and not stopping.is_set():
                self.molecule("destroy")

    def broken(self, mutation: Mutation) -> str:
        path = self.copy / mutation.file
        original = path.read_text()
        if original.count(mutation.find) != 1:
            return "the line must stand exactly once in its file"
        path.write_text(original.replace(mutation.find, mutation.replace))
        try:
            self.judge(mutation)
        except StepError as error:
            return str(error)
        finally:
            path.write_text(original)
        return ""

    def judge(self, mutation: Mutation | None) -> None:
        """Run the tests of a mutation, which must fail, or those of all of them, which must not."""
        first, report = self.mutations[0], self.copy / "report.xml"
        report.unlink(missing_ok=True)
        options = f"-x --junitxml='{report}'"
        if first.molecule:
            # Hosts are created by the first of these.
            if self.molecule("converge"):
                raise StepError("molecule converge failed")
            chosen = " or ".join(one.tests for one in ([mutation] if mutation else self.mutations))
            self.molecule("verify", f"{options} -k '{chosen}'")
        else:
            self.step(sys.executable, "-m", "pytest", "-q", *first.pytest.split(), options=options)
        if not report.exists():
            raise StepError("pytest ran no test")
        suite = ElementTree.parse(report).getroot()[0]  # noqa: S314 -- written a moment ago by pytest
        ran, errors, failures = (int(suite.attrib[name]) for name in ("tests", "errors", "failures"))
        if errors or not ran or bool(failures) != bool(mutation):
            raise StepError(f"of {ran} tests {failures} failed, {errors} had errors")


def judge_all(mutations: list[Mutation]) -> int:
    """Print a line for each mutation; returns how many things were wrong."""
    groups: dict[str, list[Mutation]] = {}
    # The scenarios first: they are the longest, and the lanes should end together.
    for mutation in sorted(mutations, key=lambda one: not one.molecule):
        groups.setdefault(mutation.group, []).append(mutation)
    wrong = 0

    def work(number: int, group: list[Mutation]) -> int:
        job, bad = Group(group, BUILD / str(number)), 0
        began = time.monotonic()
        for mutation, complaint in job.verdicts():
            bad += bool(complaint)
            word = "NOT NOTICED" if complaint else "red"
            seconds, began = time.monotonic() - began, time.monotonic()
            name = mutation or ", ".join(map(str, group))
            print(f"{word}: {name} ({seconds:.0f} s){f': {complaint}; see {job.log}' if complaint else ''}", flush=True)
        return bad

    with concurrent.futures.ThreadPoolExecutor(LANES) as pool:
        jobs = [pool.submit(work, number, group) for number, group in enumerate(groups.values())]
        try:
            wrong = sum(job.result() for job in concurrent.futures.as_completed(jobs))
        except BaseException:
            stopping.set()
            raise
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="without the Molecule scenarios")
    parser.add_argument("--only", default="", help="those whose file contains this text")
    arguments = parser.parse_args()
    began = time.monotonic()
    mutations = [one for one in load() if arguments.only in one.file and not (arguments.quick and one.molecule)]
    if "HAVEN_SANDBOX_SUBNET" not in os.environ and any(one.molecule for one in mutations):
        raise SystemExit("No sandbox: run `make sandbox` and `. tools/env.sh` first, or `make mutation`.")
    shutil.rmtree(BUILD, ignore_errors=True)
    BUILD.mkdir(parents=True)
    wrong = judge_all(mutations)
    minutes = (time.monotonic() - began) / 60
    print(f"mutation: {len(mutations)} lines broken, {wrong} failed, {minutes:.1f} min")
    sys.exit(1 if wrong or not mutations else 0)


if __name__ == "__main__":
    main()
