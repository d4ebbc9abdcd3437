# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What counts as work in a notebook server, and when a restart goes ahead."""

from __future__ import annotations

import datetime
import http.server
import importlib.util
import json
import socketserver
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

SCRIPT = Path(__file__).parents[3] / "roles/jupyter/files/notebook_work.py"
NOW = datetime.datetime(2026, 11, 30, 12, 0, 0, tzinfo=datetime.timezone.utc)
GROUP = "/system.slice/system-haven.slice/haven-jupyter@alice.service"
SERVER, KERNEL = 100, 101
CONNECTION = "/run/haven/alice/runtime/kernel-4b1c.json"


@pytest.fixture(scope="module")
def program() -> Any:
    spec = importlib.util.spec_from_file_location("notebook_work", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["notebook_work"] = module  # dataclasses look for it there
    spec.loader.exec_module(module)
    return module


class Machine:
    """A tree of files as the kernel shows processes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.runs(SERVER, 1, "/opt/haven/jupyter/bin/python", "/opt/haven/jupyter/bin/jupyter-lab", name="jupyter-lab")

    def runs(
        self,
        pid: int,
        parent: int,
        *command: str,
        name: str = "python",
        terminal: int = 0,
        state: str = "S",
        group: str = GROUP,
    ) -> None:
        folder = self.root / "proc" / str(pid)
        folder.mkdir(parents=True)
        (folder / "stat").write_text(f"{pid} ({name}) {state} {parent} {pid} {pid} {terminal} -1 4194304 0\n")
        (folder / "cmdline").write_bytes(b"".join(word.encode() + b"\0" for word in command))
        (folder / "cgroup").write_text(f"0::{group}\n")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def kernel(state: str, quiet_s: float, name: str = "k") -> dict[str, Any]:
    since = NOW - datetime.timedelta(seconds=quiet_s)
    return {"id": name, "name": "python3", "execution_state": state, "last_activity": f"{since:%Y-%m-%dT%H:%M:%S.%f}Z"}


def found(program: Any, machine: Machine, *kernels: dict[str, Any], path: str = "train.ipynb") -> list[str]:
    """What runs, in a server that answers so."""
    sessions = [{"path": path, "kernel": kernels[0]}] if kernels else []
    answers = {"/api/kernels": list(kernels), "/api/sessions": sessions}
    running = program.Server("alice", SERVER, GROUP, "first")
    return list(program.work(running, answers.__getitem__, NOW, machine.root))


@pytest.mark.parametrize(
    ("state", "quiet_s", "said"),
    [
        ("busy", 36000, "the kernel of train.ipynb is computing"),
        ("idle", 6, None),
        ("idle", 1, "the kernel of train.ipynb was computing until a moment ago"),
        ("idle", -3, "the kernel of train.ipynb was computing until a moment ago"),  # the clock was set meanwhile
        ("starting", 30, "the kernel of train.ipynb is starting"),
        ("starting", 61, None),
        ("restarting", 30, "the kernel of train.ipynb is restarting"),
        ("dead", 6, None),
    ],
)
def test_a_kernel_works_as_its_state_says(
    program: Any, machine: Machine, state: str, quiet_s: float, said: str | None
) -> None:
    machine.runs(KERNEL, SERVER, "python", "-m", "ipykernel_launcher", "-f", CONNECTION)
    assert found(program, machine, kernel(state, quiet_s)) == ([said] if said else [])


def test_a_kernel_without_a_notebook_works_too(program: Any, machine: Machine) -> None:
    machine.runs(KERNEL, SERVER, "python", "-m", "ipykernel_launcher", "-f", CONNECTION)
    assert found(program, machine, kernel("idle", 60), kernel("busy", 60, "other")) == [
        "a kernel without a notebook is computing"
    ]


@pytest.mark.parametrize(
    ("command", "parent", "terminal", "said"),
    [
        (("python", "train.py"), 102, 34816, "the program python runs in a terminal"),
        (("python", "train.py"), KERNEL, 0, "the program python runs in the background"),
        (("python", "train.py"), 1, 0, "the program python runs in the background"),  # nohup, from a kernel that ended
        (("python", "-m", "ipykernel_launcher", "-f", CONNECTION), KERNEL, 0, None),  # a fork, as data loaders make
        (("python", "-c", "from multiprocessing.resource_tracker import main;main(5)"), KERNEL, 0, None),
        (("node", "language-server"), SERVER, 0, None),  # the server's own
    ],
)
def test_programs_of_users_are_work_and_those_of_the_server_are_not(  # noqa: PLR0917 -- a table
    program: Any, machine: Machine, command: tuple[str, ...], parent: int, terminal: int, said: str | None
) -> None:
    machine.runs(KERNEL, SERVER, "python", "-m", "ipykernel_launcher", "-f", CONNECTION)
    machine.runs(102, SERVER, "/bin/bash", name="bash", terminal=34816)
    machine.runs(103, parent, *command, terminal=terminal)
    assert found(program, machine, kernel("idle", 60)) == ([said] if said else [])


@pytest.mark.parametrize("group", ["/user.slice/user-1000.slice", f"{GROUP}.wants", GROUP.replace("alice", "malice")])
def test_what_runs_elsewhere_is_not_the_servers(program: Any, machine: Machine, group: str) -> None:
    machine.runs(103, 1, "python", "train.py", group=group)
    assert found(program, machine) == []


@pytest.mark.parametrize("line", ["1:name=systemd:{}", "0::/machine.slice/guest.scope/payload{}"])
def test_a_unit_is_found_with_any_control_groups(program: Any, machine: Machine, line: str) -> None:
    machine.runs(103, 1, "python", "train.py")
    (machine.root / "proc/103/cgroup").write_text(f"2:cpu:/\n{line.format(GROUP)}\n")
    assert found(program, machine) == ["the program python runs in the background"]


def test_a_program_that_has_ended_is_no_work(program: Any, machine: Machine) -> None:
    machine.runs(102, SERVER, "/bin/bash", name="bash", terminal=34816)
    machine.runs(103, 102, "python", state="Z", terminal=34816)
    assert found(program, machine) == []


def test_names_cannot_move_the_cursor(program: Any, machine: Machine) -> None:
    machine.runs(KERNEL, SERVER, "python", "-m", "ipykernel_launcher", "-f", CONNECTION)
    machine.runs(103, 1, "x", name="a) b (\x1b[2J")
    phrases = found(program, machine, kernel("busy", 60), path="\u202e\n.ipynb")
    assert len(phrases) == 2
    assert all(phrase.isprintable() for phrase in phrases)
    assert "a) b (" in phrases[1]


def test_a_server_that_does_not_answer_may_be_working(program: Any, machine: Machine) -> None:
    def ask(question: str) -> Any:
        raise program.NoAnswerError("status 403")

    running = program.Server("alice", SERVER, GROUP, "first")
    # Without a kernel or anything else beside the server, there is nothing that could be working.
    assert program.work(running, ask, NOW, machine.root) == []
    machine.runs(KERNEL, SERVER, "python", "-m", "ipykernel_launcher", "-f", CONNECTION)
    assert program.work(running, ask, NOW, machine.root) == ["whether a kernel is computing is unknown (status 403)"]


@pytest.mark.parametrize("answer", [[{"id": "k"}], {"message": "Forbidden"}, "text", [None]])
def test_an_answer_that_is_not_understood_may_mean_work(
    program: Any, machine: Machine, monkeypatch: pytest.MonkeyPatch, answer: Any
) -> None:
    machine.runs(KERNEL, SERVER, "python", "-f", CONNECTION)
    monkeypatch.setattr(program, "asker", lambda path: lambda question: answer)
    monkeypatch.setattr(program, "processes", lambda group, root: [program.Process(1, 0, "S", False, "x", ())])
    (phrase,) = program.look(program.Server("alice", SERVER, GROUP, "first"))
    assert "unknown" in phrase


class Times:
    """A server over time: what each look finds, and the start that it is."""

    def __init__(self, program: Any, looks: list[list[str]], starts: list[str | None]) -> None:
        self.program, self.looks, self.starts = program, looks, starts
        self.restarted: list[str] = []
        self.slept_s = 0.0

    def find(self, user: str) -> Any:
        start = self.starts.pop(0) if len(self.starts) > 1 else self.starts[0]
        return self.program.Server(user, SERVER, GROUP, start) if start else None

    def sleep(self, seconds: float) -> None:
        self.slept_s += seconds

    def run(self) -> str:
        return str(
            self.program.restart_when_idle(
                "alice", self.find, lambda running: self.looks.pop(0), self.sleep, self.restarted.append
            )
        )


def test_a_restart_waits_until_nothing_runs(program: Any, capsys: pytest.CaptureFixture[str]) -> None:
    times = Times(program, [["a is computing"], ["a is computing"], ["b is computing"], []], ["first"])
    assert "Restarted" in times.run()
    assert times.restarted == ["alice"]
    assert times.slept_s == 3 * program.LOOK_EVERY_S
    assert [line.rpartition(": ")[2] for line in capsys.readouterr().out.splitlines()] == [
        "a is computing.",
        "b is computing.",
    ]


@pytest.mark.parametrize("starts", [[None], ["first", "first", None], ["first", "first", "second"]])
def test_what_somebody_restarted_or_stopped_is_not_restarted_again(program: Any, starts: list[str | None]) -> None:
    times = Times(program, [["a is computing"], []], starts)
    assert "meanwhile" in times.run()
    assert times.restarted == []


class Api(http.server.BaseHTTPRequestHandler):
    status: ClassVar[int] = 200

    def do_GET(self) -> None:
        body = json.dumps({"path": self.path, "host": self.headers["Host"]}).encode()
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return "socket"

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def api(tmp_path: Path) -> Iterator[str]:
    path = str(tmp_path / "s")
    with socketserver.ThreadingUnixStreamServer(path, Api) as served:
        thread = threading.Thread(target=served.serve_forever)
        thread.start()
        yield path
        served.shutdown()
        thread.join()


def test_the_api_is_asked_over_the_socket(program: Any, api: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert program.asker(api)("/api/kernels") == {"path": "/api/kernels", "host": "localhost"}
    monkeypatch.setattr(Api, "status", 403)
    with pytest.raises(program.NoAnswerError, match="status 403"):
        program.asker(api)("/api/kernels")
    with pytest.raises(program.NoAnswerError, match="No such file"):
        program.asker(api + "missing")("/api/kernels")
