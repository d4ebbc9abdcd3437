# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The inventory's options are checked, and name the cache of exactly one question."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.haven.gpu.plugins.module_utils._errors import InvalidRequest
from ansible_collections.haven.gpu.plugins.module_utils._models import Hop
from ansible_collections.haven.gpu.plugins.module_utils._ssh.hops import FoundHops
from ansible_collections.haven.gpu.plugins.plugin_utils._settings import (
    Settings,
    cache_key,
    hostnames_from,
    settings_from,
    sources_from,
)
from ansible_collections.haven.gpu.plugins.plugin_utils._version import VERSION

BASICS = {"cloud": "ec2", "projects": ["demo"]}
SETTINGS = Settings(cloud="ec2", projects=("demo",), cloud_options={"region": "eu-north-1", "profile": "a"})
SHAPE = ("id", "name")
IDENTITY = [("AWS_PROFILE", "a"), ("AWS_SECRET_ACCESS_KEY", "s1"), ("AWS_SESSION_TOKEN", "t1")]


def test_two_options_are_enough_and_the_rest_is_safe() -> None:
    assert settings_from(BASICS) == Settings(cloud="ec2", projects=("demo",))
    assert settings_from(BASICS).host_keys == "verified"
    assert settings_from(BASICS).states == ("running",)


def test_everything_said_is_taken() -> None:
    wanted = settings_from(
        {
            "cloud": "ec2",
            "projects": "demo",
            "regions": ["eu-north-1", "eu-west-1", "eu-north-1"],
            "ec2": {"profile": "p"},
            "openstack": {"cloud": "not this one"},
            "states": ["stopped", "running"],
            "hops": [{"host": "gate", "port": 2222}],
            "login_user": "debian",
            "private_key": "/keys/a",
            "host_keys": "tofu",
            "address": "public",
        }
    )
    assert wanted == Settings(
        cloud="ec2",
        projects=("demo",),
        regions=("eu-north-1", "eu-west-1"),
        cloud_options={"profile": "p"},
        states=("stopped", "running"),
        found_hops=FoundHops((Hop("gate", port=2222),)),
        login_user="debian",
        private_key="/keys/a",
        host_keys="tofu",
        address="public",
    )


def test_a_region_goes_into_the_clouds_options() -> None:
    assert SETTINGS.options_for("us-east-1") == {"region": "us-east-1", "profile": "a"}
    assert SETTINGS.options_for(None) == {"region": "eu-north-1", "profile": "a"}


def test_every_project_is_asked_for_by_name() -> None:
    assert settings_from({**BASICS, "projects": ["demo", "*"]}).projects == (None,)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"cloud": None}, "haven_cloud"),
        ({"projects": None}, "haven_project"),
        ({"projects": [" "]}, "haven_project"),
        ({"ec2": "eu-north-1"}, "must be a dictionary"),
        ({"states": ["asleep"]}, "'asleep' is not a value of states"),
        ({"host_keys": "no"}, "'no' is not a value of host_keys"),
        ({"host_key_authority": "/keys/ca.pub"}, "host_key_authority is not an OpenSSH public key"),
        ({"address": "10.0.0.1"}, "is not a value of address"),
        ({"hops": [{"host": "a b"}]}, "host of hop 1"),
        ({"hops": "gate"}, "list of dictionaries"),
        ({"login_user": "-l root"}, "The login_user is not a user name"),
        ({"private_key": 'a"b'}, "path of the private_key"),
        ({"on_error": "ignore"}, "'ignore' is not a value of on_error"),
        ({"hostvars": "all"}, "'all' is not a value of hostvars"),
        ({"filters": ["a"]}, "filters takes dictionaries"),
        ({"filters": {"tag:team": []}}, "'tag:team' of filters has no value"),
        ({"include_filters": {"a": "b"}}, "include_filters must be a list"),
        ({"exclude_filters": ["a"]}, "exclude_filters takes dictionaries"),
        ({"hourly_prices": {"g6.xlarge": "cheap"}}, "hourly_prices must be"),
        ({"hourly_prices": {"g6.xlarge": float("nan")}}, "hourly_prices must be"),
        ({"hourly_prices": [1]}, "hourly_prices must be"),
    ],
)
def test_a_wrong_option_is_refused_by_name(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InvalidRequest, match=complaint):
        settings_from({**BASICS, **options})


@pytest.mark.parametrize(
    "other",
    [
        {"projects": ("demo", "other")},
        {"regions": ("us-east-1",)},
        {"states": ("running", "stopped")},
        {"cloud": "openstack"},
        {"include": ({"tag:team": ("blue",)},)},
        {"exclude": ({"tag:team": ("blue",)},)},
        {"details": True},
        {"cloud_options": {"region": "eu-north-1", "profile": "b"}},
        {"cloud_options": {"region": "eu-north-1", "profile": "a", "endpoint_url": "http://127.0.0.1:5000"}},
    ],
)
def test_another_question_has_another_cache(other: dict[str, Any]) -> None:
    assert cache_key(dataclasses.replace(SETTINGS, **other), SHAPE, IDENTITY) != cache_key(SETTINGS, SHAPE, IDENTITY)


def test_another_account_has_another_cache() -> None:
    assert cache_key(SETTINGS, SHAPE, [("AWS_PROFILE", "b")]) != cache_key(SETTINGS, SHAPE, IDENTITY[:1])


def test_another_version_has_another_cache() -> None:
    assert cache_key(SETTINGS, (*SHAPE, "gpu"), IDENTITY) != cache_key(SETTINGS, SHAPE, IDENTITY)


def test_secrets_do_not_name_the_cache() -> None:
    rotated = [("AWS_PROFILE", "a"), ("AWS_SECRET_ACCESS_KEY", "s2"), ("AWS_SESSION_TOKEN", "t2")]
    with_secret = dataclasses.replace(SETTINGS, cloud_options={**SETTINGS.cloud_options, "secret_key": "x"})
    assert cache_key(with_secret, SHAPE, rotated) == cache_key(SETTINGS, SHAPE, IDENTITY)
    clouds = [
        Settings("openstack", ("demo",), cloud_options={"auth": {"username": user, "password": password}})
        for user, password in [("alice", "1"), ("alice", "2"), ("bob", "1")]
    ]
    keys = [cache_key(each, SHAPE, []) for each in clouds]
    assert keys[0] == keys[1] != keys[2]


def test_where_hosts_are_reached_from_is_no_other_question() -> None:
    other = dataclasses.replace(
        SETTINGS, name="a", found_hops=FoundHops((Hop("gate"),)), prices={"x": 1.0}, on_error="warn"
    )
    assert cache_key(other, SHAPE, IDENTITY) == cache_key(SETTINGS, SHAPE, IDENTITY)


def test_the_version_is_the_collections() -> None:
    galaxy = yaml.safe_load((Path(__file__).parents[3] / "galaxy.yml").read_text())
    assert galaxy["version"] == VERSION


def test_filters_are_one_question_each_and_the_first_is_none_of_its_own() -> None:
    assert settings_from(BASICS).questions == ({},)
    both = settings_from(
        {
            **BASICS,
            "filters": {"tag:team": "blue", "source-dest-check": True},
            "include_filters": [{"tag:team": ["red", "green"]}],
            "exclude_filters": [{"instance-type": "t3.*"}],
        }
    )
    assert both.questions == (
        {"tag:team": ("blue",), "source-dest-check": ("true",)},
        {"tag:team": ("red", "green")},
    )
    assert both.exclude == ({"instance-type": ("t3.*",)},)


def test_hosts_are_named_after_their_machines_unless_said() -> None:
    assert hostnames_from({}) == ("name",)
    assert hostnames_from({"hostnames": ["tag:a", "id"]}) == ("tag:a", "id")
    assert hostnames_from({"hostnames": "id"}) == ("id",)
    with pytest.raises(InvalidRequest, match="hostnames must be"):
        hostnames_from({"hostnames": [{"name": "id"}]})


def test_a_file_without_sources_is_one_source_without_a_name() -> None:
    assert sources_from(BASICS) == [settings_from(BASICS)]
    assert sources_from({**BASICS, "machines": [{}]}) == [settings_from(BASICS)]


def test_a_file_with_nothing_but_its_own_machines_asks_no_cloud() -> None:
    assert sources_from({"machines": [{}]}) == []
    assert sources_from({**BASICS, "sources": []}) == []


def test_a_source_takes_from_the_file_what_it_leaves_out() -> None:
    campus, aws = sources_from(
        {
            **BASICS,
            "hops": [{"host": "gate"}],
            "ec2": {"profile": "all"},
            "hourly_prices": {"g6.xlarge": 0.8},
            "sources": [
                {"name": "campus", "cloud": "openstack", "openstack": {"cloud": "c"}, "on_error": "warn"},
                {"name": "aws", "hops": [], "projects": ["other"], "regions": None},
            ],
        }
    )
    assert campus == Settings(
        "openstack",
        ("demo",),
        cloud_options={"cloud": "c"},
        found_hops=FoundHops((Hop("gate"),)),
        name="campus",
        on_error="warn",
        prices={"g6.xlarge": 0.8},
    )
    assert aws == Settings("ec2", ("other",), cloud_options={"profile": "all"}, name="aws", prices={"g6.xlarge": 0.8})


@pytest.mark.parametrize(
    ("sources", "complaint"),
    [
        ("aws", "must be a list"),
        ([{"cloud": "ec2"}], "Source 1 must be a dictionary with a name"),
        ([{"name": "a b"}], "Source 1 must be a dictionary with a name"),
        ([{"name": "a"}, "b"], "Source 2 must be"),
        ([{"name": "a", "region": "x"}], r"Source a has unknown options \(region\)"),
        ([{"name": "a", "states": ["asleep"]}], "Source a: 'asleep' is not a value of states"),
        ([{"name": "a-b"}, {"name": "A_b"}], "Two sources are called"),
    ],
)
def test_a_wrong_source_is_refused_by_name(sources: object, complaint: str) -> None:
    with pytest.raises(InvalidRequest, match=complaint):
        sources_from({**BASICS, "sources": sources})
