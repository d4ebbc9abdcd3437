"""What holds for the environments of two users, and what the module does to them on demand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from testinfra.host import Host

ALICE = "/opt/haven/venvs/alice"
VERSION = "import importlib.metadata as m, sys; print(m.version(sys.argv[1]))"
RUN_A_CELL = """
from jupyter_client.manager import start_new_kernel
manager, client = start_new_kernel(kernel_name="science")
shown = []
client.execute_interactive(
    "import os, sys; print(sys.prefix, os.environ['VIRTUAL_ENV'], os.popen('command -v python').read())",
    output_hook=lambda message: shown.append(message["content"].get("text", "")),
)
manager.shutdown_kernel(now=True)
print("".join(shown))
"""


def bring(host: Host, check: bool = False, **entry: Any) -> dict[str, Any]:
    """The answer of the module haven.gpu.venv about one environment of alice."""
    arguments = json.dumps({"environments": [{"name": "scratch", "user": "alice", **entry}]})
    answer: dict[str, Any] = host.ansible("haven.gpu.venv", arguments, check=check, become=True)
    return answer


def version(host: Host, user: str, environment: str, package: str) -> str:
    with host.sudo(user):
        python = f"/opt/haven/venvs/{user}/{environment}/bin/python"
        return str(host.check_output(f"{python} -c '{VERSION}' {package}"))


@pytest.fixture
def scratch(host: Host) -> Iterator[str]:
    """An environment with idna 3.6, removed afterwards."""
    assert bring(host, packages=["idna==3.6"])["changed"]
    yield f"{ALICE}/scratch"
    bring(host, state="absent")


@pytest.mark.parametrize(
    ("user", "environment", "package", "expected"),
    [
        ("alice", "science", "idna", "3.6"),
        ("alice", "locked", "sniffio", "1.3.1"),
        ("alice", "course", "idna", "3.6"),
        ("bob", "plain", "tomli", "2.0.1"),
    ],
)
def test_each_environment_has_what_it_was_asked_for(
    host: Host, user: str, environment: str, package: str, expected: str
) -> None:
    assert version(host, user, environment, package) == expected


def test_environments_are_their_users_and_nobody_elses(host: Host) -> None:
    with host.sudo():
        assert host.check_output(f"find {ALICE} ! -user alice") == ""
        assert host.file(ALICE).mode == 0o700
    with host.sudo("bob"):
        assert host.run(f"ls {ALICE}").rc != 0


def test_uv_is_roots_and_everybodys_to_run(host: Host) -> None:
    with host.sudo("alice"):
        assert host.check_output("/opt/haven/uv/bin/uv --version").startswith("uv ")
    assert host.check_output("find /opt/haven/uv ! -user root -o -perm /022 ! -type l") == ""


def test_bytecode_is_compiled_on_installation(host: Host) -> None:
    with host.sudo():
        for package in ("science/lib/python3*/site-packages/idna", "course/lib/python3*/site-packages/idna"):
            assert host.check_output(f"sh -c 'ls {ALICE}/{package}/__pycache__/*.pyc'")


def test_a_kernel_answers_from_inside_its_environment(host: Host) -> None:
    with host.sudo("alice"):
        shown = host.check_output("HOME=/home/alice %s/science/bin/python -c %s", ALICE, RUN_A_CELL)
    assert shown.split() == [f"{ALICE}/science", f"{ALICE}/science", f"{ALICE}/science/bin/python"]


def test_the_kernel_gets_the_ca_and_leaves_the_proxy_to_its_server(host: Host) -> None:
    with host.sudo("alice"):
        file = host.file("/home/alice/.local/share/jupyter/kernels/science/kernel.json")
        content = json.loads(file.content_string)
        assert (file.user, file.mode) == ("alice", 0o600)
    assert content["display_name"] == "Science"
    assert content["env"]["SSL_CERT_FILE"]
    assert not [name for name in content["env"] if name.lower().endswith("_proxy")]


def test_system_packages_are_installed(host: Host) -> None:
    assert host.package("file").is_installed


def test_a_check_run_tells_what_a_run_then_does(host: Host, scratch: str) -> None:
    foreseen = bring(host, check=True, packages=["idna==3.7"])
    assert version(host, "alice", "scratch", "idna") == "3.6"
    done = bring(host, packages=["idna==3.7"])
    assert version(host, "alice", "scratch", "idna") == "3.7"
    assert foreseen["environments"] == done["environments"]
    assert foreseen["environments"][0]["packages"] == ["- idna==3.6", "+ idna==3.7"]
    assert not bring(host, packages=["idna==3.7"])["changed"]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"packages": ["idna==3.6", "haven-no-such-package"]}, "haven-no-such-package"),
        ({"packages": ["x @ https://hub.example.org/x-1-py3-none-any.whl"]}, "; hub.example.org answered 403 Forbidden, or"),
        ({"python": "3.99"}, "No interpreter found for Python 3.99"),
        ({"requirements": "idna==3.7 --hash=sha256:" + "0" * 64}, "Hash mismatch"),
        ({"installer": "pip", "packages": ["haven-no-such-package"]}, "haven-no-such-package"),
        ({"repository": {"url": "git://127.0.0.1/course", "version": "gone"}}, "has no branch or tag gone"),
    ],
)
def test_bad_input_is_one_message_and_the_old_environment_stays(
    host: Host, scratch: str, entry: dict[str, Any], message: str
) -> None:
    answer = bring(host, **entry)
    assert "environments" not in answer
    assert message in answer["msg"]
    assert "\n" not in answer["msg"]
    assert version(host, "alice", "scratch", "idna") == "3.6"


def test_what_the_user_added_stays_unless_the_list_is_exact(host: Host, scratch: str) -> None:
    with host.sudo("alice"):
        host.check_output("/opt/haven/uv/bin/uv pip install --offline --python %s/bin/python idna==3.6", scratch)
    bring(host, packages=["idna==3.6", "tomli"])
    assert not bring(host, packages=["idna==3.6"])["changed"]
    assert bring(host, packages=["idna==3.6"], exact=True)["environments"][0]["packages"][0].startswith("- tomli==")
    assert not bring(host, packages=["idna==3.6"], exact=True)["changed"]


def test_a_branch_is_followed(host: Host, scratch: str) -> None:
    repository = {"url": "git://127.0.0.1/course", "version": "next"}
    git = "git -C /srv/course -c user.name=x -c user.email=x@example.org"
    with host.sudo():
        host.check_output(f"{git} branch --force next v1")
    bring(host, repository=repository)
    assert not bring(host, repository=repository)["changed"]
    with host.sudo():
        for step in ("checkout -q next", "rm -q requirements.txt"):
            host.check_output(f"{git} {step}")
        host.check_output("sh -c 'echo idna==3.7 > /srv/course/requirements.txt'")
        for step in ("add requirements.txt", "commit -q -m two", "checkout -q main"):
            host.check_output(f"{git} {step}")
    assert bring(host, check=True, repository=repository)["environments"][0]["packages"] == [
        "- idna==3.6",
        "+ idna==3.7",
    ]
    assert bring(host, repository=repository)["changed"]
    assert version(host, "alice", "scratch", "idna") == "3.7"


def test_removal_takes_the_kernel_along(host: Host) -> None:
    bring(host, packages=["idna==3.6"], kernel=True)
    kernel = host.file("/home/alice/.local/share/jupyter/kernels/scratch/kernel.json")
    with host.sudo():
        assert kernel.exists
    assert bring(host, state="absent")["changed"]
    with host.sudo():
        assert not kernel.exists
        assert not host.file(f"{ALICE}/scratch").exists
    assert not bring(host, state="absent")["changed"]
