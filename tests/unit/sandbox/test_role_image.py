"""What of a sandbox must not get into an image that other sandboxes use."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.sandbox import role_image
from tests.sandbox.errors import SandboxError


@pytest.fixture
def access(tmp_path: Path) -> role_image.Access:
    for name, key in (("id", "AAAAlogin"), ("host", "AAAAhost")):
        (tmp_path / f"{name}.pub").write_text(f"ssh-ed25519 {key} comment\n")
    (tmp_path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\nMIIBcert\n-----END CERTIFICATE-----\n")
    return role_image.Access(
        "10.0.0.2", "198.51.100.2", tmp_path / "id", tmp_path / "host", "http://10.0.0.9:3128", tmp_path / "ca.pem",
        lambda _: None,
    )  # fmt: skip


def keep(tmp_path: Path, access: role_image.Access, content: str) -> Path:
    changes, layer = tmp_path / "changes", tmp_path / "layer"
    (changes / "opt").mkdir(parents=True)
    (changes / "opt" / "file").write_text(content)
    role_image.keep(changes, layer, shutil.copytree, access.traces())
    return layer


@pytest.mark.parametrize("trace", ["10.0.0.9", "MIIBcert", "AAAAlogin", "AAAAhost"])
def test_a_layer_with_a_trace_of_its_sandbox_is_refused(tmp_path: Path, access: role_image.Access, trace: str) -> None:
    with pytest.raises(SandboxError, match=r"opt/file"):
        keep(tmp_path, access, f"\0before {trace} after")
    assert not (tmp_path / "layer").exists()


def test_a_layer_without_any_is_kept(tmp_path: Path, access: role_image.Access) -> None:
    assert (keep(tmp_path, access, "software") / "opt" / "file").read_text() == "software"


def test_the_name_changes_with_every_file_but_documentation(tmp_path: Path) -> None:
    (tmp_path / "role").mkdir()
    file, readme = tmp_path / "role" / "main.yml", tmp_path / "role" / "README.md"
    file.write_text("one")
    first = role_image.digest([Path("base")], [tmp_path / "role"])
    readme.write_text("text")
    assert role_image.digest([Path("base")], [tmp_path / "role"]) == first
    assert role_image.digest([Path("other")], [tmp_path / "role"]) != first
    file.write_text("two")
    assert role_image.digest([Path("base")], [tmp_path / "role"]) != first
