# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The inventories that users copy say what to change and how to find it, and hold nothing that a role refuses."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from tests import shipped

REPOSITORY = Path(__file__).parents[2]
FOLDERS = sorted(shipped.COPIED.values())
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
# What cannot be anybody's: reserved names and addresses, and the patterns of ids.
PLACEHOLDER = re.compile(r"\bexample\.|\.internal\b|AAAA\.\.\.|0123456789abcdef|\bpathology\b|!vault \.\.\.")


def text_of(folder: str) -> str:
    return (shipped.INVENTORIES / folder / "group_vars/all.yml").read_text()


def variables(folder: str) -> dict[str, Any]:
    return dict(yaml.safe_load(text_of(folder)))


def role_options(role: str) -> dict[str, Any]:
    specs = yaml.safe_load((REPOSITORY / "roles" / role / "meta/argument_specs.yml").read_text())
    return dict(specs["argument_specs"]["main"]["options"])


def refusals(spec: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    found: list[str] = ArgumentSpecValidator(dict(spec)).validate(dict(given)).error_messages
    return found


def test_the_documentation_tells_to_copy_these() -> None:
    readme = (REPOSITORY / "README.md").read_text()
    assert set(re.findall(r"cp -r \S+/inventories/(\w+)", readme)) == set(FOLDERS)


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_marked_line_says_how_to_find_its_value(folder: str) -> None:
    found = shipped.marks(text_of(folder))
    assert len({mark.key for mark in found}) == len(found) > 5
    assert [mark.key for mark in found if len(mark.how.split()) < 8] == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_what_must_be_changed_is_marked(folder: str) -> None:
    text = text_of(folder)
    marked = {mark.number for mark in shipped.marks(text)}
    lines = text.splitlines()
    values = [
        number for number, line in enumerate(lines) if PLACEHOLDER.search(line) and not re.match(r"\s*# \w+ ", line)
    ]
    assert [lines[number] for number in values if number not in marked] == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_nothing_of_the_mould_is_left_when_the_marked_lines_are_filled_in(folder: str) -> None:
    keys = [mark.key for mark in shipped.marks(text_of(folder))]
    filled = shipped.filled(text_of(folder), dict.fromkeys(keys, "FILLED"))
    assert filled.count("FILLED") == len(keys)
    assert set(yaml.safe_load(filled)) >= {key for key in keys if key.startswith("haven_")}
    values = [line for line in filled.splitlines() if not line.lstrip().startswith("#")]
    assert [line for line in values if PLACEHOLDER.search(line)] == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_roles_accept_it(folder: str) -> None:
    """Names of roles' variables, and what the playbook hands on to roles."""
    given = variables(folder)
    handed_on = {
        "egress": {"egress_proxy": given.get("haven_egress_proxy", {})},
        "jupyter": {"jupyter_users": given["haven_users"], "jupyter_secret": "x" * 16},
        "venv": {"venv_environments": given["haven_environments"]},
        "ssh_config": {},
    }
    own = {name: value for name, value in given.items() if not name.startswith(("haven_", "vault_"))}
    known: set[str] = set()
    for role, values in handed_on.items():
        options = role_options(role)
        known |= set(options) & set(own)
        settings = {name: value for name, value in own.items() if name in options}
        assert refusals(options, {**values, **settings}) == [], role
    assert set(own) - known == set()


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_playbooks_know_its_variables(folder: str) -> None:
    documented = (REPOSITORY / "docs/variables.md").read_text()
    assert {name for name in variables(folder) if name.startswith("haven_") and f"`{name}`" not in documented} == set()


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_repository_is_checked_out_where_the_notebook_shows_it(folder: str) -> None:
    """The notebook's first folder is the home of its user, as long as there is no data volume."""
    given = variables(folder)
    repositories = [each["repository"] for each in given["haven_environments"] if "repository" in each]
    assert "jupyter_data_volume" not in given
    assert [repository for repository in repositories if not repository.get("dest", "").startswith("~/")] == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("# change this: nothing below", "marks no value"),
        ("# change this: a list\n- one\n", "marks no value"),
        ("# change this: here\n\na: 1\n", "marks no value"),
        ("# change this: here\na: 1\n", "Marked, and without a value: ['a']"),
        ("# where there is one: here\n# a: 1\n\nb: 2\n", "Not marked: ['b']"),
    ],
)
def test_a_mistake_in_the_marks_is_said(text: str, said: str) -> None:
    with pytest.raises(shipped.MarkError, match=re.escape(said)):
        shipped.filled(text, {"b": "3"} if "b: 2" in text else {})


def test_what_does_not_apply_stays_commented_out() -> None:
    text = "# where there is one: here\n# a: 1\n\nb:\n  # change this: to 2\n  c: 1\n"
    assert yaml.safe_load(shipped.filled(text, {"c": "2"})) == {"b": {"c": 2}}
    assert yaml.safe_load(shipped.filled(text, {"a": "0", "c": "2"})) == {"a": 0, "b": {"c": 2}}


@pytest.mark.parametrize("command", [["ansible-inventory", "--list"], ["ansible-playbook", "haven.gpu.site"]], ids=str)
@pytest.mark.parametrize("folder", FOLDERS)
def test_the_last_line_of_a_copy_that_nobody_has_filled_in_says_what_is_missing(
    folder: str, command: list[str], tmp_path: Path
) -> None:
    """With no ansible.cfg but what README says to set."""
    home, mine = tmp_path / "home", tmp_path / "inventories/mine"
    home.mkdir()
    shutil.copytree(shipped.INVENTORIES / folder, mine)
    kept = ("PATH", "ANSIBLE_COLLECTIONS_PATH", "PYTHONPATH")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    environment |= {"HOME": str(home), "LC_ALL": "C.UTF-8", "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "1"}
    done = subprocess.run(
        [*command, "-i", str(mine)], cwd=tmp_path, env=environment, check=False, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert done.returncode != 0
    last = done.stdout.strip().rpartition("\n[")[2]
    assert last.startswith("ERROR]: haven.gpu.instances: The host_key of hop 1 is not"), done.stdout[-2000:]


def reads(inventory: Path, home: Path) -> subprocess.CompletedProcess[str]:
    """What Ansible says of a folder if it may ignore no file in it. No cloud is asked."""
    (inventory / "haven.yml").write_text("all: {hosts: {one: {}}}\n")
    home.mkdir(exist_ok=True)
    return subprocess.run(
        ["ansible-inventory", "--list", "-i", str(inventory)], capture_output=True, text=True, check=False,
        env={**os.environ, "HOME": str(home), "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "1"}, cwd=home,
    )  # fmt: skip


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_file_that_a_line_names_is_where_ansible_does_not_read_an_inventory(folder: str, tmp_path: Path) -> None:
    """A folder of an inventory is read with all that is in it, and a certificate or a key is no inventory."""
    home, mine = tmp_path / "home", tmp_path / "mine"
    shutil.copytree(shipped.INVENTORIES / folder, mine)
    named = re.findall(r"""(?:\bca: |\bkey: |lookup\('ansible.builtin.file', ')([^\s,}']+)""", text_of(folder))
    assert named
    for path in named:
        # Ansible looks up a relative one in many places. The worst is beside the inventory.
        file = Path(path.replace("~", str(home), 1)) if path.startswith("~") else mine / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(CERTIFICATE)
    done = reads(mine, home)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr


def test_a_certificate_beside_the_inventory_would_be_read_as_one(tmp_path: Path) -> None:
    (tmp_path / "mine" / "files").mkdir(parents=True)
    (tmp_path / "mine" / "files" / "proxy-ca.pem").write_text(CERTIFICATE)
    done = reads(tmp_path / "mine", tmp_path / "home")
    assert done.returncode != 0
    assert "files/proxy-ca.pem" in done.stderr
