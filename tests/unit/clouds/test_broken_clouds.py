# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The contract fails for a cloud that breaks it: each of its tests notices at least one such fault."""

from __future__ import annotations

import dataclasses
import inspect
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.haven.gpu.plugins.module_utils._errors import CloudFailure, HavenError
from ansible_collections.haven.gpu.plugins.module_utils._models import Change, Instance, Resource, Rule
from tests.clouds import MEMORY, memory_cloud
from tests.clouds.contract import Contract, check_package, check_verbs
from tests.clouds.world import MemoryWorld

memory_cloud()
from ansible_collections.haven.gpu.plugins.module_utils._clouds.memory import adapter, shapes  # noqa: E402
from ansible_collections.haven.gpu.plugins.module_utils._clouds.memory.account import Account  # noqa: E402
from ansible_collections.haven.gpu.plugins.module_utils._clouds.memory.adapter import Memory  # noqa: E402

BROKEN = (AssertionError, pytest.fail.Exception, HavenError, OSError, LookupError)
whole = SimpleNamespace(
    **{name: getattr(Memory, name) for name, _verb in inspect.getmembers(Memory, inspect.isfunction)},
    account_create=Account.create,
    wanted=shapes.wanted,
    instance=shapes.instance,
)


def of_everybody(self: Memory, _project: Any = None, names: Iterable[str] = (), **more: Any) -> list[Instance]:
    """Whatever has the name."""
    wanted = set(names)
    found = [each for each in self._listed({}) if not wanted or each.name in wanted]
    return [each for each in found if not more.get("states") or each.state in more["states"]]


def of_projects_that_begin_so(self: Memory, project: Any = None, names: Iterable[str] = (), **more: Any) -> Any:
    found = whole.instances(self, None, names, **more)
    return [each for each in found if each.project.startswith(project or "")]


def by_part_of_a_name(self: Memory, project: Any = None, names: Iterable[str] = (), **more: Any) -> list[Instance]:
    found = whole.instances(self, project, (), **more)
    return [each for each in found if not names or any(name in each.name for name in names)]


def in_any_state(self: Memory, project: Any = None, names: Iterable[str] = (), **more: Any) -> list[Instance]:
    return list(whole.instances(self, project, names, **{**more, "states": ()}))


def without_details(self: Memory, project: Any = None, names: Iterable[str] = (), **more: Any) -> list[Instance]:
    return list(whole.instances(self, project, names, **{**more, "details": False}))


def all_there_are(self: Memory, _ids: Sequence[str]) -> dict[str, Instance]:
    return {each.id: each for each in self._listed({})}


def sorted_out_of_all(self: Memory, ids: Sequence[str]) -> dict[str, Instance]:
    return {each.id: each for each in self._listed({}) if each.id in ids}


def first_known(self: Memory, ids: Sequence[str]) -> dict[str, Instance]:
    """Whoever is asked for, somebody answers."""
    found = whole.refresh(self, ids)
    return {each: next(iter(found.values())) for each in ids} if found else {}


def removes(self: Memory, instance: Instance, wanted: str) -> HavenError:
    self.terminate([instance.id])
    return CloudFailure(wanted)


def all_of_the_project(self: Memory, ids: Sequence[str]) -> None:
    projects = {each.project for each in whole.refresh(self, ids).values()}
    for project in projects:
        whole.terminate(self, [each.id for each in self.instances(project)])


def only_what_is_there(self: Memory, ids: Sequence[str]) -> None:
    self._act("terminate", ids)


def by_its_name(self: Memory, resource: Resource) -> None:
    with adapter._errors():
        for each in self._account.listed(f"{resource.kind}s", self.region, {"Name": resource.name}):
            self._account.delete(f"{resource.kind}s", each["id"])


def replaced(self: Account, machine_id: str, tags: Mapping[str, Any]) -> None:
    with self.call("tag") as state:
        state["machines"][machine_id]["tags"] = {key: value for key, value in tags.items() if value}


def with_a_token_of_its_own(spec: Any, generation: int) -> str:
    return f"{spec.name}{generation}{secrets.token_hex(8)}"


def forgetful(self: Account, region: str, _token: str, *wanted: Any) -> Any:
    return whole.account_create(self, region, secrets.token_hex(8), *wanted)


def by_its_name_alone(self: Memory, kind: str, project: str, name: str) -> Any:
    items = self._account.listed(kind, self.region, {})
    marked = [each for each in items if each["name"] == shapes.scoped(project, name)]
    return next(({**each, "tags": {"haven:project": project, "Name": name}} for each in marked), None)


def once_only(self: Memory, kind: str, project: str, name: str, **values: Any) -> Any:
    item = {"name": shapes.scoped(project, name), "tags": {"haven:project": project, "Name": name}, **values}
    return self._account.add(kind, self.region, item)


def open_at_first(self: Memory, spec: Any) -> Any:
    made = whole.create_firewall(self, spec)
    self.open_firewall(made, [Rule("in", "all", -1, -1, "0.0.0.0/0")])
    return self.firewall(spec.project, spec.name, None)


def whoever_made_it(self: Memory, project: str, names: Iterable[str], _subnet: str | None = None) -> dict[str, str]:
    items = self._account.listed("firewalls", self.region, {})
    return {name: each["id"] for each in items for name in names if each["name"].endswith(f"/{name}")}


def all_but_the_new_ones(self: Memory, firewall: Any, rules: Sequence[Rule]) -> None:
    self._account.set_rules(firewall.id, [shapes.rule(each) for each in rules], map(shapes.rule, firewall.rules))


def swallowed(self: Memory, instance: Instance, change: Change) -> None:
    """Whatever it was."""


def unprotected(self: Memory, ids: Sequence[str]) -> None:
    for each in ids:
        if whole.refresh(self, [each]):
            self._account.change(each, protected=False)
    whole.terminate(self, ids)


def with_its_disk_first(self: Memory, spec: Any, image: Any, generation: int) -> Any:
    disk = {"name": secrets.token_hex(4), "machine": None, "tags": {"haven:project": spec.project, "Name": spec.name}}
    self._account.add("disks", self.region, disk)
    return whole.create(self, spec, image, generation)


def unmarked(*asked: Any) -> dict[str, Any]:
    return {**whole.wanted(*asked), "tags": dict(asked[0].tags)}


def of_another_image(*asked: Any) -> Any:
    return dataclasses.replace(whole.instance(*asked), image="image-9")


def without_its_tags(*asked: Any) -> Any:
    found = whole.instance(*asked)
    return dataclasses.replace(found, tags={**found.tags, "team": ""})


def without_sizes(self: Memory, instances: Sequence[Instance]) -> list[Instance]:
    return list(instances)


def as_it_comes(self: Account) -> Any:
    return open(self._file, "a+", encoding="utf-8")


def of_the_whole_project(self: Memory, project: str, _names: Iterable[str]) -> list[Resource]:
    return list(self._resources("volume", project))


def nothing(self: Memory, _project: str, _names: Iterable[str]) -> list[Resource]:
    return []


def kept(self: Memory, resource: Resource) -> None:
    """It says that it is removed."""


def but_for_user_data(self: Memory, instances: Sequence[Instance], names: Iterable[str]) -> list[Instance]:
    return list(whole.with_attributes(self, instances, set(names) - {"user_data"}))


def without_its_key(*asked: Any) -> Any:
    return dataclasses.replace(whole.instance(*asked), key_pair=None)


def all_but_its_disks(self: Account, region: str, token: str, wanted: Any, disks: Sequence[Any]) -> Any:
    return whole.account_create(self, region, token, wanted, disks[:1])


# What is broken, by what, and which test has to notice.
Fault = tuple[Any, str, Callable[..., Any], str]
FAULTS: list[Fault] = [
    (Memory, "instances", of_everybody, "test_a_machine_without_our_mark_is_not_ours"),
    (shapes, "wanted", unmarked, "test_what_is_made_is_found_as_it_was_asked_for"),
    (shapes, "instance", of_another_image, "test_what_is_made_is_found_as_it_was_asked_for"),
    (shapes, "instance", without_its_tags, "test_asking_again_for_what_is_there_changes_nothing"),
    (Memory, "instances", of_projects_that_begin_so, "test_projects_are_told_apart"),
    (Memory, "instances", by_part_of_a_name, "test_names_are_taken_literally"),
    (Memory, "instances", in_any_state, "test_states_are_those_that_were_asked_for"),
    (Memory, "instances", without_details, "test_a_listing_says_all_that_the_cloud_said_when_it_is_asked_to"),
    (Memory, "with_volumes", without_sizes, "test_a_root_disk_has_a_size"),
    (Memory, "refresh", all_there_are, "test_only_what_was_asked_for_by_id_is_listed"),
    (Memory, "refresh", sorted_out_of_all, "test_only_what_was_asked_for_by_id_is_listed"),
    (Memory, "refresh", first_known, "test_only_what_was_asked_for_by_id_is_listed"),
    (Memory, "instances", lambda *dummy, **more: [], "test_an_instance_is_addressed_by_its_id"),
    (Memory, "failure", removes, "test_what_asks_changes_nothing"),
    (shapes, "token", with_a_token_of_its_own, "test_two_controllers_make_one_machine"),
    (Account, "create", forgetful, "test_a_lost_answer_makes_no_second_machine"),
    (Account, "tag", replaced, "test_tags_are_set_and_taken_away_one_by_one"),
    (Memory, "terminate", unprotected, "test_power_and_size_change_as_asked"),
    (Memory, "update", swallowed, "test_power_and_size_change_as_asked"),
    (Memory, "update", swallowed, "test_what_cannot_be_changed_is_refused_as_such"),
    (Memory, "leftovers", of_the_whole_project, "test_a_machine_has_what_it_was_made_with"),
    (Memory, "leftovers", nothing, "test_a_machine_has_what_it_was_made_with"),
    (Memory, "remove", kept, "test_a_machine_has_what_it_was_made_with"),
    (Memory, "with_attributes", but_for_user_data, "test_a_machine_has_what_it_was_made_with"),
    (Memory, "update", swallowed, "test_a_machine_has_what_it_was_made_with"),
    (shapes, "instance", without_its_key, "test_a_machine_has_what_it_was_made_with"),
    (Account, "create", all_but_its_disks, "test_a_machine_has_what_it_was_made_with"),
    (Memory, "terminate", all_of_the_project, "test_only_what_was_named_is_removed"),
    (Memory, "terminate", only_what_is_there, "test_only_what_was_named_is_removed"),
    (Memory, "remove", by_its_name, "test_only_what_was_named_is_removed"),
    (Memory, "_added", once_only, "test_a_key_pair_is_imported_once_and_is_the_projects"),
    (Memory, "_ours", by_its_name_alone, "test_a_strangers_key_pair_is_left_alone"),
    (Memory, "create_firewall", open_at_first, "test_a_firewall_is_closed_until_it_is_opened"),
    (Memory, "open_firewall", all_but_the_new_ones, "test_a_firewall_is_closed_until_it_is_opened"),
    (Memory, "firewall_ids", whoever_made_it, "test_a_firewall_is_closed_until_it_is_opened"),
    (Memory, "_ours", by_its_name_alone, "test_a_strangers_firewall_is_left_alone"),
    (Memory, "firewall_ids", whoever_made_it, "test_a_strangers_firewall_is_left_alone"),
    (Account, "_file_or_silence", as_it_comes, "test_what_goes_wrong_is_said_in_our_words"),
    (Memory, "create", with_its_disk_first, "test_a_creation_that_is_refused_leaves_nothing"),
]
TESTS = [name for name, _test in inspect.getmembers(Contract, inspect.isfunction) if name.startswith("test_")]


@pytest.mark.parametrize("broken", FAULTS, ids=lambda broken: f"{broken[1]}-{broken[2].__name__}-{broken[3]}")
def test_the_contract_notices(broken: Fault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, name, fault, test = broken
    world = MemoryWorld(tmp_path)
    parameters = inspect.signature(getattr(Contract, test)).parameters
    given: dict[str, Any] = {"world": world, "monkeypatch": monkeypatch}
    monkeypatch.setattr(owner, name, fault)
    if owner is Memory:
        # What is looked at was made well.
        with monkeypatch.context() as mended:
            mended.setattr(owner, name, getattr(whole, name))
            given["machine"] = world.made(world.spec(world.project(), tags={"team": "cells & tissues"}))
    with pytest.raises(BROKEN):  # noqa: PT012
        if "machine" in parameters and "machine" not in given:
            given["machine"] = world.made(world.spec(world.project(), tags={"team": "cells & tissues"}))
        getattr(Contract(), test)(**{each: given[each] for each in parameters if each != "self"})


def test_every_part_of_the_contract_has_been_broken() -> None:
    assert {test for _owner, _name, _fault, test in FAULTS} == set(TESTS)


def test_a_verb_that_is_missing_or_takes_something_else_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    check_verbs(Memory)
    monkeypatch.setattr(Memory, "refresh", lambda self, names: {})
    with pytest.raises(AssertionError):
        check_verbs(Memory)
    monkeypatch.setattr(Memory, "refresh", None)
    with pytest.raises(AssertionError):
        check_verbs(Memory)


@pytest.mark.parametrize(
    "change", [{"NAME": "other"}, {"INSTANCE": {}}, {"CONNECTION": {"file": {"type": "path"}, "region": {}}}]
)
def test_a_folder_that_contradicts_itself_is_noticed(change: dict[str, Any]) -> None:
    package = memory_cloud()
    said = {
        name: getattr(package, name) for name in ("NAME", "CONNECTION", "INSTANCE", "TRAITS", "ENVIRONMENT", "FILES")
    }
    with pytest.raises(AssertionError):
        check_package(SimpleNamespace(**{**said, **change}), MEMORY)
