# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The file of the variables says what the playbooks do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.haven.gpu.plugins.module_utils._models import Instance
from ansible_collections.haven.gpu.plugins.plugin_utils._hosts.variables import groupvars, hostvars
from ansible_collections.haven.gpu.plugins.plugin_utils._names import arguments
from ansible_collections.haven.gpu.plugins.plugin_utils._settings import FALLBACKS, settings_from

PLAYBOOKS = Path(__file__).parents[4] / "playbooks"
# They check their variables in check.yml, with everything else.
CHECKED = {"check", "site", "provision"}
NAMES = [path.stem for path in PLAYBOOKS.glob("*.yml") if path.stem not in ("arguments", "listed", "power", "work")]


def read_by(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w.])haven_[a-z0-9_]+", text))


@pytest.mark.parametrize("name", NAMES)
def test_every_playbook_checks_its_variables_before_anything_else(name: str) -> None:
    first = yaml.safe_load((PLAYBOOKS / f"{name}.yml").read_text())[0]
    if name != "check":
        shared = "check.yml" if name in CHECKED else "arguments.yml"
        assert first["ansible.builtin.import_playbook"] == shared
    assert first["vars"]["__haven_playbook"] == name


@pytest.mark.parametrize("path", sorted(PLAYBOOKS.glob("*.yml")), ids=lambda path: path.stem)
def test_no_variable_of_a_play_is_in_its_files_of_variables_too(path: Path) -> None:
    """Those of the files would silently win."""
    for play in yaml.safe_load(path.read_text()):
        files = play.get("vars_files") or []
        for name in [files] if isinstance(files, str) else files:
            assert not play.get("vars", {}).keys() & yaml.safe_load((PLAYBOOKS / name).read_text()).keys()


def test_what_checks_the_variables_reads_their_specification_first() -> None:
    task = yaml.safe_load((PLAYBOOKS / "tasks/check.yml").read_text())[0]["block"][0]
    assert "ansible.builtin.validate_argument_spec" in task


def test_every_variable_of_the_playbooks_is_described_and_every_described_one_is_used() -> None:
    texts = [path for path in PLAYBOOKS.rglob("*.yml") if path.parent.name != "vars" or path.stem != "arguments"]
    used = set().union(*(read_by(path.read_text()) for path in texts))
    known = {*arguments.variables(), *arguments.host_variables()}
    assert sorted(used - known) == []
    by_plugins = {*FALLBACKS.values(), "haven_own_variables", "haven_progress"}
    assert sorted(arguments.variables().keys() - used - by_plugins) == []


def test_the_variables_of_hosts_are_those_that_the_inventory_sets() -> None:
    instance = Instance("i-1", "demo", "p", "ec2", "r", "running")
    settings = settings_from({"cloud": "ec2", "projects": "p", "hostvars": "full", "host_key_authority": None})
    given = {**hostvars(instance, settings), **groupvars(settings, "config")}
    assert {name for name in given if name.startswith("haven_")} <= arguments.host_variables()


def test_every_option_of_an_instance_is_handed_on() -> None:
    text = (PLAYBOOKS / "provision.yml").read_text()
    assert sorted(arguments.instances().keys() - set(re.findall(r"__haven_wanted\.(\w+)", text))) == []


def test_no_playbook_is_named_that_is_not_there() -> None:
    for about in arguments.variables().values():
        assert {*about.get("needed_by", []), *about.get("used_by", [])} <= {*NAMES, "all"}


def test_a_playbook_that_does_not_read_the_users_does_not_evaluate_their_passwords() -> None:
    assert "haven_users" in arguments.playbook("site")
    assert not {"haven_users", "haven_secret", "haven_egress_proxy"} & arguments.playbook("stop").keys()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"haven_cloud": "ec3"}, "ec2"),
        ({"haven_hops": [{"user": "x"}]}, "one of the following is required"),
        ({"haven_hops": [{"host": "x", "port": "ssh"}]}, "port"),
        ({"haven_instances": [{"image": {"id": "x"}}]}, "name"),
        ({"haven_instances": [{"name": "a", "state": "there"}]}, "rebuilt"),
        ({"haven_users": [{"name": "alice", "port": "eight"}]}, "port"),
        ({"haven_environments": [{"name": "x"}]}, "user"),
        ({"haven_tensorboard": "perhaps"}, "haven_tensorboard"),
    ],
    ids=str,
)
def test_a_value_of_a_wrong_type_is_named(given: dict[str, object], said: str) -> None:
    right = {
        "haven_project": "p",
        "haven_cloud": "ec2",
        "haven_instances": [{"name": "a"}],
        "haven_users": [{"name": "alice", "password": {"not": "canary"}}],
    }
    validator = ArgumentSpecValidator(arguments.playbook("site"))
    assert validator.validate(right).error_messages == []
    messages = validator.validate({**right, **given}).error_messages
    assert said in " ".join(messages)
    assert "canary" not in " ".join(messages)
