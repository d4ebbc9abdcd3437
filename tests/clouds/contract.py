# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the Protocol in _cloud.py promises, as tests that every cloud must pass.

A test file of a cloud has a subclass of Contract and a fixture ``world``. Machines cost time on some clouds: what only
looks at one shares ``machine``.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.haven.gpu.plugins.module_utils import _retry
from ansible_collections.haven.gpu.plugins.module_utils._cloud import Cloud, CloudPackage
from ansible_collections.haven.gpu.plugins.module_utils._errors import (
    HavenError,
    InvalidRequest,
    LostAnswer,
    NotFound,
    Refused,
    Unreachable,
)
from ansible_collections.haven.gpu.plugins.module_utils._models import (
    STATES,
    Change,
    Firewall,
    FirewallSpec,
    ImageChoice,
    Instance,
    KeyPairSpec,
    Resource,
    Rule,
    Spec,
    Traits,
    VolumeSpec,
)
from ansible_collections.haven.gpu.plugins.module_utils._ownership import TAG_GENERATION, TAG_PROJECT

from .world import PUBLIC_KEY, World

SSH = Rule("in", "tcp", 22, 22, "192.0.2.0/24")
WEB = Rule("in", "tcp", 80, 90, "192.0.2.7/32")
TAG = {"team": "cells & tissues"}


def check_package(package: CloudPackage, folder: Path) -> None:
    """What the registry, the documentation and the inventory take from a cloud's folder."""
    assert folder.name == package.NAME
    assert isinstance(package.TRAITS, Traits)
    assert all(isinstance(each, str) and each for each in package.ENVIRONMENT)
    assert all(len(each) == 2 for each in package.FILES)
    about = yaml.safe_load((folder / "documentation.yml").read_text())
    assert about.keys() == {
        "title",
        "requirement",
        "sdk",
        "connection",
        "instances",
        "inventory",
        "variable",
        "stopped",
    }
    for spec, documented in (
        (package.CONNECTION, about["connection"]["suboptions"]),
        (package.INSTANCE, about["instances"]),
    ):
        assert spec.keys() == documented.keys()
        for name, option in spec.items():
            for fact in ("type", "elements", "default", "choices"):
                assert option.get(fact) == documented[name].get(fact), (name, fact)
    assert package.TRAITS.changeable <= package.INSTANCE.keys() | {"public_address"}
    assert package.TRAITS.unsupported.keys() <= {each.name for each in dataclasses.fields(Spec)}


def check_verbs(adapter: type) -> None:
    """An adapter has the verbs of the Protocol, with the parameters that callers give."""
    for name, promised in inspect.getmembers(Cloud, inspect.isfunction):
        if name.startswith("_"):
            continue
        verb = getattr(adapter, name, None)
        assert callable(verb), name
        wanted, known = inspect.signature(promised).parameters, inspect.signature(verb).parameters
        shapes = [[(each.name, each.kind, each.default) for each in one.values()] for one in (wanted, known)]
        assert shapes[0] == shapes[1], name


class Contract:
    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, world: World) -> Instance:
        """One that all tests may look at and none may change."""
        return world.made(world.spec(world.project(), tags=TAG))

    # -- making and finding

    def test_what_is_made_is_found_as_it_was_asked_for(self, world: World, machine: Instance) -> None:
        for found in (machine, *world.living(machine.project)):
            assert (found.name, found.project) == ("one", machine.project)
            assert (found.cloud, found.region) == (world.package.NAME, world.cloud().region)
            assert found.state == "running"
            assert found.instance_type == world.instance_type
            assert found.image == world.found(world.spec(machine.project)).id
            assert TAG.items() <= found.tags.items()
            assert (found.tags[TAG_PROJECT], found.tags[TAG_GENERATION]) == (machine.project, "1")
            assert found.private_address
            time.strptime(found.launched_at or "", "%Y-%m-%dT%H:%M:%SZ")
            assert found.launched_at != ""
        assert [each.id for each in world.living(machine.project)] == [machine.id]

    def test_asking_again_for_what_is_there_changes_nothing(self, world: World, machine: Instance) -> None:
        began = world.now()
        again = world.converge(world.spec(machine.project, tags=TAG))
        assert not again.changed, again.diff
        assert [each.id for each in again.instances] == [machine.id]
        assert world.written(began) == []

    def test_what_asks_changes_nothing(self, world: World, machine: Instance) -> None:
        cloud, began = world.cloud(), world.now()
        assert cloud.region in cloud.regions()
        assert cloud.in_region(cloud.region).region == cloud.region
        assert cloud.instances(machine.project, ["one"], states=STATES, details=True)
        assert cloud.refresh([machine.id])
        (detailed,) = cloud.with_volumes([machine])
        asked = ["termination_protection", "user_data", "firewall_ids"]
        assert [each.id for each in cloud.with_attributes([detailed], asked)] == [machine.id]
        cloud.gpu(world.instance_type)
        assert isinstance(cloud.console(machine), str)
        assert isinstance(cloud.failure(machine, "running"), HavenError)
        cloud.leftovers(machine.project, ["one"])
        cloud.resources(machine.project)
        assert cloud.key_pair(machine.project, "none") is None
        assert cloud.firewall(machine.project, "none", None) is None
        assert cloud.firewall_ids(machine.project, ["none"]) == {}
        assert world.written(began) == []
        assert [each.id for each in world.living(machine.project)] == [machine.id]

    def test_a_listing_says_all_that_the_cloud_said_when_it_is_asked_to(self, world: World, machine: Instance) -> None:
        (bare,) = world.cloud().instances(machine.project)
        (full,) = world.cloud().instances(machine.project, details=True)
        assert not bare.details
        assert machine.id in json.dumps(full.details)

    def test_states_are_those_that_were_asked_for(self, world: World, machine: Instance) -> None:
        assert world.cloud().instances(machine.project, states=["stopped", "terminated"]) == []
        assert [each.id for each in world.cloud().instances(machine.project, states=["running"])] == [machine.id]

    def test_names_are_taken_literally(self, world: World, machine: Instance) -> None:
        cloud = world.cloud()
        for pattern in ("o.e", "on", "o*", "*", "one|two", "(one)"):
            assert cloud.instances(machine.project, [pattern]) == [], pattern
        assert [each.id for each in cloud.instances(machine.project, ["one", "two"])] == [machine.id]

    def test_a_root_disk_has_a_size(self, world: World, machine: Instance) -> None:
        (detailed,) = world.cloud().with_volumes([machine])
        assert all(each.size_gib for each in detailed.volumes)
        assert len({each.id for each in detailed.volumes}) == len(detailed.volumes)

    # -- ids

    def test_only_what_was_asked_for_by_id_is_listed(self, world: World, machine: Instance) -> None:
        began = world.now()
        cloud = world.cloud()
        assert cloud.refresh([]) == {}
        assert cloud.refresh([world.unknown_id]) == {}
        assert cloud.refresh([world.unknown_id, machine.id]).keys() == {machine.id}
        assert cloud.refresh([machine.id])[machine.id].name == "one"
        assert world.unbounded(began) == []

    def test_an_instance_is_addressed_by_its_id(self, world: World, machine: Instance) -> None:
        same = world.converge(Spec(machine.project, "", id=machine.id, state="running"))
        assert not same.changed
        assert [each.id for each in same.instances] == [machine.id]
        with pytest.raises(NotFound):
            world.converge(Spec(machine.project, "", id=world.unknown_id, state="running"))

    # -- marks

    def test_a_machine_without_our_mark_is_not_ours(self, world: World) -> None:
        project = world.project()
        theirs = world.stranger("machine", project, "one")
        assert world.living(project) == []
        assert world.cloud().resources(project) == []
        assert theirs not in [each.id for each in world.cloud().instances()]
        gone = world.converge(world.spec(project, state="absent", delete_volumes=True))
        assert not gone.changed
        assert world.has("machine", theirs)

    def test_projects_are_told_apart(self, world: World, machine: Instance) -> None:
        for other in (machine.project[:-1], f"{machine.project}x", "*"):
            assert world.living(other) == [], other
            assert world.cloud().resources(other) == [], other
            assert world.cloud().leftovers(other, ["one"]) == [], other
        assert machine.id in [each.id for each in world.cloud().instances()]

    # -- one machine, whatever happens

    def test_a_lost_answer_makes_no_second_machine(self, world: World) -> None:
        spec = world.spec(world.project())
        world.lose_an_answer()
        try:
            first = world.made(spec)
        except LostAnswer:
            first = world.made(spec)
        assert [each.id for each in world.living(spec.project)] == [first.id]
        # The name is free again when it is gone, although its token is spent.
        assert world.converge(dataclasses.replace(spec, state="absent")).changed
        assert world.living(spec.project) == []
        second = world.made(spec)
        assert second.id != first.id
        assert [each.id for each in world.living(spec.project)] == [second.id]

    def test_two_controllers_make_one_machine(self, world: World) -> None:
        spec = world.spec(world.project(), record_host_key=False)
        image = world.found(spec)
        controllers = [world.cloud(), world.cloud()]
        made = [cloud.create(spec, image, 1) for cloud in controllers]
        settled = [cloud.settle([each]) for cloud, each in zip(controllers, made)]
        assert settled[0][0].id == settled[1][0].id
        self._eventually(lambda: [each.id for each in world.living(spec.project)] == [settled[0][0].id])

    # -- changing

    def test_tags_are_set_and_taken_away_one_by_one(self, world: World, machine: Instance) -> None:
        world.cloud().instances(machine.project)
        cloud = world.cloud()
        cloud.refresh([machine.id])
        cloud.tag([machine.id], {"a b": "1", "colon:ed": "ä"})
        tags = dict(world.living(machine.project)[0].tags)
        assert {"a b": "1", "colon:ed": "ä"}.items() <= tags.items()
        cloud.untag([machine.id], ["a b", "colon:ed", "never"])
        after = dict(world.living(machine.project)[0].tags)
        assert tags.keys() - after.keys() == {"a b", "colon:ed"}
        assert after.items() <= tags.items()

    def test_power_and_size_change_as_asked(self, world: World) -> None:
        spec = world.spec(world.project(), record_host_key=False)
        first = world.made(spec)
        (stopped,) = world.converge(dataclasses.replace(spec, state="stopped")).instances
        assert (stopped.id, stopped.state) == (first.id, "stopped")
        assert not world.converge(dataclasses.replace(spec, state="stopped")).changed
        larger = dataclasses.replace(spec, state="stopped", instance_type=world.other_type)
        assert world.converge(larger).changed
        assert not world.converge(larger).changed
        spec = dataclasses.replace(spec, instance_type=world.other_type)
        (started,) = world.converge(dataclasses.replace(spec, state="running")).instances
        assert (started.id, started.state, started.instance_type) == (first.id, "running", world.other_type)
        protected = dataclasses.replace(spec, termination_protection=True)
        assert world.converge(protected).changed
        assert not world.converge(protected).changed
        with pytest.raises(Refused):
            world.converge(dataclasses.replace(spec, state="absent", termination_protection=None))
        assert [each.id for each in world.living(spec.project)] == [first.id]
        assert world.converge(dataclasses.replace(spec, state="absent", termination_protection=False)).changed
        assert world.living(spec.project) == []

    def test_what_cannot_be_changed_is_refused_as_such(self, world: World, machine: Instance) -> None:
        for change in (Change("update", "subnet", None, "x"), Change("update", "option", None, "x", option="never")):
            began = world.now()
            with pytest.raises(InvalidRequest):
                world.cloud().update(machine, change)
            assert world.written(began) == []

    def test_a_machine_has_what_it_was_made_with(self, world: World) -> None:
        project = world.project()
        firewalls = [world.cloud().create_firewall(FirewallSpec(project, name)) for name in ("web", "more")]
        world.cloud().import_key_pair(KeyPairSpec(project, "alice", public_key=PUBLIC_KEY))
        disk = VolumeSpec(device="/dev/sdf", size_gib=1)
        whole: dict[str, Any] = {
            "firewalls": ("web",),
            "key_pair": "alice",
            "data_volumes": (disk,),
            "user_data": "#!/bin/sh\ntrue\n",
        }
        spec = world.spec(project, **whole)
        made = world.made(spec)
        assert made.key_pair == "alice"
        assert not world.converge(spec).changed
        (attributed,) = world.cloud().with_attributes(world.living(project), ["firewall_ids"])
        assert set(attributed.firewall_ids) == {firewalls[0].id}
        # What differs is seen.
        with pytest.raises(Refused):
            world.converge(dataclasses.replace(spec, user_data="#!/bin/sh\nfalse\n"))
        larger = dataclasses.replace(spec, data_volumes=(dataclasses.replace(disk, size_gib=2),), firewalls=("more",))
        (changed,) = world.converge(larger).instances
        assert changed.id == made.id
        assert not world.converge(larger).changed
        (attributed,) = world.cloud().with_attributes(world.living(project), ["firewall_ids"])
        assert set(attributed.firewall_ids) == {firewalls[1].id}
        (data,) = [each for each in changed.volumes if not each.root]
        assert (data.size_gib, data.delete_with_instance) == (2, False)
        # The disk outlives it, and goes when it is named.
        assert world.converge(dataclasses.replace(spec, state="absent")).changed
        assert [each.id for each in world.cloud().leftovers(project, ["one"])] == [data.id]
        assert world.cloud().leftovers(project, ["on", "one.more"]) == []
        gone = dataclasses.replace(spec, state="absent", delete_volumes=True)
        assert world.converge(gone).changed
        assert not world.converge(gone).changed
        kinds = [each.kind for each in world.cloud().resources(project)]
        assert sorted(kinds) == ["firewall", "firewall", "key_pair"]

    # -- removing

    def test_only_what_was_named_is_removed(self, world: World) -> None:
        project, neighbour = world.project(), world.project()
        names = ("one", "one.more")
        specs = [world.spec(project, name, record_host_key=False) for name in names]
        doomed, kept = world.converge(*specs).instances
        pairs = {
            each: world.cloud().import_key_pair(KeyPairSpec(each, "key", public_key=PUBLIC_KEY))
            for each in (project, neighbour)
        }
        world.cloud().terminate([doomed.id])
        world.until("terminated", doomed)
        # Gone, or unknown: no error.
        world.cloud().terminate([doomed.id])
        world.cloud().terminate([world.unknown_id])
        assert [each.id for each in world.living(project)] == [kept.id]
        world.cloud().discard(doomed)
        world.cloud().remove(Resource("key_pair", pairs[project].id, "key", ""))
        world.cloud().remove(Resource("key_pair", pairs[project].id, "key", ""))
        assert [each.id for each in world.living(project)] == [kept.id]
        kinds = [each.kind for each in world.cloud().resources(project)]
        assert "instance" in kinds
        assert "key_pair" not in kinds
        assert world.cloud().key_pair(neighbour, "key")

    # -- who may come in

    def test_a_key_pair_is_imported_once_and_is_the_projects(self, world: World) -> None:
        cloud, project = world.cloud(), world.project()
        spec = KeyPairSpec(project, "alice", public_key=PUBLIC_KEY)
        made = cloud.import_key_pair(spec)
        again = world.cloud().import_key_pair(spec)
        found = world.cloud().key_pair(project, "alice")
        assert found
        assert {made.id, again.id} == {found.id}
        assert found.public_key.split()[:2] == PUBLIC_KEY.split()
        assert (found.name, found.project) == ("alice", project)
        assert world.cloud().key_pair(world.project(), "alice") is None
        listed = [(each.kind, each.id, each.name) for each in world.cloud().resources(project)]
        assert listed == [("key_pair", found.id, "alice")]

    def test_a_strangers_key_pair_is_left_alone(self, world: World) -> None:
        project = world.project()
        theirs = world.stranger("key_pair", project, "alice")
        with pytest.raises(Refused):
            world.cloud().key_pair(project, "alice")
        with pytest.raises(Refused):
            world.cloud().import_key_pair(KeyPairSpec(project, "alice", public_key=PUBLIC_KEY))
        assert world.cloud().resources(project) == []
        assert world.has("key_pair", theirs)

    def test_a_firewall_is_closed_until_it_is_opened(self, world: World) -> None:
        project = world.project()
        spec = FirewallSpec(project, "web", description="for tests")
        made = world.cloud().create_firewall(spec)
        assert world.cloud().create_firewall(spec).id == made.id
        assert self._incoming(world, project) == set()
        found = self._firewall(world, project)
        assert (found.id, found.name, found.project) == (made.id, "web", project)
        assert found.description == "for tests"
        assert any(rule.direction == "out" for rule in found.rules)
        # What is open already is no error, nor what is closed.
        for rules in ([SSH, WEB], [WEB]):
            cloud = world.cloud()
            cloud.open_firewall(self._firewall(world, project, cloud), rules)
            assert self._incoming(world, project) == {SSH, WEB}
        for _twice in range(2):
            cloud = world.cloud()
            cloud.close_firewall(self._firewall(world, project, cloud), [WEB])
            assert self._incoming(world, project) == {SSH}
        # Instances without a subnet of their own can use it.
        assert getattr(world.cloud().firewall(project, "web", cloud.network_of(None)), "id", None) == made.id
        assert world.cloud().firewall_ids(project, ["web"], None) == {"web": made.id}
        names = world.cloud().firewall_ids(project, ["web", made.id, "never"])
        assert names == {"web": made.id, made.id: made.id}
        assert world.cloud().firewall_ids(world.project(), ["web"]) == {}
        mine = Resource("firewall", made.id, "web", "")
        assert [each.id for each in world.cloud().resources(project)] == [made.id]
        world.cloud().remove(mine)
        world.cloud().remove(mine)
        assert world.cloud().firewall(project, "web", None) is None

    def test_a_strangers_firewall_is_left_alone(self, world: World) -> None:
        project = world.project()
        theirs = world.stranger("firewall", project, "web")
        # Who makes one asks first, and is told then at the latest.
        spec = FirewallSpec(project, "web")
        with pytest.raises(Refused):
            _ = world.cloud().firewall(project, "web", None) or world.cloud().create_firewall(spec)
        assert world.cloud().firewall_ids(project, ["web"]) == {}
        with pytest.raises(NotFound):
            world.made(world.spec(project, firewalls=("web",)))
        assert world.cloud().resources(project) == []
        assert world.has("firewall", theirs)

    # -- errors

    def test_what_goes_wrong_is_said_in_our_words(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        # It is asked again at once.
        monkeypatch.setattr(_retry, "_FIRST_PAUSE", 0.0)
        asked: list[Callable[[Cloud], Any]] = [
            lambda cloud: cloud.instances("nobody"),
            lambda cloud: cloud.refresh([world.unknown_id]),
            lambda cloud: cloud.resources("nobody"),
            lambda cloud: cloud.key_pair("nobody", "none"),
        ]
        for question in asked:
            with pytest.raises(Unreachable):
                question(world.unreachable())
        for missing in (ImageChoice(name="no such image"), ImageChoice(id="image-that-never-was")):
            with pytest.raises(HavenError):
                world.cloud().image(missing)

    def test_a_creation_that_is_refused_leaves_nothing(self, world: World) -> None:
        spec = world.spec(world.project(), instance_type="never.seen")
        with pytest.raises(HavenError):
            world.made(spec)
        assert world.cloud().gpu("never.seen") is None
        assert world.cloud().resources(spec.project) == []

    # -- helpers

    @staticmethod
    def _firewall(world: World, project: str, cloud: Cloud | None = None) -> Firewall:
        found = (cloud or world.cloud()).firewall(project, "web", None)
        assert found
        return found

    def _incoming(self, world: World, project: str) -> set[Rule]:
        return {rule for rule in self._firewall(world, project).rules if rule.direction == "in"}

    @staticmethod
    def _eventually(true: Callable[[], bool], seconds: float = 20.0) -> None:
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end
            time.sleep(0.2)
