# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Machines become inventory hosts, whatever their cloud says about them."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.haven.gpu.plugins.module_utils._models import Gpu, Hop, Instance
from ansible_collections.haven.gpu.plugins.module_utils._ssh.config import known_hosts
from ansible_collections.haven.gpu.plugins.module_utils._ssh.hops import FoundHops, HopLookup
from ansible_collections.haven.gpu.plugins.plugin_utils._hosts import variables as _hosts
from ansible_collections.haven.gpu.plugins.plugin_utils._settings import Settings

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGtQkg2pJ0Q1m1GZ1h6dXqg8xW6gQq3Yk8Qx2u8ZqQ0n"
GATE = Hop("gate.example.org", port=2222, user="sshuser")
SETTINGS = Settings(
    cloud="ec2", projects=("demo",), found_hops=FoundHops((GATE,)), login_user="admin", private_key="/keys/mine"
)
DEMO = Instance(
    id="i-1",
    name="jupyter-demo",
    project="demo",
    cloud="ec2",
    region="eu-north-1",
    state="running",
    availability_zone="eu-north-1a",
    launched_at="2026-03-01T09:00:00Z",
    price_class="on_demand",
    instance_type="g4dn.xlarge",
    gpu=Gpu("T4", 1, 16.0),
    image="ami-1",
    private_address="10.0.0.5",
    public_address="198.51.100.7",
    tags={"haven:host-key": f"{KEY} root@demo", "haven:login-user": "debian", "team": "a"},
)
ANYTHING = st.one_of(
    st.text(max_size=40), st.sampled_from(["x" * 10_000, "{{ 1 }}", "localhost", "all", "i-1", "a\nb"])
)


def changed(**fields: Any) -> Instance:
    return dataclasses.replace(DEMO, **fields)


def test_the_variables_are_the_documented_ones() -> None:
    assert _hosts.hostvars(DEMO, SETTINGS) == {
        "haven_id": "i-1",
        "haven_name": "jupyter-demo",
        "haven_project": "demo",
        "haven_cloud": "ec2",
        "haven_region": "eu-north-1",
        "haven_availability_zone": "eu-north-1a",
        "haven_state": "running",
        "haven_instance_type": "g4dn.xlarge",
        "haven_image": "ami-1",
        "haven_private_address": "10.0.0.5",
        "haven_public_address": "198.51.100.7",
        "haven_address": "10.0.0.5",
        "haven_gpu": {"model": "T4", "count": 1, "memory_gib": 16.0},
        "haven_launched_at": "2026-03-01T09:00:00Z",
        "haven_price_class": "on_demand",
        "haven_hourly_price": None,
        "haven_instance_tags": DEMO.tags,
        "haven_host_key": KEY,
        "haven_is_jump_host": False,
        "haven_login_user": "debian",
        "ansible_host": "i-1",
        "ansible_user": "debian",
    }
    assert _hosts.groupvars(SETTINGS, "/x") == {
        "haven_hops": [{"host": "gate.example.org", "port": 2222, "user": "sshuser"}],
        "haven_ssh_config": "/x",
    }


def test_a_named_source_and_the_clouds_own_words_are_told_where_there_are_any() -> None:
    named = dataclasses.replace(SETTINGS, name="campus-1", details=True)
    variables = _hosts.hostvars(changed(details={"KeyName": "a"}), named)
    assert (variables["haven_source"], variables["haven_details"]) == ("campus-1", {"KeyName": "a"})
    assert _hosts.source_group(named) == "haven_source_campus_1"
    assert _hosts.source_group(SETTINGS) == "haven"


@pytest.mark.parametrize(
    ("hops", "it_is"),
    [
        ({"looked_up": (HopLookup(GATE, instance="jupyter-demo"),)}, True),
        ({"looked_up": (GATE, HopLookup(GATE, tags=(("team", "a"),)))}, True),
        ({"looked_up": (HopLookup(GATE, instance="gate"),)}, False),
        ({"looked_up": (HopLookup(GATE, instance="jupyter-demo", tags=(("team", "b"),)),)}, False),
        ({"found_hops": FoundHops((Hop("198.51.100.7"),))}, True),
        ({"found_hops": FoundHops((GATE, Hop("10.0.0.5")))}, True),
        ({"found_hops": FoundHops((Hop("198.51.100.8"),))}, False),
        ({"found_hops": FoundHops()}, False),
    ],
)
def test_a_machine_of_the_project_may_be_its_jump_host(hops: dict[str, Any], it_is: bool) -> None:
    assert _hosts.hostvars(DEMO, dataclasses.replace(SETTINGS, **hops))["haven_is_jump_host"] is it_is


def test_a_machine_without_addresses_is_no_jump_host() -> None:
    assert not _hosts.is_jump_host(changed(private_address=None, public_address=None), SETTINGS)


def test_a_price_is_the_users_and_no_spot_instance_has_one() -> None:
    priced = dataclasses.replace(SETTINGS, prices={"g4dn.xlarge": 0.53})
    assert _hosts.hostvars(DEMO, priced)["haven_hourly_price"] == 0.53
    assert _hosts.price(changed(price_class="spot"), priced) is None
    assert _hosts.price(changed(instance_type="g6.xlarge"), priced) is None


@pytest.mark.parametrize(
    ("preferences", "expected"),
    [
        (["name"], "jupyter-demo"),
        (["id"], "i-1"),
        (["private_address"], "10.0.0.5"),
        (["tag:team", "name"], "a"),
        (["tag:nowhere", "public_address"], "198.51.100.7"),
        # A host key is no plain word.
        (["tag:haven:host-key", "tag:team"], "a"),
        (["an expression"], "computed"),
        (["nothing"], ""),
        (["a list", "name"], "jupyter-demo"),
        ([], ""),
    ],
)
def test_the_first_preference_that_gives_a_plain_word_names_the_host(preferences: list[str], expected: str) -> None:
    values = {"an expression": "computed", "nothing": None, "a list": ["x"]}
    variables = _hosts.hostvars(DEMO, SETTINGS)
    assert _hosts.wanted_name(preferences, variables, lambda text, _known: values[text]) == expected


def test_wanted_names_that_clash_give_way_to_the_ids() -> None:
    others = [changed(id="i-2"), changed(id="i-3"), changed(id="i-4")]
    wanted = ["same", "Same", "i-1", "mine"]
    assert _hosts.names([DEMO, *others], wanted) == {"i-1": "i-1", "i-2": "i-2", "i-3": "i-3", "i-4": "mine"}
    assert _hosts.names([DEMO], ["i-1"]) == {"i-1": "i-1"}


def test_the_groups_tell_project_cloud_state_type_and_gpu() -> None:
    assert _hosts.groups(changed(project="a-b c")) == [
        "haven_project_a_b_c",
        "haven_cloud_ec2",
        "haven_state_running",
        "haven_type_g4dn_xlarge",
        "haven_gpu_T4",
    ]
    assert _hosts.groups(changed(instance_type=None, gpu=None))[-1] == "haven_state_running"


@pytest.mark.parametrize(
    ("hops", "choice", "fields", "expected"),
    [
        ((GATE,), "auto", {}, "10.0.0.5"),
        ((), "auto", {}, "198.51.100.7"),
        ((), "auto", {"public_address": None}, "10.0.0.5"),
        ((GATE,), "auto", {"private_address": None}, "198.51.100.7"),
        ((), "private", {}, "10.0.0.5"),
        ((GATE,), "public", {}, "198.51.100.7"),
        ((GATE,), "public", {"public_address": None}, None),
        ((GATE,), "auto", {"private_address": "-oProxyCommand=x"}, "198.51.100.7"),
        ((GATE,), "auto", {"private_address": "fd00::5"}, "fd00::5"),
    ],
)
def test_the_address_is_the_one_that_can_be_reached(
    hops: tuple[Hop, ...], choice: str, fields: dict[str, Any], expected: str | None
) -> None:
    wanted = dataclasses.replace(SETTINGS, found_hops=FoundHops(hops), address=choice)
    assert _hosts.address(changed(**fields), wanted) == expected
    assert _hosts.machine(changed(**fields), wanted).address == expected


def test_a_tag_of_ours_that_cannot_be_used_is_told_once_for_all_machines() -> None:
    assert _hosts.ignored_tags([changed(), changed(tags={})]) == []
    evil = [changed(id=f"i-{number}", tags={"haven:login-user": "-oX=\x1b[2J\u202e"}) for number in range(7)]
    (told,) = _hosts.ignored_tags(evil)
    assert told.startswith("The tag haven:login-user of i-0 (-oX=\\x1b[2J\\u202e), i-1 ")
    assert "and 2 more" in told
    (told,) = _hosts.ignored_tags([changed(tags={"haven:host-key": "none"})])
    assert "haven:host-key" in told


def test_a_login_user_that_is_none_is_not_taken_from_a_tag() -> None:
    evil = changed(tags={"haven:login-user": "-oProxyCommand=x"})
    assert _hosts.hostvars(evil, SETTINGS)["ansible_user"] == "admin"
    nobody = dataclasses.replace(SETTINGS, login_user=None)
    assert {"ansible_user", "haven_login_user"} & _hosts.hostvars(evil, nobody).keys() == set()


def test_with_an_authority_a_machine_is_known_by_its_name_and_project_and_no_tag_counts() -> None:
    signer = KEY.replace("AAAAIG", "AAAAIH")
    machine = _hosts.machine(DEMO, dataclasses.replace(SETTINGS, host_key_authority=signer))
    known = known_hosts([machine], [])
    assert known == f"@cert-authority {DEMO.name}.{DEMO.project} {signer} {DEMO.name}\n"
    assert machine.alias == DEMO.id
    strange = _hosts.machine(changed(name="a b"), dataclasses.replace(SETTINGS, host_key_authority=signer))
    assert strange.filed_under == DEMO.id


def test_a_host_key_that_is_none_is_empty_and_never_trusted() -> None:
    evil = changed(tags={"haven:host-key": f"* {KEY}"})
    assert _hosts.hostvars(evil, SETTINGS)["haven_host_key"] == ""
    assert _hosts.machine(evil, SETTINGS).host_key is None


def test_a_host_is_named_after_its_machine() -> None:
    assert _hosts.names([DEMO, changed(id="i-2", name="other")]) == {"i-1": "jupyter-demo", "i-2": "other"}


@pytest.mark.parametrize(
    "name", ["", "a b", "localhost", "LOCALHOST", "127.0.0.1", "all", "haven", "haven_project_x", "-x", "a:b", "i-2"]
)
def test_a_name_that_means_something_else_gives_way_to_the_id(name: str) -> None:
    assert _hosts.names([changed(name=name), changed(id="i-2", name="other")])["i-1"] == "i-1"


def test_machines_with_the_same_name_go_by_their_ids() -> None:
    assert _hosts.names([DEMO, changed(id="i-2", name="Jupyter-Demo")]) == {"i-1": "i-1", "i-2": "i-2"}


@settings(max_examples=300, deadline=None)
@given(
    machines=st.lists(
        st.builds(
            Instance,
            id=ANYTHING,
            name=ANYTHING,
            project=ANYTHING,
            cloud=st.just("ec2"),
            region=ANYTHING,
            state=ANYTHING,
            instance_type=st.none() | ANYTHING,
            private_address=st.none() | ANYTHING,
            tags=st.dictionaries(st.sampled_from(["haven:host-key", "haven:login-user", "x"]), ANYTHING),
        ),
        max_size=6,
        unique_by=lambda instance: instance.id.lower(),
    )
)
def test_every_machine_is_listed_once_under_a_plain_name(machines: list[Instance]) -> None:
    names = _hosts.names(machines)
    assert names.keys() == {instance.id for instance in machines}
    lowered = [name.lower() for name in names.values()]
    assert len(set(lowered)) == len(lowered)
    for instance in machines:
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", names[instance.id])
        assert [group for group in _hosts.groups(instance) if not re.fullmatch(r"haven_[A-Za-z0-9_]+", group)] == []
        variables = _hosts.hostvars(instance, SETTINGS)
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", variables["ansible_host"])
        assert re.fullmatch(r"[A-Za-z_][A-Za-z0-9._@-]*", variables["ansible_user"])
        json.dumps(variables)


def test_what_is_cached_comes_back_the_same() -> None:
    back = _hosts.unpack(json.loads(json.dumps(_hosts.pack(DEMO))))
    assert back == DEMO
    assert _hosts.unpack(_hosts.pack(changed(gpu=None))).gpu is None


def test_a_cache_of_another_shape_is_noticed() -> None:
    packed = _hosts.pack(DEMO)
    del packed["tags"]
    with pytest.raises(KeyError):
        _hosts.unpack(packed)
