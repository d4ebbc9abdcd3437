# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A sandbox comes up once, goes without a trace however it ends, and minds its own business."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.integration.sandbox_guests import ROOT, Sandbox, command, own_sandbox, up, wait_until
from tests.sandbox import cgroups
from tests.sandbox.keeper import Process, Running
from tests.sandbox.paths import Paths
from tests.sandbox.processes import outer_children


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where a sandbox of the test's own goes; taken down whatever happens."""
    yield tmp_path / "box"
    command("down", folder=tmp_path / "box")


@pytest.fixture
def own(folder: Path) -> Sandbox:
    """A sandbox of the test's own, with a guest that runs and has a data disk."""
    return with_a_guest(folder)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """Such a sandbox for the tests that leave it as it is."""
    folder = tmp_path_factory.mktemp("shared") / "box"
    yield with_a_guest(folder)
    command("down", folder=folder)


def with_a_guest(folder: Path) -> Sandbox:
    sandbox = up(folder)
    disk = {"name": f"vol-{secrets.token_hex(4)}", "size_gib": 1, "device": "/dev/sdf"}
    sandbox.machines.create("t-victim", "bookworm", str(sandbox.subnet[3000]), b"", [], "victim", [disk])
    sandbox.machines.start("t-victim", "")
    assert wait_until(lambda: sandbox.machines.state("t-victim") == "ready")
    return sandbox


@dataclass(frozen=True)
class Machine:
    """What a sandbox could leave behind on this machine, that other sandboxes do not change meanwhile."""

    links: frozenset[str]
    named_namespaces: frozenset[str]
    temporary: frozenset[str]

    @classmethod
    def look(cls) -> Machine:
        links = json.loads(subprocess.run(["ip", "-j", "link"], capture_output=True, check=True).stdout)
        named = Path("/run/netns")
        return cls(
            frozenset(link["ifname"] for link in links),
            frozenset(os.listdir(named)) if named.is_dir() else frozenset(),
            frozenset(name for name in os.listdir("/tmp") if name.startswith("nspawn")),
        )


@dataclass(frozen=True)
class Traces:
    """How to recognise what belongs to one sandbox; namespaces are no good, since their numbers are used again."""

    folder: Path
    processes: frozenset[Process] = frozenset()
    ports: frozenset[int] = frozenset()

    @classmethod
    def of(cls, sandbox: Sandbox) -> Traces:
        urls = [value for value in sandbox.env.values() if value.startswith("http://127.0.0.1:")]
        ports = {int(sandbox.env["HAVEN_SANDBOX_GATE_PORT"]), *(urlsplit(url).port or 0 for url in urls)}
        processes = (Process.of(pid) for pid in _descendants(running(sandbox).keeper.pid))
        return cls(sandbox.paths.dir, frozenset(process for process in processes if process), frozenset(ports))

    def left(self) -> list[str]:
        """What is still there."""
        folder = str(self.folder)
        found = [f"process {process.pid}" for process in self.processes if process.alive()]
        found += [f"process {pid}: {words}" for pid, words in _processes() if folder in words]
        found += [line for line in Path("/proc/self/mounts").read_text().splitlines() if folder in line]
        loops = subprocess.run(
            ["losetup", "-l", "-n", "-O", "NAME,BACK-FILE"], capture_output=True, text=True, check=True
        )
        found += [line for line in loops.stdout.splitlines() if folder in line]
        found += [f"port {port}" for port in self.ports if _is_open(port)]
        found += [str(group) for group in cgroups.folders(self.folder) if group.exists()]
        found += [str(path) for path in self.folder.rglob("*") if path.name not in {"supervisor.log", "lock"}]
        return found


def _descendants(pid: int) -> Iterator[int]:
    yield pid
    for child in outer_children(pid):
        yield from _descendants(child)


def _processes() -> Iterator[tuple[int, str]]:
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid():
            try:
                words = Path(f"/proc/{entry}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            except (FileNotFoundError, ProcessLookupError):  # it has gone
                continue
            yield int(entry), words


def _is_open(port: int) -> bool:
    with socket.socket() as trial:
        return trial.connect_ex(("127.0.0.1", port)) == 0


def running(sandbox: Sandbox) -> Running:
    found = Running.read(sandbox.paths.process)
    assert found is not None
    return found


def kill_supervisor(sandbox: Sandbox) -> None:
    os.kill(running(sandbox).supervisor.pid, signal.SIGKILL)


def kill_its_parent(sandbox: Sandbox) -> None:
    [unshare] = outer_children(running(sandbox).keeper.pid)
    os.kill(unshare, signal.SIGKILL)


def kill_its_worker(sandbox: Sandbox) -> None:
    worker = min(outer_children(running(sandbox).supervisor.pid))
    os.kill(worker, signal.SIGKILL)


def take_down(sandbox: Sandbox) -> None:
    assert command("down", folder=sandbox.paths.dir).stdout == "The sandbox is down.\n"


@pytest.mark.parametrize(
    ("end", "cloud"),
    [
        (take_down, "ec2"),
        pytest.param(take_down, "all", marks=pytest.mark.long),
        pytest.param(kill_supervisor, "all", marks=pytest.mark.long),
        (kill_supervisor, "ec2"),
        (kill_its_parent, "ec2"),
        (kill_its_worker, "ec2"),
    ],
)
def test_nothing_is_left_however_it_ends(folder: Path, end: Callable[[Sandbox], None], cloud: str) -> None:
    before = Machine.look()
    sandbox = up(folder, cloud)
    disk = {"name": "vol-left", "size_gib": 1, "device": "/dev/sdf"}
    sandbox.machines.create("t-left", "bookworm", str(sandbox.subnet[3000]), b"", [], "left", [disk])
    sandbox.machines.start("t-left", "198.51.100.100")
    assert wait_until(lambda: sandbox.machines.state("t-left") == "ready")
    traces = Traces.of(sandbox)
    # The gate's and the guest's processes, mounts, the disk, ports, groups and files.
    assert len(traces.processes) > (15 if cloud == "ec2" else 22)
    assert len(traces.ports) == (2 if cloud == "ec2" else 9)
    assert len(traces.left()) > len(traces.processes) + 15
    end(sandbox)
    assert wait_until(lambda: not traces.left()), traces.left()
    assert Machine.look() == before
    assert command("status", folder=folder).returncode == 3


@pytest.mark.long
def test_a_killed_keeper_takes_everything_with_it_and_the_next_up_clears_its_files(own: Sandbox) -> None:
    traces = Traces.of(own)
    os.kill(running(own).keeper.pid, signal.SIGKILL)

    def only_files_left() -> bool:
        return all(os.path.lexists(trace) for trace in traces.left())

    assert wait_until(only_files_left), traces.left()
    again = up(own.paths.dir)
    assert again.machines.state("t-victim") == "absent"
    assert not (own.paths.guests / "t-victim").exists()


def test_a_second_up_says_so_and_changes_nothing(shared: Sandbox) -> None:
    before = shared.paths.env.read_bytes(), running(shared)
    second = command("up", folder=shared.paths.dir)
    assert second.returncode == 0
    assert "already up" in second.stdout
    assert (shared.paths.env.read_bytes(), running(shared)) == before


def test_secrets_are_for_their_owner_only(shared: Sandbox) -> None:
    readable = [
        path
        for path in shared.paths.dir.rglob("*")
        if path.is_file() and not path.is_relative_to(shared.paths.guests) and path.stat().st_mode & 0o077
        if b"PRIVATE KEY" in path.read_bytes() or shared.env["AWS_SECRET_ACCESS_KEY"].encode() in path.read_bytes()
    ]
    assert readable == []
    assert shared.paths.env.stat().st_mode & 0o777 == 0o600


def test_an_interrupted_up_leaves_nothing(folder: Path) -> None:
    before = Machine.look()
    # Whoever started the tests in the background had their shell switch Ctrl-C off for all that follows.
    command = ["env", "--default-signal=INT", sys.executable, "-m", "tests.sandbox", "up", "--dir", str(folder)]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    assert wait_until(lambda: Running.read(Paths(folder).process) is not None)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=30)[1]
    assert process.returncode == 130
    assert "Traceback" not in said
    assert Traces(folder).left() == []
    assert Machine.look() == before


@pytest.mark.long
def test_a_killed_up_leaves_nothing(folder: Path) -> None:
    process = subprocess.Popen([sys.executable, "-m", "tests.sandbox", "up", "--dir", str(folder)], cwd=ROOT)
    assert wait_until(lambda: Running.read(Paths(folder).process) is not None)
    process.kill()
    process.wait()
    traces = Traces(folder)
    assert wait_until(lambda: not traces.left(), 60), traces.left()


@pytest.mark.long
def test_two_sandboxes_run_side_by_side(own: Sandbox, tmp_path: Path) -> None:
    with own_sandbox(tmp_path / "other") as other:
        assert not own.subnet.overlaps(other.subnet)
        shared = ("AWS_ENDPOINT_URL", "HAVEN_SANDBOX_GATE_PORT", "HAVEN_SANDBOX_GATE_HOST_KEY", "AWS_SECRET_ACCESS_KEY")
        assert not [name for name in shared if own.env[name] == other.env[name]]
        assert other.machines.state("t-victim") == "absent"
        take_down(own)
        assert other.machines.state("gate") == "ready"
        assert other.on_gate("hostname").stdout.strip() == "gate"


@pytest.mark.long
def test_two_openstacks_run_side_by_side(folder: Path, tmp_path: Path) -> None:
    with own_sandbox(folder, "openstack") as one, own_sandbox(tmp_path / "other", "openstack") as other:
        names = [name for name in one.env if name.endswith("_URL") or name == "OS_CLIENT_CONFIG_FILE"]
        assert len(names) > 7
        assert not [name for name in names if one.env[name] == other.env[name]]
        logins = [json.loads(sandbox.paths.clouds.read_text())["clouds"]["haven"]["auth"] for sandbox in (one, other)]
        assert logins[0]["password"] != logins[1]["password"]
        assert not one.subnet.overlaps(other.subnet)


def test_a_cloud_cannot_be_added_to_a_sandbox_that_is_up(shared: Sandbox) -> None:
    more = command("up", "--cloud", "all", folder=shared.paths.dir)
    assert more.returncode == 1
    assert more.stderr == "The sandbox is up without openstack: take it down first, with `make sandbox-down`.\n"


def test_down_ends_no_process_that_only_has_the_number(folder: Path) -> None:
    paths = Paths(folder)
    paths.prepare()
    with subprocess.Popen(["sleep", "60"]) as stranger:
        found = Process.of(stranger.pid)
        assert found is not None
        somebody_before = Process(found.pid, found.started - 1)
        Running(somebody_before, somebody_before).write(paths.process)
        assert command("down", folder=folder).stdout == "No sandbox was up.\n"
        assert stranger.poll() is None
        stranger.kill()


def test_a_sandbox_whose_folder_lies_on_an_overlay_works(tmp_path: Path) -> None:
    lower, upper, work, root = (tmp_path / name for name in ("lower", "upper", "work", "root"))
    for part in (lower, upper, work, root):
        part.mkdir()
    options = f"lowerdir={lower},upperdir={upper},workdir={work}"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, str(root)], check=True)
    try:
        with own_sandbox(root / "box") as sandbox:
            with sandbox.guest() as guest:
                assert guest.output("findmnt -n -o FSTYPE /") == "overlay"
                guest.output("touch /srv/written")
            take_down(sandbox)
    finally:
        subprocess.run(["umount", str(root)], check=True)


def test_a_folder_with_a_long_name_works(tmp_path: Path) -> None:
    with own_sandbox(tmp_path / ("long-" * 24)) as sandbox:
        assert sandbox.machines.state("gate") == "ready"


def test_without_root_it_says_what_is_missing_and_stops(tmp_path: Path) -> None:
    # Somebody who is not root, but may read this checkout wherever it lies.
    may_read = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *may_read]
    full = [*nobody, sys.executable, "-m", "tests.sandbox", "up", "--dir", str(tmp_path / "box")]
    done = subprocess.run(full, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "needs root" in done.stderr
    assert not (tmp_path / "box").exists()


def test_a_missing_program_is_named_with_the_one_command_that_installs_it(folder: Path) -> None:
    hide = 'mount --bind /dev/null $(command -v squid) && mount --bind /dev/null $(command -v mmdebstrap) && exec "$@"'
    full = [
        "unshare",
        "--mount",
        "sh",
        "-c",
        hide,
        "sh",
        sys.executable,
        "-m",
        "tests.sandbox",
        "up",
        "--dir",
        str(folder),
    ]
    path = f"{os.environ['PATH']}:/usr/sbin"
    done = subprocess.run(full, cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ, "PATH": path})
    assert done.returncode == 2
    assert "apt-get install --no-install-recommends mmdebstrap squid-openssl" in done.stderr
