# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""OpenStack's shapes and errors, without any cloud."""

from __future__ import annotations

import base64
import email.utils
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.haven.gpu.plugins.module_utils import _cloud_init
from ansible_collections.haven.gpu.plugins.module_utils._clouds.openstack import client, errors, limits, shapes
from ansible_collections.haven.gpu.plugins.module_utils._errors import Unsupported
from ansible_collections.haven.gpu.plugins.module_utils._models import Gpu, Image, Rule, Spec, VolumeSpec

# As nova 34 answered for a server of ours, shortened.
SERVER: dict[str, Any] = {
    "id": "404a4c05-6009-401f-a12e-69f173f682bc",
    "name": "one",
    "status": "ACTIVE",
    "OS-EXT-STS:task_state": None,
    "OS-EXT-AZ:availability_zone": "nova",
    "OS-SRV-USG:launched_at": "2026-11-21T15:02:42.000000",
    "image": {"id": "36259a29-78df-4ddc-b4f1-3637aa6aaaf7"},
    "flavor": {"original_name": "gpu.a100.1", "extra_specs": {"pci_passthrough:alias": "a100:1"}},
    "key_name": "alice@p.haven",
    "addresses": {
        "private": [
            {"addr": "fd00::5", "OS-EXT-IPS:type": "fixed"},
            {"addr": "10.10.0.5", "OS-EXT-IPS:type": "fixed"},
            {"addr": "198.51.100.7", "OS-EXT-IPS:type": "floating"},
        ]
    },
    "security_groups": [{"name": "p/notebooks"}, {"name": "p/notebooks"}, {"name": "default"}],
    "metadata": {"haven:project": "p", "haven:generation": "2", "haven:host-key": "ssh-ed25519 AAAA"},
    "locked": True,
    "config_drive": "",
    "os-extended-volumes:volumes_attached": [{"id": "v", "delete_on_termination": False}],
}
names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)


def test_a_server_becomes_an_instance() -> None:
    found = shapes.instance(SERVER, "here")
    assert (found.name, found.project, found.state, found.instance_type) == ("one", "p", "running", "gpu.a100.1")
    assert (found.private_address, found.public_address) == ("10.10.0.5", "198.51.100.7")
    assert (found.key_pair, found.firewalls) == ("alice", ("notebooks", "default"))
    assert found.launched_at == "2026-11-21T15:02:42Z"
    assert found.tags["Name"] == "one"
    assert found.attributes == {"termination_protection": True}
    assert (found.generation, found.gpu) == (2, Gpu("A100", 1, 0.0))
    assert not found.volumes[0].delete_with_instance


@pytest.mark.parametrize(
    ("status", "task", "launched", "state", "gone"),
    [
        ("BUILD", "scheduling", None, "pending", False),
        ("ACTIVE", "powering-off", "2026-01-01T00:00:00", "stopping", False),
        ("ACTIVE", "deleting", "2026-01-01T00:00:00", "terminating", True),
        ("SHELVED_OFFLOADED", None, "2026-01-01T00:00:00", "shelved", False),
        ("SHELVED_OFFLOADED", "spawning", "2026-01-01T00:00:00", "pending", False),
        ("ERROR", None, None, "failed", True),
        ("ERROR", "spawning", "2026-01-01T00:00:00", "failed", False),
        ("SUSPENDED", None, "2026-01-01T00:00:00", "stopped", False),
        ("SOMETHING_NEW", None, "2026-01-01T00:00:00", "pending", False),
    ],
)
def test_states(status: str, task: str | None, launched: str | None, state: str, gone: bool) -> None:
    item = {**SERVER, "status": status, "OS-EXT-STS:task_state": task, "OS-SRV-USG:launched_at": launched}
    found = shapes.instance(item, "here")
    assert (found.state, found.gone) == (state, gone)


@given(names, names)
def test_whose_a_thing_is_can_be_read_back(project: str, name: str) -> None:
    assert shapes.key_name_parts(shapes.key_name(project, name)) == (project, name)
    assert shapes.unmarked(shapes.marked(project, name, "a text [x]")) == (project, name, "a text [x]")
    assert shapes.unmarked(shapes.marked(project, name)) == (project, name, "")


@given(st.text())
def test_what_is_not_ours_has_no_project(text: str) -> None:
    assert shapes.unmarked(text.replace("haven:", "")) == ("", "", text.replace("haven:", ""))
    assert shapes.key_name_parts(text.replace("@", ""))[0] == ""


@given(
    st.builds(
        Rule,
        st.sampled_from(["in", "out"]),
        st.sampled_from(["tcp", "udp"]),
        st.integers(0, 100),
        st.integers(100, 65535),
        st.sampled_from(["10.0.0.0/8", "fd00::/8", "0.0.0.0/0", "::/0"]),
        st.sampled_from(["", "gate"]),
    )
    | st.builds(
        Rule,
        st.sampled_from(["in", "out"]),
        st.sampled_from(["icmp", "all"]),
        st.just(-1),
        st.just(-1),
        st.sampled_from(["10.0.0.0/8", "fd00::/8"]),
    )
)
def test_a_rule_survives_the_way_there_and_back(rule: Rule) -> None:
    assert shapes.rule(shapes.rule_body("sg", rule)) == rule


def test_a_rule_without_peer_is_for_everybody() -> None:
    assert shapes.rule({"direction": "egress", "ethertype": "IPv6"}) == Rule("out", "all", -1, -1, "::/0")


def test_a_servers_body_carries_who_it_is_from_the_first_moment() -> None:
    spec = Spec("p", "one", key_pair="alice", user_data="#!/bin/sh", options={"scheduler_hints": {"group": "g"}})
    metadata = shapes.metadata(spec, Image("img"), 3, "c")
    body = shapes.server_body(spec, Image("img"), "f", metadata, networks="auto", firewall_ids=["sg"])
    server = body["server"]
    assert body["os:scheduler_hints"] == {"group": "g"}
    assert server["metadata"].items() >= {"haven:project": "p", "haven:generation": "3"}.items()
    assert (server["imageRef"], server["key_name"]) == ("img", "alice@p.haven")
    assert "block_device_mapping_v2" not in server
    assert _cloud_init.same(base64.b64decode(server["user_data"]), "#!/bin/sh")


def test_a_server_from_a_volume_has_no_image_and_one_with_data_keeps_its_disk() -> None:
    spec = Spec("p", "one", data_volumes=(VolumeSpec("/dev/sdf", 5),))
    root = {"id": "r", "device": shapes.ROOT, "delete": True}
    data = {"id": "d", "device": "/dev/sdf", "delete": False}
    with_root = shapes.server_body(spec, Image("i"), "f", {}, networks="auto", firewall_ids=[], volumes=[root, data])
    assert "imageRef" not in with_root["server"]
    assert [each["boot_index"] for each in with_root["server"]["block_device_mapping_v2"]] == [0, -1]
    local = shapes.server_body(spec, Image("i"), "f", {}, networks="auto", firewall_ids=[], volumes=[data])
    assert [each["source_type"] for each in local["server"]["block_device_mapping_v2"]] == ["image", "volume"]


@pytest.mark.parametrize(
    ("created", "updated", "old"),
    [
        ("2026-11-21T15:02:42Z", "2026-11-21T15:02:42Z", False),
        ("2026-11-21T15:02:42Z", "2026-11-21T15:02:43Z", True),
        ("2026-11-21T15:59:59Z", "2026-11-21T16:00:00Z", True),
        ("2026-11-21T15:02:42Z", None, False),
        (None, "2026-11-21T15:02:42Z", False),
    ],
)
def test_a_server_that_changed_in_a_later_second_is_older(created: str | None, updated: str | None, old: bool) -> None:
    item = {key: value for key, value in (("created", created), ("updated", updated)) if value}
    assert shapes.is_a_second_old(item) is old


@pytest.mark.parametrize(
    ("status", "message", "reason", "said"),
    [
        (403, "Quota exceeded for cores: Requested 2, but already used 1 of 2 cores", "quota", "cores"),
        (409, "Quota exceeded for resources: ['floatingip'].", "quota", "floatingip"),
        (403, "Policy doesn't allow os_compute_api:servers:create to be performed.", "denied", "api:servers:create"),
        (403, "rule:create_port is disallowed by policy", "denied", "create_port"),
        (401, "The request you have made requires authentication.", "bad_credentials", "access rules"),
        (400, "Invalid key_name provided.", "not_found", "key pair"),
        (404, "Subnet x could not be found.", "not_found", "subnet"),
        (409, "Instance x is locked", "refused", "termination_protection: false"),
        (409, "Cannot 'start' instance x while it is in vm_state active", "cloud_failure", "wait"),
        (429, "Too many", "throttled", "Too many"),
        (503, "no", "throttled", "unavailable"),
        (413, "This request was rate-limited.", "throttled", "rate-limited"),
        (413, "Only 10 POST request(s) can be made to * every minute.", "throttled", "every minute"),
        (403, "API rate limit exceeded", "throttled", "API rate limit"),
        (413, "", "throttled", "how often"),
        (413, "VolumeLimitExceeded: Maximum number of volumes allowed (1) exceeded for quota 'volumes'.", "quota",
         "quota of the volume service"),
        (413, "Request Entity Too Large", "invalid_request", "user_data"),
        (403, "Maximum number of ports exceeded", "quota", "quota of the network service"),
        (403, "Maximum number of metadata items exceeds 128", "quota", "exceeds 128"),
        (403, "Project 1f is over a limit for [Resource class:VCPU is over limit of 2]", "quota", "over limit of 2"),
        (403, "The owner forbids it on Mondays", "denied", "on Mondays"),
        (500, "Unexpected API Error.", "cloud_failure", "operator"),
        (418, "teapot", "cloud_failure", "418"),
    ],
)  # fmt: skip
def test_a_refusal_in_words(status: int, message: str, reason: str, said: str) -> None:
    error = errors.from_status(status, message, "POST /servers", "compute")
    assert error.reason == reason
    assert said in str(error)
    assert str(error).endswith(".")


@pytest.mark.parametrize(
    ("message", "service"),
    [
        ("Quota exceeded for cores: Requested 2, but already used 1 of 2 cores", "compute"),
        ("Project 1f is over a limit for [Resource class:VCPU is over limit of 2]", "compute"),
        ("Maximum number of ports exceeded", "network"),
        ("Quota exceeded for resources: ['security_group_rule'].", "network"),
        ("VolumeSizeExceedsAvailableQuota: Requested volume exceeds allowed gigabytes quota.", "volume"),
        ("Quota exceeded, too many key pairs.", ""),
        ("Maximum number of metadata items exceeds 128", ""),
    ],
)
def test_what_is_free_is_asked_of_the_service_that_counts_it(message: str, service: str) -> None:
    error = errors.from_status(403, message, "POST /servers", "compute")
    assert isinstance(error, errors.Quota)
    assert error.service == service


def test_only_a_refusal_advises_to_check_the_options() -> None:
    for status, advises in ((418, True), (500, False), (502, False), (504, False)):
        said = str(errors.from_status(status, "x", "POST /os-keypairs", "compute"))
        assert ("options" in said) is advises


@pytest.mark.parametrize(
    ("status", "message", "busy"),
    [
        (429, "", True),
        (503, "", True),
        (413, "This request was rate-limited.", True),
        (413, "Rate limit exceeded", True),
        (413, "VolumeLimitExceeded: Maximum number of volumes allowed (1) exceeded for quota 'volumes'.", False),
        (413, "413 Request Entity Too Large", False),
        (403, "Quota exceeded, too many servers in group", False),
        (409, "Cannot 'start' instance x", False),
        (400, "rate limit", False),
    ],
)
def test_what_asks_to_wait(status: int, message: str, *, busy: bool) -> None:
    assert errors.is_busy(status, message) is busy


def test_how_long_a_service_asks_to_wait() -> None:
    assert errors.retry_after({"Retry-After": "7"}) == 7.0
    later = email.utils.format_datetime(datetime.now(timezone.utc) + timedelta(seconds=30), usegmt=True)
    assert 25 < errors.retry_after({"Retry-After": later}) <= 30
    for text in ("", "soon", "-5", "Wed, 21 Oct 2015 07:28:00 GMT"):
        assert errors.retry_after({"Retry-After": text}) == 0.0
    assert errors.retry_after({}) == 0.0
    assert "wait 7 s" in str(errors.from_status(429, "", "GET /servers/detail", "compute", 7.0))


def test_a_refused_value_is_not_repeated() -> None:
    message = "Invalid input for field/attribute user_data. Value: c2VjcmV0. 'c2VjcmV0' is too long"
    assert "Value" not in errors.tidy(message)


@pytest.mark.parametrize(
    "body",
    [
        '{"forbidden": {"code": 403, "message": "No."}}',
        '{"NeutronError": {"type": "X", "message": "No.", "detail": ""}}',
        '{"error": {"code": 403, "message": "No.", "title": "Forbidden"}}',
        '{"errors": [{"status": 403, "title": "Forbidden", "detail": "No."}]}',
        "<html><body>No.</body></html>",
    ],
)
def test_every_services_message_is_found(body: str) -> None:
    assert errors.tidy(errors.message_of(body)) == "No"


TRIED_ALL = (
    "Exceeded maximum number of retries. Exhausted all hosts available for retrying build failures for instance x."
)


@pytest.mark.parametrize(
    ("fault", "details", "reason", "said"),
    [
        ("No valid host was found. There are not enough hosts available.", "", "no_capacity", "another instance_type"),
        ("Quota exceeded for instances: Requested 1, but already used 1 of 1 instances", "", "quota", "ask for more"),
        ("No more IP addresses available on network x.", "", "quota", "another network"),
        ("Build of instance x aborted: disk full", "", "cloud_failure", "disk full"),
        ("", "", "cloud_failure", "no reason given"),
        (TRIED_ALL, "", "cloud_failure", "does not say why"),
        (TRIED_ALL, "Build was re-scheduled: Insufficient compute resources: Claim pci failed.", "no_capacity", "pci"),
        (TRIED_ALL, "Maximum number of ports exceeded", "quota", "ports"),
        (TRIED_ALL, "Build was re-scheduled: the network service said 409", "cloud_failure", "said 409"),
        ("No valid host was found.", "Build was re-scheduled: binding failed for port y", "cloud_failure", "binding"),
        (TRIED_ALL, "The request you have made requires authentication. (HTTP 401)", "bad_credentials", "revoked"),
        ("Build of instance x aborted: VolumeLimitExceeded", "", "quota", "VolumeLimitExceeded"),
    ],
)
def test_a_fault_in_words(fault: str, details: str, reason: str, said: str) -> None:
    error = errors.from_fault(fault, "one", details)
    assert error.reason == reason
    assert said in str(error)


def test_a_compute_service_that_is_too_old_is_refused() -> None:
    said = "Version 2.95 is not supported by the API. Minimum is 2.1 and maximum is 2.{}."
    client._require_version(said.format(100))
    for older in (said.format(90), "Not acceptable"):
        with pytest.raises(Unsupported, match="Antelope"):
            client._require_version(older)


def test_what_is_free_is_told_without_what_has_no_limit() -> None:
    absolute = {"maxTotalInstances": 10, "totalInstancesUsed": 4, "maxTotalCores": -1, "maxTotalRAMSize": 2048}
    assert limits._computed("compute", {"absolute": absolute}) == "6 of 10 instances, 2 of 2 GiB of memory"
    absolute = {"maxTotalVolumes": 1, "totalVolumesUsed": 1, "maxTotalVolumeGigabytes": -1}
    assert limits._computed("volume", {"absolute": absolute}) == "0 of 1 volumes"
    quota = {"port": {"limit": 4, "used": 2, "reserved": 1}, "floatingip": {"limit": -1, "used": 0}, "router": {}}
    assert limits._counted({"quota": quota}) == "1 of 4 ports"


def test_of_two_firewalls_of_a_name_the_one_that_was_there_first_is_taken() -> None:
    """Machines may use it already when another controller makes one whose id sorts lower."""
    mark = shapes.marked("pathology", "web", "ours")
    items = [
        {"id": "a", "name": "pathology/web", "description": mark, "created_at": "2026-03-01T09:00:01Z"},
        {"id": "b", "name": "pathology/web", "description": mark, "created_at": "2026-03-01T09:00:00Z"},
        {"id": "c", "name": "pathology/web", "description": "theirs", "created_at": "2026-02-01T09:00:00Z"},
    ]
    ours, others = shapes.own_groups(items, "pathology", "web")
    assert [item["id"] for item in ours] == ["b", "a"]
    assert others == ["c"]
