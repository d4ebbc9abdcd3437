# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Several runs of one controller at once write the same files, and everybody who reads them finds them whole."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from .conftest import KEY, Project, asked

RUNS = 5
MACHINES = 30


# About this computer's files, whatever is listed.
@pytest.mark.only("ec2")
def test_runs_at_once_leave_and_find_whole_files(project: Project) -> None:
    for number in range(MACHINES):
        project.machine(f"m{number:02}", haven__host_key=KEY)
    project.write("haven.yml", "plugin: haven.gpu.instances\ncache: true\n")
    with ThreadPoolExecutor(RUNS) as pool:
        # Half of them list anew and write the cache, too.
        runs = [pool.submit(project.hosts, *["--flush-cache"][: number % 2]) for number in range(RUNS)]
        seen: set[str] = set()
        while not all(run.done() for run in runs):
            time.sleep(0.01)
            seen |= {path.read_text() for path in project.home.glob(".ansible/haven/*/known_hosts")}
        found = [run.result() for run in runs]
    assert all(each == found[0] for each in found)
    assert len(found[0]) == MACHINES
    assert {text.count("\n") for text in seen} == {MACHINES}
    assert {asked(variables)["stricthostkeychecking"] for variables in found[0].values()} == {"true"}
    ours = [path for path in (project.home / ".ansible/haven").rglob("*") if path.is_file()]
    assert {path.stat().st_mode & 0o777 for path in ours} == {0o600}
    # Nothing half-written stays.
    assert [path for path in ours if path.name.startswith(".haven-")] == []
