# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Misspelt names are found, and other people's names pass."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.haven.gpu.plugins.module_utils._names import distance, near, nearest
from ansible_collections.haven.gpu.plugins.plugin_utils._names import arguments
from ansible_collections.haven.gpu.plugins.plugin_utils._names.faults import (
    missing,
    near_names,
    set_by_inventory,
    unknown_keys,
    unknown_names,
)


def refused(*names: str, own: tuple[str, ...] = ()) -> list[str]:
    return unknown_names(names, arguments.variables(), arguments.roles(), own)


@pytest.mark.parametrize(
    ("one", "other", "letters"),
    [
        ("spot", "spot", 0),
        ("spots", "spot", 1),
        ("usr", "user", 1),
        ("uesr", "user", 1),
        ("image", "imgae", 1),
        ("egres_proxy", "egress_proxy", 1),
        ("HAVEN", "haven", 0),
        ("", "abc", 3),
        ("ca", "abc", 3),
        ("kitten", "sitting", 3),
    ],
)
def test_letters_are_counted_in_both_directions(one: str, other: str, letters: int) -> None:
    assert distance(one, other) == distance(other, one) == letters


def test_the_nearest_name_is_found_even_if_it_is_far_away() -> None:
    assert nearest("zone", ["region", "zones"]) == "zones"
    assert nearest("x", ["b", "a"]) == "a"
    assert nearest("x", []) is None
    assert near("haven_hopps", ["haven_hops"]) == "haven_hops"
    assert near("haven_ho", ["haven_hopss"]) is None


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("haven_egres_proxy", "haven_egress_proxy"),
        ("haven_ssh_source", "haven_ssh_sources"),
        ("haven_instance", "haven_instances"),
        ("haven_user", "haven_users"),
        ("haven_projct", "haven_project"),
        ("haven_Project", "haven_project"),
        ("haven_destory", "haven_destroy"),
        ("haven_hop", "haven_hops"),
        ("havn_hops", "haven_hops"),
        ("heaven_users", "haven_users"),
        ("egress_enforced", "egress_enforce"),
        ("cuda_requird", "cuda_required"),
        ("jupyter_user", "jupyter_users"),
        ("jump_host_member", "jump_host_members"),
        ("ssh_config_localport", "ssh_config_local_port"),
        ("tensorboard_idle", "tensorboard_idle_s"),
        ("venv_enviroments", "venv_environments"),
    ],
)
def test_a_misspelt_variable_is_refused_with_the_name_that_is_meant(name: str, meant: str) -> None:
    (sentence,) = refused(name)
    assert name in sentence
    assert meant in sentence.partition(name)[2]


def test_a_name_far_from_all_is_refused_only_where_all_names_are_ours() -> None:
    (sentence,) = refused("haven_colour_of_the_bikeshed", "cuda_version", "tls_cert", "jupyter_theme", "venv_name")
    assert "haven_colour_of_the_bikeshed" in sentence


@pytest.mark.parametrize(
    "name",
    ["tls_key", "tls_port", "cuda_home", "dns_state", "env_state", "sshd_config_path", "hasen_x", "project", "users"],
)
def test_other_peoples_names_pass(name: str) -> None:
    assert refused(name) == []


def test_all_variables_that_are_known_pass() -> None:
    known = [name for role in arguments.roles().values() for name in role]
    assert refused(*known, *arguments.variables()) == []


def test_names_of_ones_own_pass() -> None:
    assert refused("haven_mine", "jupyter_user", own=("haven_mine", "jupyter_user")) == []


def test_what_only_the_inventory_sets_is_no_setting() -> None:
    (sentence,) = set_by_inventory(
        ["haven_region", "haven_cloud", "haven_login_user"], arguments.host_variables(), arguments.variables()
    )
    assert sentence.startswith("haven_region is no setting")


def test_a_role_knows_the_names_that_are_nearly_its_own() -> None:
    known = arguments.roles()["cuda"]
    assert near_names("cuda", ["cuda_requird", "cuda_version", "cuda_required", "egress_enforced"], known) == {
        "cuda_requird": "cuda_required"
    }


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("haven_instances", [{"name": "a", "spots": True}], "haven_instances[0] (a) has an unknown key 'spots'"),
        ("haven_instances", [{"name": "a", "instance_typ": "x"}], "the nearest one is instance_type"),
        ("haven_instances", [{"name": "a", "id": "i-1"}], "unknown key 'id'"),
        (
            "haven_instances",
            [{"name": "a", "image": {"nme": "x"}}],
            "haven_instances[0].image has an unknown key 'nme'",
        ),
        ("haven_instances", [{"name": "a", "ec2": {"imdsv": 2}}], "the nearest one is imdsv2"),
        ("haven_instances", [{"name": "a", "data_volumes": [{"size": 1}]}], "haven_instances[0].data_volumes[0] has"),
        ("haven_users", [{"name": "alice", "passwort": "canary"}], "the nearest one is password"),
        ("haven_hops", [{"host": "gate"}, {"host": "b", "usr": "x"}], "haven_hops[1] has an unknown key 'usr'"),
        ("haven_environments", [{"name": "x", "package": []}], "the nearest one is packages"),
        ("haven_environments", [{"name": "x", "repository": {"ulr": 1}}], "the nearest one is url"),
        ("haven_ec2", {"regon": "x"}, "haven_ec2 has an unknown key 'regon': the nearest one is region"),
        ("haven_egress_proxy", {"uri": "x"}, "the nearest one is url"),
        ("haven_users", [{"name": "\x1b[2J", "x\x1b": 1}], r"(\x1b[2J) has an unknown key 'x\x1b'"),
    ],
    ids=str,
)
def test_an_unknown_key_is_refused_with_the_nearest_one(variable: str, value: Any, said: str) -> None:
    (sentence,) = unknown_keys(variable, value, arguments.playbook("site")[variable])
    assert said in sentence
    assert "canary" not in sentence


@pytest.mark.parametrize("value", [None, "", "text", [], {}, [None], ["alice"], 3])
def test_what_has_no_keys_has_no_unknown_ones(value: Any) -> None:
    assert unknown_keys("haven_users", value, arguments.playbook("site")["haven_users"]) == []


def test_what_is_missing_is_named() -> None:
    assert missing(["haven_a", "haven_b"], {"haven_b": "x"}) == [
        "haven_a is not set: give your inventory with -i, and the variable in its group_vars/all.yml (see "
        "docs/variables.md)."
    ]
    assert len(missing(["haven_a", "haven_b"], {"haven_a": None, "haven_b": ""})) == 2
