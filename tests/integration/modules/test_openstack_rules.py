# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documented access rules: enough for the story with all that undoes it, and each optional one is for something."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.access_rules import AccessRulesUser, Rule, documented_rules, words
from tests.integration.clouds import OpenStackApi

from .conftest import Account, Answer
from .test_access_and_info import public_key
from .test_errors import assert_plain

pytestmark = pytest.mark.only("openstack")

GATE = {"ports": "22", "from": ["10.0.0.1/32"]}
DISK: dict[str, Any] = {"data_volumes": [{"device": "/dev/vdb", "size_gib": 1}]}


class Limited:
    """The account's modules as a user with these rules."""

    def __init__(self, account: Account, folder: Path, rules: list[Rule]) -> None:
        assert isinstance(account.api, OpenStackApi)
        self.account = account
        folder.mkdir()
        self.addresses: list[str] = []
        self.user = AccessRulesUser(account.api.environment, f"rules-{secrets.token_hex(4)}", folder, rules)

    def run(self, module: str, **options: Any) -> Answer:
        return self.account.run(module, env=dict(self.user.environment), **options)

    def works(self, module: str, **options: Any) -> Answer:
        answer = self.run(module, **options)
        assert answer.ok, answer.message
        return answer

    def make(self, **options: Any) -> Answer:
        return self.run("instance", name=["one"], **{**self.account.api.basics, **options})


@pytest.fixture
def limited(account: Account, tmp_path: Path) -> Iterator[Callable[..., Limited]]:
    made: list[Limited] = []

    def make(rules: list[Rule]) -> Limited:
        made.append(Limited(account, tmp_path / secrets.token_hex(4), rules))
        return made[-1]

    yield make
    for address in [address for each in made for address in each.addresses]:
        account.api.aside.network.delete_ip(address)  # type: ignore[attr-defined]


def test_the_documented_rules_are_what_the_story_and_its_undoing_need(
    account: Account, limited: Callable[..., Limited]
) -> None:
    one = limited(documented_rules())
    assert one.user.refused(), "the sandbox lets this user do more, so this would prove nothing"
    network = account.api.aside.network  # type: ignore[attr-defined]
    one.works("keypair", name="k", public_key=public_key())
    wide = one.works("firewall", name="web", rules=[GATE, {"ports": "22", "from": ["10.0.0.0/8"]}])
    narrow = one.works("firewall", name="web", rules=[GATE])
    assert narrow["changed"]
    # Somebody opens it by hand.
    network.create_security_group_rule(security_group_id=wide["firewall"]["id"], direction="ingress", protocol="tcp")
    assert one.works("firewall", name="web", rules=[GATE])["changed"]
    assert not one.works("firewall", name="web", rules=[GATE])["changed"]
    made = one.make(key_pair="k", firewalls=["web"], openstack={"networks": ["private"]}, tags={"a": "b"})
    assert made.ok, made.message
    for state in ("stopped", "running", "shelved", "running"):
        assert one.works("instance", name=["one"], state=state)["changed"]
    one.works("instance_info", resources=True)
    one.works("project", state="absent")
    assert one.user.used() == one.user.allowed()


# What each group of optional rules is for, by one of them: what to do before with all of them, and what then needs it.
def _with_address(user: Limited) -> Answer:
    return user.make(public_address=True)


def _in_subnet(user: Limited) -> Answer:
    subnet = next(iter(user.account.api.aside.network.subnets(name="private")))  # type: ignore[attr-defined]
    return user.make(subnet=subnet.id)


def _by_image_id(user: Limited) -> Answer:
    return user.make(image={"id": user.account.api.other_image})


def _with_disk(user: Limited) -> Answer:
    return user.make(**DISK)


def _with_other_disk(user: Limited) -> Answer:
    larger = [{"device": "/dev/vdb", "size_gib": 2, "delete_with_instance": True}]
    return user.run("instance", name=["one"], data_volumes=larger)


def _with_own_address(user: Limited) -> Answer:
    """The user's own address, which nobody releases but the test."""
    network = user.account.api.aside.network  # type: ignore[attr-defined]
    own = network.create_ip(floating_network_id=network.find_network("public").id)
    user.addresses.append(own.id)
    return user.make(openstack={"floating_ip": own.floating_ip_address})


def _with_other_type(user: Limited) -> Answer:
    return user.run("instance", name=["one"], instance_type=user.account.api.other_type, allow_stop=True)


def _with_other_firewalls(user: Limited) -> Answer:
    user.works("firewall", name="other", rules=[GATE])
    return user.run("instance", name=["one"], firewalls=["other"])


def _with_other_name(user: Limited) -> Answer:
    return user.run("instance", name=["two"], openstack={"former_name": "one"})


def _without_tag(user: Limited) -> Answer:
    return user.run("instance", name=["one"], tags={}, purge_tags=True)


USES: dict[str, tuple[dict[str, Any] | None, Callable[[Limited], Answer]]] = {
    "network POST /v2.0/floatingips": (None, _with_address),
    "network GET /v2.0/subnets/*": (None, _in_subnet),
    "image GET /v2/images/*": (None, _by_image_id),
    "block-storage POST /v3/volumes": (None, _with_disk),
    "block-storage POST /v3/volumes/*/action": (DISK, _with_other_disk),
    "compute PUT /v2.1/servers/*/os-volume_attachments/*": (DISK, _with_other_disk),
    "network PUT /v2.0/floatingips/*": (None, _with_own_address),
    "network PUT /v2.0/ports/*": ({}, _with_other_firewalls),
    "compute PUT /v2.1/servers/*": ({}, _with_other_name),
    "compute DELETE /v2.1/servers/*/metadata/*": ({"tags": {"a": "b"}}, _without_tag),
}


@pytest.mark.long
@pytest.mark.parametrize("rule", USES)
def test_what_is_optional_works_with_its_rules_and_names_the_missing_one(
    account: Account, limited: Callable[..., Limited], rule: str
) -> None:
    every = [*documented_rules(), *documented_rules(optional=True)]
    without = limited([each for each in every if words(each) != rule])
    before, use = USES[rule]
    if before is not None:
        assert without.make(**before).ok
    method, path = rule.split()[1:]
    refused = use(without)
    assert_plain(refused, "bad_credentials", f"{method} /", path.split("/")[2].removesuffix("*"), "access rules")
    everything = limited(every)
    used = use(everything)
    assert used.ok, used.message
    assert rule in everything.user.used()


@pytest.mark.long
def test_without_the_rules_for_reasons_the_rest_is_told(account: Account, limited: Callable[..., Limited]) -> None:
    one = limited(documented_rules())
    fault = {"service": "nova", "method": "POST", "path": "/servers$", "agent": "^openstacksdk"}
    account.api.control("fault", **fault, status=403, message="Quota exceeded for cores")
    refused = one.make()
    assert_plain(refused, "quota", "Quota exceeded for cores")
    assert "Free in the project" not in refused.message
    assert_plain(one.make(tags={"sandbox:fail": "abort"}), "cloud_failure", "the server's metadata demands it")


@pytest.mark.long
def test_every_optional_rule_is_used_by_something(account: Account, limited: Callable[..., Limited]) -> None:
    one = limited([*documented_rules(), *documented_rules(optional=True)])
    one.works("keypair", name="k", public_key=public_key())
    one.works("firewall", name="web", rules=[GATE, {"ports": "22", "from": ["10.0.0.0/8"]}])
    one.works("firewall", name="web", rules=[GATE])
    root: dict[str, Any] = {"root_volume": {"size_gib": 3, "delete_with_instance": False}}
    made = one.make(key_pair="k", firewalls=["web"], public_address=True, tags={"a": "b"}, **DISK, **root)
    assert made.ok, made.message
    kept = [{"device": "/dev/vdb", "size_gib": 2, "delete_with_instance": True}]
    one.works("instance", name=["one"], data_volumes=kept, root_volume={"delete_with_instance": True})
    for use in (_with_other_firewalls, _with_other_type, _without_tag):
        assert use(one).ok
    one.works("instance", name=["one"], public_address=False)
    one.works("instance", name=["one"], public_address=True)
    assert _with_other_name(one).ok
    one.works("instance", name=["two"], state="absent", delete_volumes=True)
    assert _in_subnet(one).ok
    one.works("instance", name=["one"], state="absent")
    for use in (_by_image_id, _with_own_address):
        assert use(one).ok
        one.works("instance", name=["one"], state="absent")
    # Failures, with their reason and with what is left of the quotas.
    assert not one.make(tags={"sandbox:fail": "spawn"}).ok
    for service, method, path in (
        ("nova", "POST", "/servers$"),
        ("neutron", "POST", "/ports"),
        ("cinder", "POST", "/volumes$"),
    ):
        account.api.control(
            "fault", service=service, method=method, path=path, status=403, message="Quota exceeded for cores"
        )
        assert one.make(public_address=True, **DISK)["reason"] == "quota"
    one.works("project", state="absent")
    assert one.user.used() == one.user.allowed()
