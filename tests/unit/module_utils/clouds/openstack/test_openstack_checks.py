# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What OpenStack says beforehand about access rules, flavors, networks, and quotas."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.haven.gpu.plugins.module_utils._clouds.openstack.checks import NEEDED, Checks, _covers
from ansible_collections.haven.gpu.plugins.module_utils._clouds.openstack.client import RefusedCall, Rights
from ansible_collections.haven.gpu.plugins.module_utils._clouds.openstack.network import Networks
from ansible_collections.haven.gpu.plugins.module_utils._errors import InvalidRequest
from ansible_collections.haven.gpu.plugins.module_utils._models import (
    FirewallSpec,
    Image,
    ImageChoice,
    Spec,
    VolumeSpec,
    Wishes,
)

RULES = yaml.safe_load((Path(__file__).parents[5] / "docs" / "openstack-access-rules.yaml").read_text())
KINDS = {"compute": "compute", "image": "image", "network": "network", "volume": "block-storage"}
PREFIXES = {"compute": "/v2.1", "image": "/v2", "network": "/v2.0", "volume": "/v3"}
FLAVORS = {"gpu.1": {"id": "f-1", "name": "gpu.1", "vcpus": 8, "ram": 65536, "disk": 20, "extra_specs": {}}}
NETWORKS = [
    {"id": "n-1", "name": "private", "subnets": ["s-1"]},
    {"id": "n-2", "name": "outside", "subnets": [], "router:external": True},
]
CHOICE = ImageChoice(name="ubuntu-*")
COMPUTE = {"maxTotalInstances": 10, "totalInstancesUsed": 9, "maxTotalCores": -1, "totalCoresUsed": 5,
           "maxTotalRAMSize": 102400, "totalRAMUsed": 1024}  # fmt: skip
VOLUME = {"maxTotalVolumes": 10, "totalVolumesUsed": 10, "maxTotalVolumeGigabytes": 1000, "totalGigabytesUsed": 0}
PORTS = {
    "quota": {"port": {"limit": 50, "used": 49, "reserved": 0}, "floatingip": {"limit": 1, "used": 0, "reserved": 1}}
}


class Api:
    project_id = "p-1"

    def __init__(self, rights: Rights, answers: Mapping[tuple[str, str], Any]) -> None:
        self._rights = rights
        self._answers = answers
        self.calls: list[str] = []

    def rights(self) -> Rights:
        return self._rights

    def has(self, _service: str) -> bool:
        return True

    def kind_of(self, service: str) -> str:
        return KINDS[service]

    def path_of(self, service: str, path: str) -> str:
        return PREFIXES[service] + path

    def pages(self, service: str, path: str, key: str, /, **_query: Any) -> list[dict[str, Any]]:
        self.calls.append(f"{service} {path}")
        return {"networks": NETWORKS}[key]

    def attempt(self, method: str, service: str, path: str) -> dict[str, Any]:
        self.calls.append(f"{service} {path}")
        answer = self._answers.get((service, path))
        if answer is None:
            raise RefusedCall(403, "", f"{method} {path}", service)
        return dict(answer)


MEMBER = Rights(("member",), None)
LIMITS = {
    ("compute", "/limits"): {"limits": {"absolute": COMPUTE}},
    ("volume", "/limits"): {"limits": {"absolute": VOLUME}},
    ("network", "/quotas/p-1/details.json"): PORTS,
}


def foresee(
    *specs: Spec, rights: Rights = MEMBER, answers: Mapping[tuple[str, str], Any] = LIMITS, disk: int = 5
) -> dict[str, tuple[str, str]]:
    class Cloud(Checks):
        def _flavor(self, name: str) -> dict[str, Any] | None:  # type: ignore[override]
            return FLAVORS.get(name)

        def _flavor_id(self, name: str) -> str:  # type: ignore[override]
            if name not in FLAVORS:
                raise InvalidRequest(f"OpenStack has no instance type (flavor) {name!r}: choose one of gpu.1.")
            return str(FLAVORS[name]["id"])

    cloud = Cloud()
    cloud._os = Api(rights, answers)  # type: ignore[assignment]
    cloud._networks = Networks(cloud._os)
    wishes = Wishes(
        specs=specs or (spec(),),
        images={CHOICE: Image("i-1", "ubuntu-24", min_disk_gib=disk)},
        new_firewall=FirewallSpec("p", "p"),
    )
    return {each.about: (each.verdict, each.said) for each in cloud.foresee(wishes)}


def spec(name: str = "one", **given: Any) -> Spec:
    return Spec("p", name, **{"image": CHOICE, "instance_type": "gpu.1", **given})


def wrong(found: Mapping[str, tuple[str, str]]) -> list[str]:
    return [about for about, (verdict, _said) in found.items() if verdict == "wrong"]


def test_nothing_is_wrong_with_what_is_right() -> None:
    found = foresee()
    assert wrong(found) == []
    assert found["permissions"] == ("ok", "member")
    assert found["instance type gpu.1"] == ("ok", "8 vCPUs, 64 GiB of memory")


def test_what_is_needed_is_what_the_documentation_says() -> None:
    needed = {(KINDS[service], method, PREFIXES[service] + path.replace("X", "*")) for service, method, path in NEEDED}
    assert needed == {(rule["service"], rule["method"], rule["path"]) for rule in RULES}


def test_the_documented_access_rules_are_enough() -> None:
    found = foresee(rights=Rights(("member",), tuple(RULES)))
    assert found["permissions"] == ("ok", "member, with access rules")
    # They do not include quotas.
    assert found["quota of compute"][0] == found["quota of network"][0] == "unknown"


@pytest.mark.parametrize("number", [4, 5, 10, 11])
def test_an_access_rule_that_is_lacking_is_named(number: int) -> None:
    lacking = RULES[number]
    found = foresee(rights=Rights(("member",), tuple(rule for rule in RULES if rule != lacking)))
    assert f"{lacking['method']} {lacking['path']}" in found["permissions"][1]
    assert wrong(found) == ["permissions"]


def test_a_role_that_may_only_look_is_named() -> None:
    assert "reader" in foresee(rights=Rights(("reader",), None))["permissions"][1]
    assert wrong(foresee(rights=Rights(("member", "reader"), None))) == []


@pytest.mark.parametrize(
    ("pattern", "path", "covered"),
    [
        ("/v2.1/servers", "/v2.1/servers", True),
        ("/v2.1/servers/*", "/v2.1/servers/X", True),
        ("/v2.1/servers/{id}", "/v2.1/servers/X", True),
        ("/v2.1/**", "/v2.1/servers/X/action", True),
        ("/v2.1/servers/*", "/v2.1/servers/X/action", False),
        ("/v2.1/servers", "/v2.1/servers/X", False),
        ("/v2x1/servers", "/v2.1/servers", False),
        ("/v2.1/servers", "/v2x1/servers", False),
    ],
)
def test_patterns_cover_what_keystone_says_they_do(pattern: str, path: str, covered: bool) -> None:
    assert _covers(pattern, path) is covered


@pytest.mark.parametrize(
    ("given", "about", "said"),
    [
        ({"instance_type": "gpu.2"}, "instance type gpu.2", "choose one of gpu.1"),
        ({"options": {"networks": ["privat"]}}, "networks", "no network 'privat'"),
        ({"subnet": "s-9"}, "networks", "no subnet 's-9'"),
        ({"public_address": True}, "quota of network", "1 floating IPs, and 0 of 1 are free"),
        ({"data_volumes": (VolumeSpec(size_gib=5),)}, "quota of block-storage", "1 volumes, and 0 of 10 are free"),
    ],
)
def test_a_mistake_is_named(given: dict[str, Any], about: str, said: str) -> None:
    found = foresee(spec(**given))
    assert wrong(found) == [about]
    assert said in found[about][1]


def test_a_pool_that_is_not_there_is_named() -> None:
    found = foresee(spec(public_address=True, options={"floating_ip_pool": "inside"}))
    assert "can be outside" in found["networks"][1]


def test_an_image_that_does_not_fit_the_disk_is_named() -> None:
    assert "needs 30 GiB" in foresee(disk=30)["instance type gpu.1"][1]
    assert wrong(foresee(spec(options={"boot_from_volume": True}), disk=30)) == []
    assert wrong(foresee(spec(root_volume=VolumeSpec(size_gib=30)), disk=30)) == ["quota of block-storage"]


def test_a_quota_that_is_full_for_one_resource_is_named_with_what_is_free() -> None:
    found = foresee(spec("one"), spec("two"))
    assert "2 instances, and 1 of 10 are free" in found["quota of compute"][1]
    assert "2 ports, and 1 of 50 are free" in found["quota of network"][1]


def test_a_service_that_does_not_tell_its_quota_is_not_wrong() -> None:
    found = foresee(answers={})
    assert wrong(found) == []
    assert found["quota of compute"] == ("unknown", "not tried: the service answers 403")
