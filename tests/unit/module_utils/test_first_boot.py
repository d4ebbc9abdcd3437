# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A new machine is busy for a while: what is waited for, and what is said about it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.haven.gpu.plugins.module_utils._errors import TimedOut
from ansible_collections.haven.gpu.plugins.module_utils._first_boot import (
    LOCKS,
    Holder,
    Wait,
    cloud_init_errors,
    cloud_init_stage,
    lock_holders,
    look,
    until_ready,
)

HOLD = """\
import {module} as way, sys
file = open(sys.argv[1], "w")
way.{call}(file, way.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""
RUNNING = ("activating", "12")


def running(_unit: str) -> tuple[str, str]:
    return RUNNING


@contextlib.contextmanager
def held(root: Path, lock: str, script: str = "unattended-upgrade", call: str = "lockf") -> Iterator[int]:
    """Another process, a script of that name, holds a lock; gives its number."""
    program, path = root / script, root / lock
    program.write_text(HOLD.format(module="fcntl", call=call))
    path.parent.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, str(program), str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "held\n"
        yield process.pid
    finally:
        process.communicate()


@pytest.mark.parametrize("lock", LOCKS)
def test_who_holds_a_lock_is_named_by_its_script_and_process(tmp_path: Path, lock: str) -> None:
    with held(tmp_path, lock) as process:
        (holder,) = lock_holders(tmp_path)
        assert (holder.lock, holder.pid, holder.name) == (lock, process, "unattended-upgrade")
        # Looking takes nothing: it is held as before.
        assert lock_holders(tmp_path) == [holder]
    assert lock_holders(tmp_path) == []


def test_flock_is_not_the_lock_of_apt(tmp_path: Path) -> None:
    with held(tmp_path, LOCKS[0], call="flock"):
        assert lock_holders(tmp_path) == []


def test_a_machine_without_apt_and_cloud_init_is_ready(tmp_path: Path) -> None:
    assert look(tmp_path, running) == []


def test_the_name_of_a_program_cannot_write_on_the_terminal(tmp_path: Path) -> None:
    with held(tmp_path, LOCKS[0], script="up\x1b[2Jgrade\u202e"):
        assert lock_holders(tmp_path)[0].name == "up\\x1b[2Jgrade\\u202e"


@pytest.mark.parametrize(
    ("holder", "said"),
    [
        (Holder(LOCKS[0], 812, "apt-get", "apt-daily.service"), "apt-get (process 812, apt-daily.service)"),
        (Holder(LOCKS[0], 812, "dpkg", ""), "dpkg (process 812)"),
        (Holder(LOCKS[0], 0, "another program", ""), "another program"),
    ],
)
def test_a_holder_is_described_by_what_is_known(holder: Holder, said: str) -> None:
    assert str(holder) == said


def cloud_init(root: Path, **files: object) -> Path:
    folder = root / "run/cloud-init"
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / f"{name}.json").write_text(content if isinstance(content, str) else json.dumps({"v1": content}))
    return root


def test_cloud_init_is_waited_for_with_its_stage(tmp_path: Path) -> None:
    cloud_init(tmp_path, status={"stage": "modules-final"})
    assert cloud_init_stage(tmp_path, running) == "cloud-init, which is in its stage modules-final"


@pytest.mark.parametrize("status", [{"stage": None}, {}, "{", "[]", '{"v1": []}'])
def test_cloud_init_is_waited_for_between_its_stages_and_while_it_writes(tmp_path: Path, status: object) -> None:
    cloud_init(tmp_path, status=status)
    assert cloud_init_stage(tmp_path, lambda _unit: ("inactive", "12")) is not None


@pytest.mark.parametrize(
    "state",
    [("inactive", ""), ("inactive", "0"), ("failed", ""), ("", "")],
    ids=["stopped", "no job", "failed", "none"],
)
def test_cloud_init_that_will_never_finish_is_not_waited_for(tmp_path: Path, state: tuple[str, str]) -> None:
    cloud_init(tmp_path, status={"stage": "modules-final"})
    assert cloud_init_stage(tmp_path, lambda _unit: state) is None


def test_cloud_init_with_a_result_or_turned_off_is_not_waited_for(tmp_path: Path) -> None:
    cloud_init(tmp_path / "done", result={"errors": ["a", "b"]})
    (cloud_init(tmp_path / "off") / "run/cloud-init/disabled").touch()
    for root in (tmp_path / "done", tmp_path / "off"):
        assert cloud_init_stage(root, running) is None
    assert (cloud_init_errors(tmp_path / "done"), cloud_init_errors(tmp_path / "off")) == (2, 0)


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_the_wait_goes_on_from_one_holder_to_the_next_and_tells_all_of_them() -> None:
    first, second = Wait("apt", "look"), Wait("cloud-init", "look")
    answers = [[first, second], [first, second], [second], []]
    time = Time()
    assert until_ready(lambda: answers.pop(0), 60, time.sleep, lambda: time.now) == ["apt", "cloud-init"]
    assert time.now == 3


def test_the_wait_ends_with_who_was_waited_for_and_where_to_look() -> None:
    waits = [Wait("the lock, held by apt-get", "systemctl status apt-daily.service"), Wait("cloud-init", "")]
    time = Time()
    with pytest.raises(TimedOut) as caught:
        until_ready(lambda: waits, 300, time.sleep, lambda: time.now)
    assert str(caught.value) == (
        "After 300 s, this machine still waits for the lock, held by apt-get and for cloud-init. "
        "Nothing was installed. Look at 'systemctl status apt-daily.service' there, "
        "and run this again when it has ended."
    )
    assert time.now == 300
