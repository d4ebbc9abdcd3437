"""What is read from the user: names, paths, addresses, requirement files, environment files."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.haven.gpu.plugins.module_utils._venvs import process
from ansible_collections.haven.gpu.plugins.module_utils._venvs.models import Plan, Spec, VenvError, spec_from
from ansible_collections.haven.gpu.plugins.module_utils._venvs.process import read_environment_file
from ansible_collections.haven.gpu.plugins.module_utils._venvs.requirements import gather

ROOT = "/opt/haven/venvs"


def spec(**entry: Any) -> Spec:
    return spec_from({"name": "torch", "user": "alice", **entry}, ROOT)


def test_an_environment_lies_in_its_users_folder() -> None:
    assert spec().path == "/opt/haven/venvs/alice/torch"
    assert spec().bin_python == "/opt/haven/venvs/alice/torch/bin/python"


def test_a_path_below_the_tilde_is_the_users_and_not_roots() -> None:
    assert spec_from({"name": "x", "user": "root", "path": "~/e"}, ROOT).path == os.path.expanduser("~root") + "/e"


@pytest.mark.parametrize("name", ["../../etc", "a/b", ".hidden", "", "-r", "x" * 65])
def test_a_name_that_would_leave_the_folder_is_refused(name: str) -> None:
    with pytest.raises(VenvError, match="cannot be a folder's name"):
        spec(name=name)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"python": "python3.12"}, "neither a version"),
        ({"path": "venvs/x"}, "not absolute"),
        ({"repository": {"url": "https://me:token@example.org/r", "file": "requirements.txt"}}, "holds a password"),
        ({"repository": {"url": "https://example.org/r", "file": "../passwd"}}, "inside its repository"),
        ({"repository": {"url": "https://example.org/r", "file": "/etc/passwd"}}, "inside its repository"),
    ],
)
def test_bad_input_is_refused_before_anything_is_done(entry: dict[str, Any], message: str) -> None:
    with pytest.raises(VenvError, match=message):
        spec(**entry)


def test_a_git_user_in_an_address_is_no_password() -> None:
    address = "ssh://git@example.org:22/r"
    repository = spec(repository={"url": address, "file": "requirements.txt"}).repository
    assert repository is not None
    assert repository.url == address


@pytest.mark.parametrize(("kernel", "shown"), [(True, "torch"), ("PyTorch", "PyTorch"), (False, ""), (None, "")])
def test_a_kernel_is_shown_under_its_display_name_or_the_environments(kernel: Any, shown: str) -> None:
    assert spec(kernel=kernel).display_name == shown


def test_one_hash_makes_hashes_necessary(tmp_path: Path) -> None:
    hashed = gather(spec(requirements="idna==3.6 --hash=sha256:00\n"), "", str(tmp_path))
    assert hashed.arguments() == ["--require-hashes", "-r", f"{tmp_path}/requirements.txt"]
    plain = gather(spec(requirements="idna==3.6\n", packages=["tomli"]), "", str(tmp_path))
    assert plain.arguments() == ["-r", f"{tmp_path}/requirements.txt", "-r", f"{tmp_path}/packages.txt"]


def test_hashes_can_be_demanded(tmp_path: Path) -> None:
    assert gather(spec(packages=["idna"], require_hashes=True), "", str(tmp_path)).hashed


def test_a_kernel_brings_ipykernel_unless_it_is_listed(tmp_path: Path) -> None:
    assert gather(spec(kernel=True, packages=["ipykernel-extra"]), "", str(tmp_path)).files[-1].endswith("kernel.txt")
    assert gather(spec(kernel=True, packages=["ipykernel>=7"]), "", str(tmp_path)).files[-1].endswith("packages.txt")


def test_hashed_requirements_of_a_kernel_must_list_ipykernel(tmp_path: Path) -> None:
    with pytest.raises(VenvError, match="lack ipykernel"):
        gather(spec(kernel=True, requirements="idna==3.6 --hash=sha256:00"), "", str(tmp_path))


def test_a_repository_without_the_named_file_is_told(tmp_path: Path) -> None:
    wanted = spec(repository={"url": "https://example.org/r", "file": "gone.txt"})
    with pytest.raises(VenvError, match=r"has no file gone\.txt"):
        gather(wanted, str(tmp_path), str(tmp_path))


FREEZE = "idna==3.6\nipykernel==7.1\n"
LATIN = "# caf\u00e9\nidna==3.6\n".encode("latin-1")
DECLARED = b"#!x\n# -*- coding: latin-1 -*-\n" + LATIN


def from_repository(tmp_path: Path, content: bytes, file: str = "requirements.txt", **entry: Any) -> Any:
    """What is made of a repository with that file in it."""
    (tmp_path / file).parent.mkdir(exist_ok=True, parents=True)
    (tmp_path / file).write_bytes(content)
    repository = {"url": "https://example.org/r", "file": file}
    return gather(spec(repository=repository, **entry), str(tmp_path), str(tmp_path / "scratch"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_what_powershell_wrote_is_read(tmp_path: Path, encoding: str) -> None:
    mark = "\ufeff" if encoding[-2:] in ("le", "be") else ""
    file = from_repository(tmp_path, (mark + FREEZE).encode(encoding), kernel=True)
    assert file.files == (f"{tmp_path}/requirements.txt",)  # ipykernel was seen in it


@pytest.mark.parametrize(
    ("content", "installer"),
    [
        (LATIN, "uv"),
        (LATIN, "pip"),
        (DECLARED, "uv"),  # which does not obey it
        (b"# -*- coding: klingon -*-\n", "pip"),
        ("idna==3.6\n".encode("utf-16-le"), "uv"),
        ("idna==3.6\n".encode("utf-16") + b"\n", "uv"),
        (b"-r more.txt\n", "uv"),
    ],
)
def test_what_no_installer_could_read_is_told_by_name(tmp_path: Path, content: bytes, installer: str) -> None:
    (tmp_path / "more.txt").write_bytes(LATIN)
    with pytest.raises(
        VenvError, match=r"The file \w+\.txt of https://example\.org/r at version HEAD .* save it as UTF-8"
    ):
        from_repository(tmp_path, content, installer=installer)


def test_pip_obeys_a_declared_encoding(tmp_path: Path) -> None:
    assert from_repository(tmp_path, DECLARED, installer="pip").files


def test_files_that_include_each_other_are_read_once(tmp_path: Path) -> None:
    (tmp_path / "more.txt").write_text("-r requirements.txt\nipykernel\n")
    assert len(from_repository(tmp_path, b"--requirement=more.txt\n", kernel=True).files) == 1


@pytest.mark.parametrize(
    ("file", "line", "projects", "start"),
    [
        ("requirements.txt", "-e .", ["."], "."),
        ("requirements.txt", "./lib", ["lib"], "."),
        ("requirements/all.txt", "-e .[dev] # all of it", ["."], "."),
        ("course/requirements.txt", "--editable=.", [".", "course"], "course"),
        ("course/requirements.txt", "..", ["."], "course"),
        ("course/requirements.txt", "-e ./lib", ["lib"], "."),
        ("course/requirements.txt", "-e git+https://example.org/x#egg=x", [], "course"),
    ],
)
def test_paths_begin_where_they_lead_to_something(
    tmp_path: Path, file: str, line: str, projects: list[str], start: str
) -> None:
    for project in projects:
        (tmp_path / project).mkdir(exist_ok=True)
        (tmp_path / project / "pyproject.toml").touch()
    assert os.path.normpath(from_repository(tmp_path, f"idna\n{line}\n".encode(), file).folder) == os.path.normpath(
        tmp_path / start
    )


def test_an_environment_file_of_somebody_elses_making_is_read_all_the_same(tmp_path: Path) -> None:
    file = tmp_path / "environment"
    file.write_bytes(b"A=don't\nB=caf\xe9\nC=c\n")
    assert read_environment_file(str(file)) == {"A": "don't", "B": "caf\udce9", "C": "c"}


def test_an_environment_file_is_read_and_never_run(tmp_path: Path) -> None:
    file = tmp_path / "egress.env"
    file.write_text('# a comment\nHTTPS_PROXY="http://10.0.0.2:3128"\nexport CA=/a b\nX=$(touch /tmp/x)\nnot a line\n')
    assert read_environment_file(str(file)) == {
        "HTTPS_PROXY": "http://10.0.0.2:3128",
        "CA": "/a b",
        "X": "$(touch /tmp/x)",
    }
    assert read_environment_file(str(tmp_path / "absent")) == {}


def test_programs_speak_english_whatever_the_language_of_the_image_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "environment"
    file.write_text("LANG=sv_SE.UTF-8\nLC_ALL=sv_SE.UTF-8\nLANGUAGE=sv\nKERAS_BACKEND=jax\n")
    monkeypatch.setattr(process, "ENVIRONMENT_FILES", (str(file),))
    environment = process.child_environment(pwd.getpwuid(0))
    assert (environment["LANG"], environment["LC_ALL"]) == ("C.UTF-8", "C.UTF-8")
    assert "LANGUAGE" not in environment
    assert environment["KERAS_BACKEND"] == "jax"


def test_an_empty_plan_is_no_change_and_each_part_of_it_is_one() -> None:
    assert not Plan(commit=("a", "a"), kernel=("{}", "{}")).changed
    for plan in (
        Plan(commit=("a", "b")),
        Plan(rebuild="x"),
        Plan(packages=("+ a==1",)),
        Plan(kernel=("", "{}")),
        Plan(remove=("/x",)),
    ):
        assert plan.changed


def test_the_diff_names_versions_before_and_after() -> None:
    diff = Plan(commit=("", "c0ffee"), packages=("- idna==3.5", "+ idna==3.6"), kernel=("", '{"env": {}}')).diff(
        "environment x of y"
    )
    assert diff["before"] == "commit none\nidna==3.5\n"
    assert diff["after"] == 'commit c0ffee\nidna==3.6\n{\n "env": {}\n}\n'


def test_the_diff_of_a_kernel_tells_which_variables_differ_and_no_value() -> None:
    before, after = (
        f'{{"display_name": "X", "env": {{"TOKEN": "canary {number}", "MODE": "canary"}}}}' for number in (1, 2)
    )
    diff = Plan(kernel=(before, after)).diff("environment x of y")
    assert "canary" not in str(diff)
    assert diff["before"].count("not shown") == 2
    assert diff["after"].count("another, not shown") == 1
    assert '"display_name": "X"' in diff["after"]
