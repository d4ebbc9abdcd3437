# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a check finds out in one go, with the cloud in memory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.haven.gpu.plugins.module_utils._check import cloud, everything, keys, route
from ansible_collections.haven.gpu.plugins.module_utils._cloud import Cloud
from ansible_collections.haven.gpu.plugins.module_utils._errors import BadCredentials
from ansible_collections.haven.gpu.plugins.module_utils._models import Image, ImageChoice, KeyPairSpec, Spec, VolumeSpec
from ansible_collections.haven.gpu.plugins.module_utils._module import argument_spec, validated
from ansible_collections.haven.gpu.plugins.module_utils._options import INSTANCE
from tests.clouds.world import OTHER_KEY, PUBLIC_KEY, MemoryWorld

SPEC = argument_spec(INSTANCE, of_instances=True)
NOTEBOOK = {"name": "notebook", "image": {"name": "memory-*"}, "instance_type": "gpu"}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryWorld]:
    one = MemoryWorld(tmp_path)
    monkeypatch.setattr(keys, "check", lambda *_arguments: [])
    monkeypatch.setattr(route, "check", lambda *_arguments: [])
    yield one
    one.end()


def check(world: MemoryWorld | None, *instances: dict[str, Any], **options: Any) -> everything.Checked:
    params: dict[str, Any] = {
        "cloud": "ec2",
        "project": "demo",
        "ec2": {"region": "here"},
        "hops": [],
        "instances": list(instances),
        "instance_defaults": {"key_pair": "demo", "firewalls": ["demo"]},
        "key_pair": "demo",
        "public_key": PUBLIC_KEY,
        "private_key": None,
        "firewall": "demo",
        "proxy": None,
        "gpus": 0,
        "gpu_required": False,
        **options,
    }

    @contextlib.contextmanager
    def connected() -> Iterator[Cloud]:
        if world is None:
            raise BadCredentials("There are no usable credentials.")
        yield world.cloud()

    return everything.check(params, lambda given: validated(SPEC, given), connected)


def wrong(checked: everything.Checked) -> dict[str, str]:
    return {each.about: each.said for each in checked.findings if each.verdict == "wrong"}


def test_nothing_is_wrong_with_what_is_right_and_nothing_is_written(world: MemoryWorld) -> None:
    checked = check(world, NOTEBOOK)
    assert wrong(checked) == {}
    assert checked.creates == ("notebook",)
    assert {each.about for each in checked.findings} >= {"credentials", "image memory-*"}
    assert world.written(0) == []


def test_keys_that_cloud_init_would_bring_are_checked(world: MemoryWorld) -> None:
    fido = "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29t"
    for given, said in (
        ([fido], ""),
        (["~/.ssh/id.pub"], "is not an OpenSSH"),
        ([f"{fido}\n{fido}\n"], "several lines"),
    ):
        checked = check(world, NOTEBOOK, key_pair=None, public_key=None, instance_defaults={"ssh_keys": given})
        assert wrong(checked).keys() == ({"instance notebook"} if said else set())
        assert said in " ".join(wrong(checked).values())


def test_several_mistakes_are_found_in_one_go(world: MemoryWorld) -> None:
    checked = check(
        world,
        {**NOTEBOOK, "image": {"name": "windows"}},
        {"name": "typo", "instance_typ": "gpu", "image": {"name": "memory-*"}},
        {"name": "half", "image": {"name": "memory-*"}},
        {**NOTEBOOK, "name": "a name"},
        {**NOTEBOOK, "name": "same"},
        {**NOTEBOOK, "name": "same"},
        {**NOTEBOOK, "name": "shelf", "state": "shelved"},
        {**NOTEBOOK, "name": "idle", "state": "stopped"},
        public_key="~/.ssh/id.pub",
        hops=[{"host": "gate host"}],
    )
    assert wrong(checked).keys() == {
        "image windows",
        "instance typo",
        "instance half",
        "instance a name",
        "instance same",
        "instance shelf",
        "instance idle",
        "key pair",
        "jump hosts",
    }
    assert "instance_typ" in wrong(checked)["instance typo"]


@pytest.mark.parametrize(
    ("type_", "given", "said"),
    [
        ("small", {"gpus": 1, "gpu_required": True}, "It has no GPU, and haven_gpu_required is true"),
        ("gpu", {"gpus": 4}, "It has 2 of the 4 GPUs in cuda_gpu_count"),
        ("small", {"gpus": 4}, ""),
        ("gpu", {"gpus": 2, "gpu_required": True}, ""),
        ("small", {"gpus": 0, "gpu_required": True}, ""),
    ],
)
def test_a_type_without_the_gpus_that_the_machine_is_checked_for_is_named(
    world: MemoryWorld, type_: str, given: dict[str, Any], said: str
) -> None:
    found = wrong(check(world, {**NOTEBOOK, "instance_type": type_}, **given))
    assert found.keys() == ({f"instance type {type_}"} if said else set())
    assert said in " ".join(found.values())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"data_volumes": [{"size_gib": 10}, {"size_gib": 0}]}, "The size_gib of data_volumes[1] is 0"),
        ({"root_volume": {"size_gib": -5}}, "The size_gib of root_volume is -5"),
        ({"private_address": "10.0.0.300"}, "The private_address '10.0.0.300' is no IP address"),
    ],
)
def test_a_number_that_means_nothing_is_named(world: MemoryWorld, given: dict[str, Any], said: str) -> None:
    (found,) = wrong(check(world, {**NOTEBOOK, **given})).values()
    assert said in found


def test_the_number_of_calls_does_not_grow_with_the_instances(world: MemoryWorld) -> None:
    def calls(*instances: dict[str, Any]) -> int:
        before = world.calls()
        check(world, *instances)
        return world.calls() - before

    many = [{**NOTEBOOK, "name": f"n{number}"} for number in range(20)]
    assert calls(NOTEBOOK) == calls(*many)


def test_one_call_is_enough_if_everything_exists(world: MemoryWorld) -> None:
    before = world.calls()
    checked = check(world)
    assert [each.about for each in checked.findings] == ["instances"]
    assert world.calls() - before == 1


def test_a_cloud_that_cannot_be_asked_does_not_hide_the_rest() -> None:
    checked = check(None, NOTEBOOK, hops=[{"host": "gate.invalid"}])
    assert {"credentials", "jump host gate.invalid"} <= wrong(checked).keys()


def test_a_key_that_is_not_known_is_not_wrong(world: MemoryWorld) -> None:
    assert wrong(check(world, NOTEBOOK, public_key=None)) == {}


def test_a_key_pair_with_another_key_is_named(world: MemoryWorld) -> None:
    world.cloud().import_key_pair(KeyPairSpec("demo", "demo", public_key=OTHER_KEY))
    assert "contains another public key" in wrong(check(world, NOTEBOOK))["key pair demo"]


def test_a_root_disk_that_is_smaller_than_its_image_is_named() -> None:
    choice, root = ImageChoice(id="i"), VolumeSpec(size_gib=8)
    specs = [Spec("p", "one", image=choice, root_volume=root), Spec("p", "two", image=ImageChoice(id="x"))]
    (finding,) = cloud._too_small(specs, {choice: Image("i", "i", "/dev/sda1", min_disk_gib=30)})
    assert (finding.about, finding.verdict) == ("instance one", "wrong")
    assert "has 8 GiB, and the image needs 30" in finding.said
    assert cloud._too_small(specs, {choice: Image("i", "i", "/dev/sda1", min_disk_gib=8)}) == []
