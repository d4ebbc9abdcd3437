"""What root may install: locked wheels, so that no code of a package runs as root."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.haven.gpu.plugins.module_utils._as_user import WorkError, as_user
from ansible_collections.haven.gpu.plugins.module_utils._venvs import fleet
from ansible_collections.haven.gpu.plugins.module_utils._venvs.models import VenvError, spec_from
from ansible_collections.haven.gpu.plugins.module_utils._venvs.requirements import gather, refuse_unlocked

REPOSITORY = Path(__file__).parents[4]
LOCKED = {
    "name": "jupyter",
    "user": "root",
    "state": "present",
    "requirements": """# a comment
idna==3.6 ; python_version < '3.14' \
    --hash=sha256:aa \
    --hash=sha256:bb
    # via x
""",
    "require_hashes": True,
    "only_binary": True,
}


def refuse(**change: Any) -> None:
    refuse_unlocked(spec_from({**LOCKED, **change}, "/opt/haven/venvs"))


def test_locked_wheels_are_accepted() -> None:
    refuse()
    refuse(requirements="anyio[trio]==4.1 --hash=sha256:aa")


@pytest.mark.parametrize("file", sorted(REPOSITORY.glob("roles/*/files/*.txt")), ids=lambda file: file.parts[-3])
def test_the_lock_files_of_the_roles_are_accepted(file: Path) -> None:
    refuse(requirements=file.read_text())


@pytest.mark.parametrize(
    "change",
    [
        {"only_binary": False},
        {"require_hashes": None},
        {"require_hashes": False},
        {"requirements": None},
        {"requirements": "# nothing\n"},
        {"packages": ["idna==3.6"]},
        {"repository": {"url": "https://example.org/r", "file": "requirements.txt"}},
        {"requirements": "idna==3.6"},
        {"requirements": "idna>=3.6 --hash=sha256:aa"},
        {"requirements": "-e ./evil --hash=sha256:aa"},
        {"requirements": "evil @ https://example.org/evil.tar.gz --hash=sha256:aa"},
        {"requirements": "evil @ git+https://example.org/evil --hash=sha256:aa"},
        {"requirements": "--no-binary :all:\nidna==3.6 --hash=sha256:aa"},
        {"requirements": "-r /home/alice/requirements.txt"},
        {"requirements": "--index-url https://evil.example\nidna==3.6 --hash=sha256:aa"},
        {"requirements": "idna==3.6 --hash=sha256:aa --global-option=x"},
        {"requirements": "idna==3.6 ; python_version > '3' --global-option=x --hash=sha256:aa"},
        {"requirements": "idna==3.6 --hash=sha256:aa\n./evil"},
        {"kernel": True},
    ],
    ids=str,
)
def test_anything_else_is_refused_in_one_message(change: dict[str, Any]) -> None:
    with pytest.raises(VenvError, match=r"^Root's environment jupyter .*require_hashes.*only_binary.*another user\.$"):
        refuse(**change)


def test_root_is_whoever_has_its_number_and_is_refused_before_anything_is_done(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    toor = pwd.struct_passwd(("toor", "x", 0, 0, "", "/root", "/bin/sh"))
    alice = pwd.struct_passwd(("alice", "x", 1000, 1000, "", "/home/alice", "/bin/sh"))
    users = {"toor": toor, "alice": alice}
    monkeypatch.setattr(fleet, "_find", users.get)
    entries = [
        {"name": "first", "user": "alice", "state": "present"},
        {"name": "second", "user": "toor", "state": "present", "packages": ["idna"]},
    ]
    with pytest.raises(VenvError, match="Root's environment second"):
        fleet.bring_all(entries, str(tmp_path / "venvs"), python_downloads=False, check=False)
    assert os.listdir(tmp_path) == []


def test_only_wheels_are_asked_for_where_that_is_wanted(tmp_path: Path) -> None:
    spec = spec_from(LOCKED, "/opt/haven/venvs")
    arguments = gather(spec, "", str(tmp_path)).arguments()
    assert arguments[:3] == ["--require-hashes", "--only-binary", ":all:"]


def test_an_error_that_nobody_foresaw_reaches_the_user() -> None:
    def work() -> None:
        b"\xe9".decode()

    with pytest.raises(WorkError, match=r"failed: UnicodeDecodeError: .* byte 0xe9"):
        as_user(pwd.getpwuid(os.getuid()), work, dict)
