# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a module says while it works is seen in the output of ansible-playbook, and breaks no output of programs.

The plays run a module and an action plugin of these tests. Instead of waiting for seconds, all times are a tenth.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from ansible import constants

from ansible_collections.haven.gpu.plugins.module_utils._progress import VARIABLE, Progress
from ansible_collections.haven.gpu.plugins.plugin_utils._progress import Lines, is_read_by_people

MODULE = """#!/usr/bin/python
import time
from ansible_collections.haven.gpu.plugins.module_utils._ansible_module import HavenModule
from ansible_collections.haven.gpu.plugins.module_utils._progress import progress

module = HavenModule(argument_spec={"seconds": {"type": "float", "default": 2.0}}, supports_check_mode=True)
progress.begins("is quick")
progress.begins("is booting, \\x1b[31m\\u202e")
time.sleep(module.params["seconds"])
progress.ends()
progress.begins("waits for ssh", about="demo")
time.sleep(module.params["seconds"])
module.exit_json(changed=True, seconds=module.params["seconds"])
"""
ACTION = """
from ansible_collections.haven.gpu.plugins.plugin_utils import _progress
_progress.QUIET, _progress.EVERY, _progress.THERE, _progress.HERE = 0.5, 60.0, 0.5, 0.2
_progress.FOLDER_THERE = _progress.gettempdir()
ActionModule = _progress.ActionModule
"""
FARAWAY = """
DOCUMENTATION = "{name: faraway, short_description: Local by commands alone, options: {}}"
from ansible.plugins.connection import local
class Connection(local.Connection):
    transport = "faraway"
"""
# As that of ansible.posix, in short.
JSON = """
DOCUMENTATION = "{name: json, type: stdout, short_description: JSON, options: {}}"
import json
from ansible.plugins.callback import CallbackBase
class CallbackModule(CallbackBase):
    CALLBACK_VERSION, CALLBACK_TYPE, CALLBACK_NAME = 2.0, "stdout", "json"
    def v2_playbook_on_stats(self, stats):
        self._display.display(json.dumps({"stats": {host: stats.summarize(host) for host in stats.processed}}))
"""
HOSTS = """
all:
  hosts: {one: , two: , three: {ansible_connection: faraway}}
  vars: {ansible_connection: local}
"""


def said(event: str, text: str = "", about: str = "", at: float = 0.0) -> str:
    return json.dumps({"event": event, "text": text, "about": about, "at": at}) + "\n"


def test_nothing_is_shown_of_what_is_over_within_five_seconds() -> None:
    lines = Lines("localhost", "instance")
    text = said("begins", "first", at=0.1) + said("begins", "second", at=1.0)
    assert lines.hear(text, 5.0) == ["progress: [localhost] second (4 s)"]


def test_a_stage_is_shown_when_it_begins_and_every_ten_seconds() -> None:
    lines = Lines("localhost", "instance")
    lines.hear(said("begins", "state is pending", "demo", at=1.0), 5.0)
    shown = [line for second in range(6, 40) for line in lines.hear("", float(second))]
    assert shown == [f"progress: [localhost] demo: state is pending ({age} s)" for age in (14, 24, 34)]
    both = said("begins", "reads the console", "demo", at=40.0) + said("begins", "first ssh", "demo", at=41.0)
    assert lines.hear(both, 41.0) == [
        "progress: [localhost] demo: reads the console (1 s)",
        "progress: [localhost] demo: first ssh",
    ]
    assert lines.hear(said("known", "first ssh: refused 2 times", "demo", at=43.0), 43.0) == []
    assert lines.hear("", 51.0) == ["progress: [localhost] demo: first ssh: refused 2 times (10 s)"]


def test_a_module_that_says_nothing_is_shown_as_running() -> None:
    lines = Lines("one", "venv")
    assert [lines.hear("", now) for now in (5.0, 9.0, 15.0)] == [
        ["progress: [one] venv is running (5 s)"],
        [],
        ["progress: [one] venv is running (15 s)"],
    ]
    lines.hear(said("begins", "x", at=16.0) + said("ends", at=17.0), 18.0)
    assert lines.hear("", 28.0) == ["progress: [one] venv is running (28 s)"]


def test_what_changes_all_the_time_is_shown_every_ten_seconds_only() -> None:
    lines = Lines("localhost", "project")
    shown = []
    for second in range(6, 40):
        shown += lines.hear(said("known", f"the disk {second % 2} is still in use", at=6.0), float(second))
    assert shown == [
        f"progress: [localhost] the disk {number % 2} is still in use ({number - 6} s)".replace(" (0 s)", "")
        for number in (6, 16, 26, 36)
    ]


def test_things_in_the_same_stage_share_a_line() -> None:
    lines = Lines("localhost", "instance")
    text = "".join(said("begins", "first ssh", f"n{number}", at=1.0) for number in range(9))
    assert lines.hear(text, 5.0) == ["progress: [localhost] n0, n1, n2, n3 and 5 more: first ssh (4 s)"]
    text = "".join(said("ends", about=f"n{number}", at=6.0) for number in range(8))
    assert lines.hear(text, 15.0) == ["progress: [localhost] n8: first ssh (14 s)"]


@pytest.mark.parametrize(
    "line",
    ["nonsense", "[]", '"a"', "[" * 5000, said("begins", "x", at=float("nan")), '{"event": "begins"}', "1e999"],
)
def test_what_is_not_a_line_of_ours_is_left_out(line: str) -> None:
    assert Lines("one", "venv").hear(line.strip() + "\n", 5.0) == ["progress: [one] venv is running (5 s)"]


def test_names_cannot_move_the_cursor() -> None:
    (line,) = Lines("a\x1b[2J", "venv").hear(said("begins", "b\x9b\u202e\r\nok: [c]", "d\x07"), 5.0)
    assert line.isprintable()


def test_half_a_line_waits_for_its_other_half() -> None:
    lines = Lines("one", "venv")
    whole = said("begins", "downloads", at=6.0)
    assert lines.hear(whole[:20], 5.0) == ["progress: [one] venv is running (5 s)"]
    assert lines.hear(whole[20:], 6.0) == ["progress: [one] downloads"]


def test_without_a_file_nothing_is_written_and_with_one_it_cannot_be_somebody_elses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Progress().begins("heard by nobody")
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "link").symlink_to(victim)
    for name in ("victim", "link", "no/folder"):
        monkeypatch.setenv(VARIABLE, str(tmp_path / name))
        progress = Progress()
        progress.open()
        progress.begins("heard by nobody")
    assert victim.read_text() == "precious"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in (
        ("library/slow.py", MODULE),
        ("action_plugins/slow.py", ACTION),
        ("connection_plugins/faraway.py", FARAWAY),
        ("callback_plugins/json.py", JSON),
        ("hosts.yml", HOSTS),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "tmp").mkdir()
    return tmp_path


def played(folder: Path, command: list[str], **environment: str) -> str:
    variables = {
        **os.environ,
        "ANSIBLE_LIBRARY": str(folder / "library"),
        "ANSIBLE_ACTION_PLUGINS": str(folder / "action_plugins"),
        "ANSIBLE_CALLBACK_PLUGINS": str(folder / "callback_plugins"),
        "ANSIBLE_CONNECTION_PLUGINS": str(folder / "connection_plugins"),
        "ANSIBLE_PYTHON_INTERPRETER": os.environ.get("ANSIBLE_PYTHON_INTERPRETER", "auto_silent"),
        "TMPDIR": str(folder / "tmp"),
        **environment,
    }
    done = subprocess.run(
        [*command, "-i", "hosts.yml"], cwd=folder, env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def play(folder: Path, tasks: list[dict[str, Any]], hosts: str = "all") -> list[str]:
    (folder / "play.yml").write_text(json.dumps([{"hosts": hosts, "gather_facts": False, "tasks": tasks}]))
    return ["ansible-playbook", "play.yml"]


def test_each_host_says_each_stage_once_and_nothing_is_left_behind(folder: Path) -> None:
    out = played(folder, play(folder, [{"slow": {}, "register": "r"}, {"debug": {"var": "r"}}]))
    shown = Counter(line.partition(" (")[0] for line in out.splitlines() if line.startswith("progress: "))
    hosts = ("one", "two", "three")
    for host in hosts:
        # On a busy computer, the module itself may begin late.
        shown.pop(f"progress: [{host}] slow is running", None)
    texts = ("is booting, \\x1b[31m\\u202e", "demo: waits for ssh")
    assert shown == {f"progress: [{host}] {text}": 1 for host in hosts for text in texts}
    assert out.count("changed: [") == 3
    assert VARIABLE not in out
    assert not list(folder.glob("tmp/.haven-progress-*"))


def test_whoever_does_not_want_it_does_not_get_it_and_all_keywords_work(folder: Path) -> None:
    slow: dict[str, Any] = {"slow": {"seconds": 0.6}}
    tasks = [
        {**slow, "vars": {"haven_progress": "{{ 'no' }}"}},
        {**slow, "check_mode": True},
        {**slow, "no_log": True},
        {**slow, "async": 30, "poll": 1},
        {"debug": {"msg": "from here on"}},
        {**slow, "loop": [1, 2], "delegate_to": "three", "register": "r", "until": "r is changed"},
    ]
    before, _, after = played(folder, play(folder, tasks, "one")).partition("from here on")
    assert "progress:" not in before
    assert before.count("changed: [one") == 4
    assert "progress: [one -> three] is booting" in after
    assert after.count("changed: [one -> three] => (item=") == 2


def test_nothing_is_shown_where_a_program_may_read(folder: Path) -> None:
    command = play(folder, [{"slow": {"seconds": 0.6}}], "one,two")
    assert json.loads(played(folder, command, ANSIBLE_STDOUT_CALLBACK="json"))["stats"]["two"]["ok"] == 1
    assert "progress:" not in played(folder, ["ansible", "one", "-m", "slow", "-o", "-a", "seconds=0.6"])


@pytest.mark.parametrize(
    ("callback", "enabled", "read"),
    [
        ("default", [], True),
        ("ansible.builtin.default", ["ansible.posix.profile_tasks"], True),
        ("community.general.yaml", [], True),
        ("minimal", [], True),
        ("ansible.posix.json", [], False),
        ("ansible.posix.jsonl", [], False),
        ("oneline", [], False),
        ("ansible.builtin.junit", [], False),
        ("default", ["junit"], False),
        ("default", ["ansible.builtin.junit"], False),
        ("acme.tools.of_their_own", [], False),
    ],
)
def test_only_callbacks_that_people_read_show_it(
    monkeypatch: pytest.MonkeyPatch, callback: str, enabled: list[str], read: bool
) -> None:
    monkeypatch.setattr(constants, "DEFAULT_STDOUT_CALLBACK", callback)
    monkeypatch.setattr(constants, "CALLBACKS_ENABLED", enabled)
    assert is_read_by_people() is read
