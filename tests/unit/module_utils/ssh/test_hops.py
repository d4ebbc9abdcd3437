# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jump hosts that are instances: which one is meant, where it is, and what is not believed of it."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.haven.gpu.plugins.module_utils._errors import HavenError, InvalidRequest, NotFound
from ansible_collections.haven.gpu.plugins.module_utils._models import Hop, Instance
from ansible_collections.haven.gpu.plugins.module_utils._ssh.config import known_hosts
from ansible_collections.haven.gpu.plugins.module_utils._ssh.hops import NotRunning, found, nowhere, plain, wanted_hops

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGtQkg2pJ0Q1m1GZ1h6dXqg8xW6gQq3Yk8Qx2u8ZqQ0n"

OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBoZ3Y5vM0W0vY0mC4bW1k0V5mC0wV4H3nJ5r7C8dXyZ"

NOT_RUNNING = "this-jump-host-does-not-run.invalid"


def instance(name: str, *, id: str = "", tags: dict[str, str] | None = None, **values: Any) -> Instance:
    known = {"state": "running", "private_address": "10.0.0.5", "public_address": "198.51.100.5", **values}
    tagged = {"haven:host-key": KEY, "haven:login-user": "debian", **(tags or {})}
    return Instance(id=id or f"i-{name}", name=name, project="p", cloud="ec2", region="r", tags=tagged, **known)


def test_the_first_hop_is_outside_and_the_next_inside() -> None:
    wanted = wanted_hops([{"instance": "gate", "port": 2222}, {"tag": {"role": "inner"}, "user": "me", "key": "/k"}])
    hops = found(wanted, [instance("other"), instance("inner", tags={"role": "inner"}), instance("gate")])
    assert hops.hops == (
        Hop("198.51.100.5", 2222, "debian", None, KEY),
        Hop("10.0.0.5", 22, "me", "/k", KEY),
    )
    assert hops.ids == ("i-gate", "i-inner")


def test_hops_with_an_address_stay_as_they_are() -> None:
    hops = [{"host": "gate.example.org", "user": "me"}]
    assert found(wanted_hops(hops), []).hops == plain(wanted_hops(hops), "x") == (Hop("gate.example.org", user="me"),)
    assert wanted_hops(None) == ()


def test_a_machine_that_is_a_hop_is_reached_by_those_before_it() -> None:
    hops = found(wanted_hops([{"host": "gate"}, {"instance": "inner"}]), [instance("inner")])
    assert hops.to("i-inner").hops == hops.hops[:1]
    assert hops.to("i-other").hops == hops.hops


def test_of_several_with_the_tags_the_first_by_name_is_taken_and_of_several_with_the_name_none() -> None:
    two = [instance("b", tags={"role": "gate"}), instance("a", tags={"role": "gate"})]
    assert found(wanted_hops([{"tag": {"role": "gate"}}]), two).ids == ("i-a",)
    same = [instance("a", id="i-1"), instance("a", id="i-2")]
    with pytest.raises(NotFound, match=r"a could be any of i-1, i-2"):
        found(wanted_hops([{"instance": "a"}]), same)


@pytest.mark.parametrize(
    ("wanted", "listed", "message"),
    [
        ({"instance": "gate"}, [], "gate is not among the instances that run"),
        ({"instance": "gate"}, [instance("gate", state="stopped")], "gate is not among the instances that run"),
        ({"tag": {"a": "b", "c": "d"}}, [instance("x", tags={"a": "b"})], "a=b, c=d is not among"),
        (
            {"instance": "gate"},
            [instance("gate", public_address=None, private_address="-oProxyCommand=x")],
            "has no address",
        ),
    ],
)
def test_a_jump_host_that_is_not_there_is_named(wanted: dict[str, Any], listed: list[Instance], message: str) -> None:
    with pytest.raises(NotFound, match=message):
        found(wanted_hops([wanted]), listed)


def test_the_way_through_a_jump_host_that_does_not_run_leads_nowhere() -> None:
    wanted = wanted_hops([{"host": "outer"}, {"instance": "gate", "user": "me"}])
    with pytest.raises(NotRunning):
        found(wanted, [])
    way = nowhere(wanted)
    assert [(hop.host, hop.user) for hop in way.hops] == [("outer", None), (NOT_RUNNING, "me")]
    assert way.to("i-one") is way


def test_a_user_or_key_that_is_none_is_not_taken_from_the_tags() -> None:
    hostile = instance("gate", tags={"haven:host-key": "ssh-ed25519 AAAA\n*", "haven:login-user": "-oProxyCommand=x"})
    (hop,) = found(wanted_hops([{"instance": "gate"}]), [hostile]).hops
    assert (hop.user, hop.host_key) == (None, None)


def test_where_an_authority_vouches_for_machines_no_tag_says_whom_to_trust() -> None:
    gate = instance("gate", tags={"role": "gate", "haven:host-key": OTHER})
    with pytest.raises(InvalidRequest, match="role=gate has no host_key, and with a host_key_authority, no tag"):
        found(wanted_hops([{"tag": {"role": "gate"}}], KEY), [gate])
    (hop,) = found(wanted_hops([{"tag": {"role": "gate"}, "host_key": OTHER}], KEY), [gate]).hops
    assert hop.host_key == OTHER
    # Its name is the user's, so a certificate for that name proves that it is the right one.
    (hop,) = found(wanted_hops([{"instance": "gate"}], KEY), [gate]).hops
    assert hop.host_key == f"@cert-authority gate.{gate.project} {KEY}"
    assert known_hosts([], [hop]) == f"@cert-authority gate.{gate.project} {KEY} {hop.host}\n"


@pytest.mark.parametrize(
    ("hops", "message"),
    [
        ([{"host": "a", "instance": "b"}], "Hop 1 has host and instance: give one of them"),
        ([{"host": "a"}, {"instance": "b", "tag": {"c": "d"}}], "Hop 2 has instance and tag"),
        ([{"host": "a"}, {"user": "me"}], "Hop 2 must be a dictionary with at least a host"),
        ([{"tag": "gate"}], "tag of hop 1 must be a dictionary"),
        ([{"instance": "b", "user": "-x"}], "user of hop 1 is not a user name"),
        ([{"host": "a"}, {"instance": "b", "colour": "red"}], "Hop 2 has unknown fields"),
        ("gate", "must be a list"),
    ],
)
def test_what_the_user_wrote_wrong_is_said(hops: Any, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        wanted_hops(hops)


def test_an_api_behind_a_jump_host_cannot_say_where_it_is() -> None:
    with pytest.raises(HavenError, match=r"address of the jump host gate, .*: give the hop its host .* host_key"):
        plain(wanted_hops([{"instance": "gate"}]), "api_via: jump_host")
