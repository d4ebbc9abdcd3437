# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The inventory's options are checked, and name the cache of exactly one question."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from ansible_collections.haven.gpu.plugins.module_utils._errors import InvalidRequest
from ansible_collections.haven.gpu.plugins.module_utils._models import Hop
from ansible_collections.haven.gpu.plugins.plugin_utils._settings import Settings, cache_key, settings_from

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
        hops=(Hop("gate", port=2222),),
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
        ({"address": "10.0.0.1"}, "is not a value of address"),
        ({"hops": [{"host": "a b"}]}, "host of hop 1"),
        ({"hops": "gate"}, "list of dictionaries"),
        ({"login_user": "-l root"}, "user of login_user"),
        ({"private_key": 'a"b'}, "path of private_key"),
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
