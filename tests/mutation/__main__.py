"""Breaks one line at a time, in a copy of the checkout, and expects a test to go red: `make mutation`.

The list is mutations.yml beside this file: `file`, `find` (stands once), `replace`, and either `pytest` (arguments)
or `molecule` (a scenario). A mutation that no test notices is a missing test. `--quick` leaves the Molecule ones out,
`--only TEXT` takes those whose file contains the text.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
from typing import Any

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
LIST = pathlib.Path(__file__).with_name("mutations.yml")


def copy_checkout(target: pathlib.Path) -> None:
    """The files that git tracks, as they are in the working tree, made a collection by the usual link."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
    pack = subprocess.run(
        ["tar", "--null", "-cf", "-", "-T", "-"], cwd=ROOT, input=names, stdout=subprocess.PIPE, check=True
    )
    subprocess.run(["tar", "-C", str(target), "-xf", "-"], input=pack.stdout, check=True)
    (target / ".cache" / "ansible_collections" / "haven").mkdir(parents=True)
    (target / ".cache" / "ansible_collections" / "haven" / "gpu").symlink_to("../../..")


def environment(copy: pathlib.Path) -> dict[str, str]:
    """Ours, with the paths of the copy in place of the checkout's."""
    paths = {"ANSIBLE_COLLECTIONS_PATH": f"{copy}/.cache", "PYTHONPATH": f"{copy}/.cache:{copy}"}
    paths |= {"ANSIBLE_CONFIG": f"{copy}/ansible.cfg", "ANSIBLE_HOME": f"{copy}/ansible-home"}
    return {**os.environ, **paths}


def broken(mutation: dict[str, Any], copy: pathlib.Path) -> str:
    """Apply the mutation in the copy; returns the text to put back."""
    path = copy / mutation["file"]
    text: str = path.read_text()
    if text.count(mutation["find"]) != 1:
        raise SystemExit(f"{LIST.name}: {mutation['find']!r} must stand exactly once in {mutation['file']}")
    path.write_text(text.replace(mutation["find"], mutation["replace"]))
    return text


def noticed(mutation: dict[str, Any], copy: pathlib.Path) -> bool:
    """Whether the test goes red because a test failed, not because there was none (pytest's code 1 only)."""
    if "molecule" in mutation:
        command = ["molecule", "test", "--scenario-name", mutation["molecule"]]
    else:
        command = [sys.executable, "-m", "pytest", "-q", "-x", *mutation["pytest"].split()]
    log = copy.parent / "mutation.log"
    with log.open("wb") as output:
        code = subprocess.run(
            command, cwd=copy, env=environment(copy), stdout=output, stderr=subprocess.STDOUT, check=False
        ).returncode
    return code == 1 if "pytest" in mutation else code != 0


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="without the Molecule scenarios")
    parser.add_argument("--only", default="", help="those whose file contains this text")
    arguments = parser.parse_args()
    mutations = [m for m in yaml.safe_load(LIST.read_text()) if arguments.only in m["file"]]
    if arguments.quick:
        mutations = [m for m in mutations if "pytest" in m]
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder) / "haven"
        copy.mkdir()
        copy_checkout(copy)
        for mutation in mutations:
            original = broken(mutation, copy)
            seen = noticed(mutation, copy)
            (copy / mutation["file"]).write_text(original)
            missed += not seen
            print(f"{'red' if seen else 'NOT NOTICED'}: {mutation['file']}: {mutation['find']}", flush=True)
    print(f"mutation: {len(mutations) - missed} passed, {missed} failed")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
