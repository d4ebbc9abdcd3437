"""`ssh NAME` with the user's own configuration leads to the machine, and only to that machine."""

from __future__ import annotations

import contextlib
import os
import stat
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

FOLDER = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
CONFIG = FOLDER / "home" / "config"
NEW = FOLDER / "new" / "ssh" / "config"
ORIGINAL = "# mine\nUser everywhere\n\nHost elsewhere\n  HostName 192.0.2.1"


def ssh(config: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["ssh", "-F", str(config), "-o", "BatchMode=yes", *arguments]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)


def asked(config: Path, host: str) -> dict[str, str]:
    lines = ssh(config, "-G", host).stdout.splitlines()
    return dict(line.partition(" ")[::2] for line in lines)


@contextlib.contextmanager
def tunnel() -> Iterator[int]:
    """The connection a user leaves open; the local port."""
    port = int((FOLDER / "port").read_text())
    command = ["ssh", "-F", str(CONFIG), "-N", "-o", "BatchMode=yes", "ssh-target"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        yield port
    finally:
        process.terminate()
        process.wait()


def fetched(port: int) -> str:
    deadline = time.monotonic() + 20
    while True:
        try:
            with urllib.request.urlopen(f"http://localhost:{port}/", timeout=5) as answer:
                return answer.read().decode()
        except urllib.error.URLError:
            assert time.monotonic() < deadline
            time.sleep(0.2)


def test_the_machine_is_reached_by_its_name_as_the_notebooks_user() -> None:
    assert ssh(CONFIG, "ssh-target", "id -un").stdout == "alice\n"


def test_the_notebook_is_on_the_local_port_while_the_connection_is_open() -> None:
    with tunnel() as port:
        assert fetched(port) == "the notebook of alice"
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"http://localhost:{port}/", timeout=5)


def test_only_this_computer_can_use_the_port() -> None:
    with tunnel() as port:
        fetched(port)
        listening = subprocess.run(["ss", "-ltnH", f"sport = :{port}"], capture_output=True, text=True, check=True)
    addresses = {line.split()[3].rpartition(":")[0] for line in listening.stdout.splitlines()}
    assert addresses <= {"127.0.0.1", "[::1]"}
    assert "127.0.0.1" in addresses


def test_tensorboard_is_not_forwarded_unless_asked() -> None:
    assert "tensorboard" not in ssh(CONFIG, "-G", "ssh-target").stdout


def test_a_machine_of_ones_own_is_reached_too() -> None:
    assert ssh(CONFIG, "plain", "id -un").stdout == "debian\n"


def test_a_machine_that_shows_another_key_is_refused() -> None:
    done = ssh(CONFIG, "impostor", "true")
    assert done.returncode == 255
    assert "haven.gpu refuses impostor: it shows the host key SHA256:" in done.stderr


def test_the_users_own_settings_still_hold() -> None:
    assert CONFIG.read_text().endswith(ORIGINAL)
    elsewhere = asked(CONFIG, "elsewhere")
    assert (elsewhere["hostname"], elsewhere["user"]) == ("192.0.2.1", "everywhere")
    assert asked(CONFIG, "third")["user"] == "everywhere"


def test_a_configuration_among_the_dotfiles_stays_there() -> None:
    assert CONFIG.is_symlink()
    assert (FOLDER / "dotfiles" / "config").read_text() == CONFIG.read_text()


def test_a_copy_of_the_original_is_kept() -> None:
    copies = [path.read_text() for path in FOLDER.glob("*/config.*")]
    assert ORIGINAL in copies


def test_a_missing_configuration_is_made() -> None:
    assert ssh(NEW, "ssh-target", "true").returncode == 0
    assert "localforward" not in asked(NEW, "ssh-target")


@pytest.mark.parametrize("config", [CONFIG, NEW])
def test_everything_is_the_users_alone(config: Path) -> None:
    (made,) = config.parent.glob("haven-molecule-*")
    for path in (config, made / "config", made / "known_hosts", made / "proxy_helper.py"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(made.stat().st_mode) == 0o700


def test_a_name_that_is_no_file_name_becomes_one() -> None:
    assert (CONFIG.parent / "haven-of_my_own" / "config").exists()
