# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which keys ssh offers: real keys, a real agent with eight of them, and what the real ssh says it would do."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.haven.gpu.plugins.module_utils._errors import InvalidRequest
from ansible_collections.haven.gpu.plugins.module_utils._ssh import files as _files
from ansible_collections.haven.gpu.plugins.module_utils._ssh.checks import lines_of_keys, public_keys
from ansible_collections.haven.gpu.plugins.module_utils._ssh.config import Hop, Machine, Paths, hop_alias
from ansible_collections.haven.gpu.plugins.module_utils._ssh.hops import with_key
from ansible_collections.haven.gpu.plugins.module_utils._ssh.identities import Identity, require_file, usable
from tests.unit.module_utils.ssh.readings import KEY

GATE = Hop("gate.example.org", host_key=KEY)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder, with a space and an umlaut in its path, and no agent."""
    home = tmp_path / "Alice Müller"
    (home / ".ssh").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return home


def make(path: Path) -> str:
    """Make a key pair, and return ``type base64`` of its public key."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "alice@home", "-f", str(path)], check=True)
    return " ".join(path.with_name(f"{path.name}.pub").read_text().split()[:2])


@pytest.fixture
def agent(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """An agent with eight keys; their files are nowhere to be found."""
    said = subprocess.run(["ssh-agent", "-s"], capture_output=True, text=True, check=True).stdout
    variables = dict(word.split("=") for word in said.replace(";", " ").split() if "=" in word)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    keys = []
    for number in range(8):
        keys.append(make(tmp_path / f"k{number}"))
        subprocess.run(["ssh-add", "-q", str(tmp_path / f"k{number}")], check=True)
        (tmp_path / f"k{number}").unlink()
    yield keys
    os.kill(int(variables["SSH_AGENT_PID"]), signal.SIGTERM)


def settings(config: str, host: str) -> dict[str, list[str]]:
    """What ssh would do, by the names of its settings."""
    done = subprocess.run(["ssh", "-G", "-F", config, host], capture_output=True, text=True, check=True)
    found: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        name, _blank, value = line.partition(" ")
        found.setdefault(name, []).append(value)
    return found


def test_of_an_agent_with_eight_keys_only_the_right_one_is_tried_on_hop_and_machine(
    tmp_path: Path, agent: list[str]
) -> None:
    right = f"{agent[5]} alice@home"
    (hop,) = with_key([GATE], lines_of_keys([right]))
    assert isinstance(hop, Hop)
    machine = Machine("i-1", address="10.0.0.5", host_key=KEY, key=lines_of_keys([agent[3]]))
    config = _files.write({(hop,): [machine]}, Paths(str(tmp_path / "made"), included_by=str(tmp_path / "made/config")))
    for host, key in (("i-1", agent[3]), (hop_alias([hop], 0), agent[5])):
        found = settings(config, host)
        assert found["identitiesonly"] == ["yes"]
        (file,) = found["identityfile"]
        assert Path(file).read_text() == f"{key}\n"
        assert Path(file).stat().st_mode & 0o777 == 0o600


def test_a_key_in_the_users_own_folder_is_used_from_there(tmp_path: Path, home: Path) -> None:
    key, other = make(home / ".ssh" / "id_lab"), make(home / ".ssh" / "id_ed25519")
    (home / ".ssh" / "token.pub").write_text(f"{KEY} on a token\n")
    (home / ".ssh" / "binary.pub").write_bytes(b"\xff\xfe")
    assert usable([key]) == (Identity(key, f"{home}/.ssh/id_lab"),)
    assert usable([KEY, other]) == (
        Identity(KEY, f"{home}/.ssh/token.pub"),
        Identity(other, f"{home}/.ssh/id_ed25519"),
    )
    machine = Machine("i-1", address="10.0.0.5", host_key=KEY, key=key)
    config = _files.write({(): [machine]}, Paths(str(tmp_path / "made"), included_by=str(tmp_path / "made/config")))
    assert settings(config, "i-1")["identityfile"] == [f"{home}/.ssh/id_lab"]


def test_a_jump_host_is_offered_the_default_files_after_it(tmp_path: Path, agent: list[str], home: Path) -> None:
    """Its operator may know another key. The rest of the agent is not offered."""
    make(home / ".ssh" / "id_rsa")
    hop = Hop("gate.example.org", host_key=KEY, key=agent[2])
    machine = Machine("i-1", address="10.0.0.5", host_key=KEY, key=agent[2])
    config = _files.write({(hop,): [machine]}, Paths(str(tmp_path / "made"), included_by=str(tmp_path / "made/config")))
    first, second = settings(config, hop_alias([hop], 0))["identityfile"]
    assert Path(first).read_text() == f"{agent[2]}\n"
    assert second == f"{home}/.ssh/id_rsa"
    assert settings(config, "i-1")["identityfile"] == [first]


def test_a_key_that_is_not_on_this_computer_changes_nothing(tmp_path: Path, agent: list[str]) -> None:
    assert usable([KEY]) == ()
    paths = Paths(str(tmp_path / "made"), included_by=str(tmp_path / "made/config"))
    with_and_without = []
    for key in (KEY, None):
        machine = Machine("i-1", address="10.0.0.5", host_key=KEY, key=key)
        with_and_without.append(_files.texts({(): [machine]}, paths)[paths.config])
    assert with_and_without[0] == with_and_without[1]
    assert "Identit" not in with_and_without[0]


def test_a_key_of_its_own_is_kept(home: Path) -> None:
    own = Hop("gate.example.org", key="~/.ssh/gate")
    assert with_key([own, GATE], KEY) == (own, Hop("gate.example.org", host_key=KEY, key=KEY))
    assert with_key([GATE], "") == (GATE,)


def test_an_agent_that_does_not_answer_is_no_failure(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", str(home / "gone"))
    assert usable([KEY]) == ()
    monkeypatch.setenv("PATH", "/nowhere")
    assert usable([KEY]) == ()


def test_a_key_file_that_is_not_there_is_named(home: Path) -> None:
    make(home / "key")
    for there in (str(home / "key"), "~/key", KEY, None, ""):
        require_file(there, "The private_key")
    (home / "key").unlink()
    require_file("~/key", "The private_key")
    with pytest.raises(InvalidRequest, match=r"The key of hop 2 is '~/kez', and there is no such file"):
        require_file("~/kez", "The key of hop 2")


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        (f"{KEY} alice@home", (KEY,)),
        (f"{KEY}\n{KEY}", (KEY, KEY)),
        ("~/.ssh/id_ed25519", ()),
        (f"{KEY}\n/etc/passwd", ()),
        ("", ()),
        (None, ()),
    ],
)
def test_a_key_is_a_path_or_lines_of_public_keys(text: object, keys: tuple[str, ...]) -> None:
    assert public_keys(text) == keys


def test_keys_with_options_or_line_breaks_are_left_out() -> None:
    assert lines_of_keys([f"{KEY} a\n", f'from="10.0.0.1" {KEY}', f"{KEY}\nProxyCommand x", 5, KEY]) == KEY
    assert lines_of_keys(None) == ""
