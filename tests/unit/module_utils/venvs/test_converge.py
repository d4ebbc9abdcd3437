"""When an environment is made anew, and what is left when that fails. No package index is needed."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from ansible_collections.haven.gpu.plugins.module_utils._venvs import kernel
from ansible_collections.haven.gpu.plugins.module_utils._venvs.complaints import reason
from ansible_collections.haven.gpu.plugins.module_utils._venvs.converge import converge, remove
from ansible_collections.haven.gpu.plugins.module_utils._venvs.installers import UV_CHANGE, Found, Uv, probe
from ansible_collections.haven.gpu.plugins.module_utils._venvs.models import Repository, Spec, VenvError
from ansible_collections.haven.gpu.plugins.module_utils._venvs.process import run
from ansible_collections.haven.gpu.plugins.module_utils._venvs.repository import check_out, wanted_commit


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Spec:
    """An empty environment of pip's, with the Python that runs the tests."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("UV_CACHE_DIR", "UV_PYTHON_INSTALL_DIR", "UV_PYTHON_DOWNLOADS"):
        monkeypatch.setenv(name, "")
    return Spec(
        name="e",
        user="me",
        path=str(tmp_path / "venvs" / "e"),
        home=str(tmp_path / "venvs"),
        python=os.path.realpath(sys.executable),
        installer="pip",
    )


def other(spec: Spec, **change: object) -> Spec:
    return Spec(**{**spec.__dict__, **change})


def test_an_environment_is_made_once(spec: Spec) -> None:
    assert converge(spec, check=True, python_downloads=False).plan.rebuild == "it does not exist"
    assert not os.path.exists(spec.path)
    assert converge(spec, check=False, python_downloads=False).plan.changed
    assert not converge(spec, check=False, python_downloads=False).plan.changed


def test_a_failed_installation_leaves_nothing_where_nothing_was(spec: Spec) -> None:
    with pytest.raises(VenvError, match="Installing packages for environment e of me failed"):
        converge(other(spec, packages=("not a requirement!",)), check=False, python_downloads=False)
    assert os.listdir(spec.home) == []


def test_a_failed_rebuild_brings_the_old_environment_back(spec: Spec, tmp_path: Path) -> None:
    converge(spec, check=False, python_downloads=False)
    (tmp_path / "venvs" / "e" / "mark").touch()
    os.unlink(spec.bin_python)  # as an upgrade of the system does
    with pytest.raises(VenvError, match="Installing packages"):
        converge(other(spec, packages=("not a requirement!",)), check=False, python_downloads=False)
    assert (tmp_path / "venvs" / "e" / "mark").exists()
    assert os.listdir(spec.home) == ["e"]


def test_a_broken_environment_is_made_anew(spec: Spec) -> None:
    converge(spec, check=False, python_downloads=False)
    os.unlink(spec.bin_python)
    assert converge(spec, check=False, python_downloads=False).plan.rebuild == "its Python does not run"
    assert probe(spec.bin_python) is not None
    assert os.listdir(spec.home) == ["e"]


def test_an_interrupted_rebuild_is_done_again(spec: Spec, tmp_path: Path) -> None:
    converge(spec, check=False, python_downloads=False)
    os.rename(spec.path, tmp_path / "venvs" / ".e.old")
    os.makedirs(f"{spec.path}/bin")
    outcome = converge(spec, check=False, python_downloads=False)
    assert outcome.plan.rebuild == "its last change was interrupted"
    assert probe(spec.bin_python) is not None
    assert os.listdir(spec.home) == ["e"]


def test_a_folder_that_is_no_environment_is_left_alone(spec: Spec) -> None:
    os.makedirs(f"{spec.path}/thesis")
    with pytest.raises(VenvError, match="is not a virtual environment"):
        converge(spec, check=False, python_downloads=False)
    with pytest.raises(VenvError, match="is not a virtual environment"):
        remove(spec, check=False)
    assert os.path.isdir(f"{spec.path}/thesis")


def test_removal_takes_the_kernel_along_and_happens_once(spec: Spec) -> None:
    converge(spec, check=False, python_downloads=False)
    shown = other(spec, display_name="E")
    kernel.write(shown, kernel.wanted(shown))
    assert kernel.current(shown) == kernel.wanted(shown)
    assert remove(spec, check=True).plan.changed
    assert os.path.isdir(spec.path)
    assert remove(spec, check=False).plan.changed
    assert not os.path.exists(kernel.folder_of(spec))
    assert not remove(spec, check=False).plan.changed


def test_a_kernel_of_the_users_own_is_neither_overwritten_nor_removed(spec: Spec) -> None:
    folder = Path(kernel.folder_of(spec))
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text('{"argv": ["/usr/bin/python3"]}')
    with pytest.raises(VenvError, match="does not belong to"):
        converge(other(spec, display_name="E"), check=False, python_downloads=False)
    assert not remove(spec, check=False).plan.changed
    assert (folder / "kernel.json").exists()


@pytest.mark.parametrize(
    ("wanted", "fits"), [("3", True), ("3.11", True), ("3.11.2", True), ("3.1", False), ("3.12", False)]
)
def test_a_version_is_compared_by_its_parts(spec: Spec, wanted: str, fits: bool) -> None:
    found = Found(version="3.11.2", base="/usr/bin/python3.11", pip=False)
    assert (Uv(other(spec, python=wanted)).unsuitable(found) == "") is fits


def test_changes_are_read_from_uvs_own_report() -> None:
    report = (
        "Resolved 1 package in 9ms\nWould install 1 package\n - idna==3.20\n + idna==3.6\n ~ me==1 (from file:///x)\n"
    )
    assert UV_CHANGE.findall(report) == [("-", "idna==3.20"), ("+", "idna==3.6"), ("~", "me==1 (from file:///x)")]


def test_a_complaint_is_one_sentence_without_the_tools_ornaments() -> None:
    done = run(
        [
            sys.executable,
            "-c",
            "import sys; sys.exit('Using Python\\nerror: No solution\\n  cause: it is gone.\\n\\nhint: x')",
        ]
    )
    assert reason(done) == "No solution: it is gone"


def test_a_branch_is_followed_and_a_tag_means_its_commit(tmp_path: Path) -> None:
    origin, folder = tmp_path / "origin", str(tmp_path / "checkout")
    origin.mkdir()
    git = ["git", "-C", str(origin), "-c", "user.name=x", "-c", "user.email=x@example.org"]
    for step in (
        ["init", "-q", "-b", "main"],
        ["commit", "-q", "--allow-empty", "-m", "1"],
        ["tag", "-a", "v1", "-m", "1"],
    ):
        assert run([*git, *step]).returncode == 0
    first = run([*git, "rev-parse", "HEAD"]).stdout.strip()
    run([*git, "commit", "-q", "--allow-empty", "-m", "2"])
    second = run([*git, "rev-parse", "HEAD"]).stdout.strip()

    def at(version: str) -> Repository:
        return Repository(url=f"file://{origin}", file="requirements.txt", version=version, dest=folder, shallow=True)

    assert [wanted_commit(at(version)) for version in ("v1", "main", "HEAD", first)] == [first, second, second, first]
    for commit in (first, second):
        check_out(at("main"), commit, folder)
        assert run(["git", "-C", folder, "rev-parse", "HEAD"]).stdout.strip() == commit
    with pytest.raises(VenvError, match="has no branch or tag v2"):
        wanted_commit(at("v2"))


# A build backend of its own, so that nothing is downloaded.
PROJECT = {
    "pyproject.toml": """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
""",
    "backend.py": """
import os, zipfile
def write(folder, name, text):
    with zipfile.ZipFile(os.path.join(folder, "course-1.0-py3-none-any.whl"), "w") as wheel:
        wheel.writestr(name, text)
        wheel.writestr("course-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: course\\nVersion: 1.0\\n")
        wheel.writestr("course-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nTag: py3-none-any\\n")
        wheel.writestr("course-1.0.dist-info/RECORD", "")
    return "course-1.0-py3-none-any.whl"
def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    return write(wheel_directory, "lesson.py", open("lesson.py").read())
def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    return write(wheel_directory, "course.pth", os.getcwd() + "\\n")
""",
    "lesson.py": "answer = 42",
}


def commit(folder: Path, **files: str) -> None:
    git = ["git", "-C", str(folder), "-c", "user.name=x", "-c", "user.email=x@example.org"]
    for name, text in files.items():
        (folder / name).write_text(text)
    for step in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        assert run([*git, *step]).returncode == 0


@pytest.mark.parametrize("line", ["-e .", "."])
@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_a_repository_that_installs_itself_is_installed_once_for_each_commit(
    spec: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installer: str, line: str
) -> None:
    uv = shutil.which("uv")
    assert uv
    monkeypatch.setattr(Uv, "program", uv)
    source = tmp_path / "source"
    source.mkdir()
    commit(source, **PROJECT, **{"requirements.txt": line})
    repository = Repository(str(source), "requirements.txt", "HEAD", str(tmp_path / "course"), shallow=False)
    wanted = other(spec, repository=repository, installer=installer)
    assert converge(wanted, check=True, python_downloads=False).plan.changed
    assert converge(wanted, check=False, python_downloads=False).plan.packages[0].startswith("+ course")
    assert not converge(wanted, check=False, python_downloads=False).plan.changed
    assert run([spec.bin_python, "-c", "import lesson; print(lesson.answer)"]).stdout == "42\n"
    # Of another length, because Python takes a source of the same second and length for the one that it compiled.
    commit(source, **{"lesson.py": "answer = 4300"})
    assert converge(wanted, check=False, python_downloads=False).plan.changed
    assert run([spec.bin_python, "-c", "import lesson; print(lesson.answer)"]).stdout == "4300\n"
    assert not converge(wanted, check=False, python_downloads=False).plan.changed
