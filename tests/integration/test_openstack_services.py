# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The OpenStack side of the sandbox: the real services, what they are seeded with, and what tests can do to them."""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import openstack
import pytest
from keystoneauth1.exceptions import ConnectFailure, ServiceUnavailable, Unauthorized
from openstack.config import OpenStackConfig
from openstack.connection import Connection
from openstack.exceptions import ForbiddenException, HttpException

from tests.integration.sandbox_guests import Sandbox, own_sandbox, wait_until
from tests.sandbox.openstack import environment, template
from tests.sandbox.openstack.clouds import REGION
from tests.sandbox.openstack.drivers import trees
from tests.sandbox.openstack.layout import SERVICES
from tests.sandbox.paths import openstack_cache
from tests.sandbox.processes import outer_children

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Cloud:
    """A sandbox with OpenStack. up_after: how many seconds its start took."""

    sandbox: Sandbox
    up_after: float

    def connect(self, name: str = "haven", **options: Any) -> Connection:
        """A fresh connection, with a token of its own; no request is sent twice."""
        config = OpenStackConfig(config_files=[self.sandbox.env["OS_CLIENT_CONFIG_FILE"]], load_envvars=False)
        return Connection(config=config.get_one(name, **options), strict_proxies=False)

    def control(self, verb: str, **asked: Any) -> Any:
        """Ask the control endpoint; HTTPError when it refuses."""
        url = f"{self.sandbox.env['HAVEN_SANDBOX_OPENSTACK_CONTROL_URL']}/{verb}"
        request = urllib.request.Request(url, json.dumps(asked).encode(), method="POST")  # noqa: S310 - ours
        with DIRECT.open(request, timeout=120) as answer:
            return json.load(answer)

    def state(self) -> dict[str, Any]:
        """The services' ports and processes."""
        with DIRECT.open(f"{self.sandbox.env['HAVEN_SANDBOX_OPENSTACK_CONTROL_URL']}/state", timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    def log(self, since: float, service: str) -> list[dict[str, Any]]:
        """What a service was asked since a moment, by clients."""
        url = f"{self.sandbox.env['HAVEN_SANDBOX_OPENSTACK_CONTROL_URL']}/log?since={since}"
        with DIRECT.open(url, timeout=10) as answer:
            return [entry for entry in json.load(answer) if entry["service"] == service]


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A sandbox of these tests' own, because they stop services that others need."""
    folder: Path = tmp_path_factory.mktemp("openstack")
    # Making what is missing is not counted.
    environment.install_missing(openstack_cache(), print)
    template.prepare_missing(openstack_cache(), print)
    before = time.monotonic()
    with own_sandbox(folder, "openstack") as sandbox:
        yield Cloud(sandbox, time.monotonic() - before)


@pytest.fixture
def cloud(own: Cloud) -> Iterator[Cloud]:
    """That sandbox, with nothing left of what an earlier test did to it."""
    yield own
    own.control("reset")


def service_processes(cloud: Cloud) -> dict[str, int]:
    """The services' process ids as this machine sees them."""
    names = {process["pid"]: name for name, process in cloud.state().items()}
    found = {}

    def look(pid: int) -> None:
        # As this machine sees it, and as the sandbox does; a guest's processes have numbers of the guest's own, too.
        seen = _status(pid)["NSpid"].split()
        if len(seen) == 2 and int(seen[1]) in names:
            found[names[int(seen[1])]] = pid
        for child in outer_children(pid):
            look(child)

    look(cloud.sandbox.supervisor)
    return found


def _status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines)


def test_it_starts_fast_and_stays_small(cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    processes = service_processes(cloud)
    assert set(processes) == set(SERVICES)
    resident = {name: int(_status(pid)["VmRSS"].split()[0]) // 1024 for name, pid in processes.items()}
    load = os.getloadavg()[0] / (os.cpu_count() or 1)
    with capsys.disabled():
        print(f"\nOpenStack: up after {cloud.up_after:.1f} s at load {load:.1f} a core; MiB resident: {resident}")
    assert sum(resident.values()) < 1.2 * 1024


def test_no_service_is_run_by_root_or_may_change_what_is_not_its_own(cloud: Cloud) -> None:
    for name, pid in service_processes(cloud).items():
        status = _status(pid)
        assert "0" not in status["Uid"].split(), name
        assert int(status["CapEff"], 16) == 1 << 2, name  # CAP_DAC_READ_SEARCH
        assert status["NoNewPrivs"] == "1", name


def test_the_catalogue_names_this_runs_addresses_and_each_answers(cloud: Cloud) -> None:
    connection = cloud.connect()
    catalogue = {
        entry["type"]: entry["endpoints"]
        for entry in connection.session.auth.get_access(connection.session).service_catalog.catalog
    }
    assert set(catalogue) == set(SERVICES.values())
    for service, kind in SERVICES.items():
        urls = {endpoint["url"] for endpoint in catalogue[kind] if endpoint["region"] == REGION}
        assert len(urls) == 1
        assert urls.pop().startswith(cloud.sandbox.env[f"HAVEN_SANDBOX_{service.upper()}_URL"])
    answers = [
        list(part) for part in (connection.compute.servers(), connection.image.images(), connection.network.networks())
    ]
    assert answers[0] == []
    assert list(connection.block_storage.volumes()) == []


def test_there_are_flavors_with_and_without_gpus(cloud: Cloud) -> None:
    flavors = {flavor.name: flavor for flavor in cloud.connect("haven-admin").compute.flavors(get_extra_specs=True)}
    plain = [flavor for flavor in flavors.values() if not flavor.extra_specs and flavor.vcpus < 100]
    assert len(plain) >= 2
    assert flavors["gpu.vgpu.1"].extra_specs == {"resources:VGPU": "1"}
    assert flavors["gpu.a100.1"].extra_specs == {"pci_passthrough:alias": "a100:1"}


def test_there_are_four_virtual_gpus(cloud: Cloud) -> None:
    placement = cloud.connect("haven-admin").placement
    [host] = placement.resource_providers()
    inventory = placement.get(f"/resource_providers/{host.id}/inventories").json()["inventories"]
    assert inventory["VGPU"]["total"] == 4


def test_images_say_what_they_are(cloud: Cloud) -> None:
    images = {image.name: image for image in cloud.connect().image.images()}
    debians = [image for name, image in images.items() if name.startswith("haven-debian-")]
    assert {(image.os_distro, image.os_version) for image in debians} == {("debian", "12"), ("debian", "13")}
    ready = [name for name, image in images.items() if image.properties["haven_gpu_ready"] == "true"]
    assert ready == ["haven-debian-12-cuda-20260101"]
    twelve = [images[f"haven-debian-12-{date}"] for date in ("20250101", "20260101")]
    assert twelve[0].created_at <= twelve[1].created_at
    assert cloud.connect().image.get(f"/images/{twelve[0].id}/file").content == trees.content("bookworm")


def test_neutrons_networks_are_the_sandboxs(cloud: Cloud) -> None:
    network = cloud.connect("haven-tiny").network
    guests = network.find_subnet("private", ignore_missing=False)
    assert guests.cidr == cloud.sandbox.env["HAVEN_SANDBOX_SUBNET_CIDR"]
    outside = cloud.connect("haven-admin").network.find_subnet("public", ignore_missing=False)
    assert outside.cidr == "198.51.100.64/26"
    address = cloud.connect().network.create_ip(floating_network_id=outside.network_id)
    cloud.connect().network.delete_ip(address)
    assert address.floating_ip_address.startswith("198.51.100.")


def test_the_tiny_project_runs_out(cloud: Cloud) -> None:
    tiny = cloud.connect("haven-tiny")
    asked = {
        "name": "too-much",
        "image_id": tiny.image.find_image("haven-debian-12-20260101").id,
        "flavor_id": tiny.compute.find_flavor("cpu.large").id,
        "networks": "none",
    }
    with pytest.raises(ForbiddenException, match="Quota exceeded for cores"):
        tiny.compute.create_server(**asked)
    with pytest.raises(HttpException, match=r"[Qq]uota"):
        tiny.block_storage.create_volume(name="too-much", size=6)


def test_an_application_credential_may_do_what_its_access_rules_say(cloud: Cloud) -> None:
    owner = cloud.connect()
    me = owner.current_user_id
    rules = [
        {"service": "compute", "method": "GET", "path": "/v2.1/servers/**"},
        {"service": "network", "method": "GET", "path": "/v2.0/networks"},
    ]
    body = {"application_credential": {"name": f"reader-{time.time_ns()}", "access_rules": rules}}
    answer = owner.identity.post(f"/users/{me}/application_credentials", json=body)
    made = answer.json()["application_credential"]
    limited = openstack.connect(
        load_envvars=False,
        load_yaml_config=False,
        auth_type="v3applicationcredential",
        auth={
            "auth_url": owner.config.auth["auth_url"],
            "application_credential_id": made["id"],
            "application_credential_secret": made["secret"],
        },
        region_name="RegionOne",
    )

    def status(service: str, path: str) -> int:
        code: int = getattr(limited, service).get(path).status_code
        return code

    # Each service checks for itself.
    assert status("network", "/networks") == 200
    assert status("network", "/ports") == 401
    assert status("compute", "/servers/detail") == 200
    assert status("compute", "/flavors") == 401
    assert status("image", "/images") == 401
    assert status("block_storage", "/volumes") == 401
    owner.identity.delete(f"/users/{me}/application_credentials/{made['id']}")


def test_a_server_becomes_active_with_an_address_of_the_pool_and_goes(cloud: Cloud) -> None:
    connection = cloud.connect()
    server = _create(connection)
    assert wait_until(lambda: connection.compute.get_server(server.id).status == "ACTIVE", 60)
    [port] = connection.network.ports(device_id=server.id)
    host = int(port.fixed_ips[0]["ip_address"].split(".")[2]) - int(str(cloud.sandbox.subnet[0]).split(".")[2])
    assert 8 <= host < 12  # subnet[2048] to subnet[2999]
    _delete(connection, server)
    assert list(connection.network.ports(device_id=server.id)) == []


def _create(connection: Connection) -> Any:
    return connection.compute.create_server(
        name="one",
        image_id=connection.image.find_image("haven-debian-12-20260101").id,
        flavor_id=connection.compute.find_flavor("cpu.small").id,
        networks=[{"uuid": connection.network.find_network("private").id}],
    )


def _delete(connection: Connection, server: Any) -> None:
    connection.compute.delete_server(server)
    assert wait_until(lambda: connection.compute.find_server(server.id) is None, 60)


def test_every_request_is_one_line_of_the_log(cloud: Cloud) -> None:
    connection = cloud.connect()
    connection.compute.get_endpoint()
    since = time.time()
    list(connection.compute.flavors(details=True))
    asked = [entry for entry in cloud.log(since, "nova") if "/flavors/detail" in entry["path"]]
    assert len(asked) == 1
    [entry] = asked
    assert entry["agent"].startswith("openstacksdk")
    assert (entry["method"], entry["status"]) == ("GET", 200)
    assert entry["path"].startswith("/v2.1/flavors/detail")
    assert entry["bytes"] > 100
    assert entry["ms"] > 0


def test_a_fault_hits_the_requests_it_is_meant_for_and_no_others(cloud: Cloud) -> None:
    connection = cloud.connect()
    cloud.control("fault", service="nova", method="GET", path=r"/flavors\b", status=500, message="as asked", times=2)
    answers = [connection.compute.get(path).status_code for path in ("/servers", "/flavors", "/flavors", "/flavors")]
    assert answers == [200, 500, 500, 200]


def test_an_error_that_was_asked_for_reads_like_the_services_own(cloud: Cloud) -> None:
    connection = cloud.connect()
    cloud.control("fault", service="neutron", path="/networks", status=409, message="a network of trouble")
    with pytest.raises(HttpException, match="a network of trouble"):
        list(connection.network.networks())
    cloud.control("fault", service="nova", path="/servers", status=409, message="no server today")
    with pytest.raises(HttpException, match="no server today"):
        list(connection.compute.servers())


def test_what_services_ask_each_other_can_be_left_alone(cloud: Cloud) -> None:
    connection = cloud.connect()
    connection.compute.get("/servers")
    cloud.control("fault", service="keystone", path="/v3/auth/tokens", agent="^openstacksdk", status=503, times=-1)
    with pytest.raises(ServiceUnavailable, match="asked for by a test"):
        cloud.connect().session.get_token()
    time.sleep(5.5)  # nova forgets that it has seen the token, and asks keystone
    assert connection.compute.get("/servers").status_code == 200


def test_a_service_can_be_unavailable_for_a_while(cloud: Cloud) -> None:
    connection = cloud.connect()
    connection.network.get("/networks")
    cloud.control("fault", service="neutron", status=503, seconds=2)
    began = time.monotonic()
    assert connection.network.get("/networks").status_code == 503
    assert wait_until(lambda: connection.network.get("/networks").status_code == 200)
    assert time.monotonic() - began >= 1.5


def test_a_service_can_be_slow(cloud: Cloud) -> None:
    connection = cloud.connect()
    connection.image.get("/images")
    cloud.control("latency", service="glance", ms=700)
    began = time.monotonic()
    connection.image.get("/images")
    assert time.monotonic() - began >= 0.7
    cloud.control("reset")
    cloud.control("fault", service="glance", path="/images", delay_ms=900)
    began = time.monotonic()
    assert connection.image.get("/images").status_code == 200
    assert time.monotonic() - began >= 0.9


def test_an_answer_can_get_lost_after_the_work_was_done(cloud: Cloud) -> None:
    connection = cloud.connect()
    connection.compute.get_endpoint()
    name = f"lost-{time.time_ns()}"
    cloud.control("fault", service="nova", method="POST", path="/os-keypairs", drop=True, after_success=True)
    with pytest.raises(ConnectFailure):
        connection.compute.create_keypair(name=name)
    assert connection.compute.find_keypair(name) is not None
    connection.compute.delete_keypair(name)


def test_a_fault_that_makes_no_sense_is_refused(cloud: Cloud) -> None:
    for asked in (
        {"path": "("},
        {"status": 500, "unknown": 1},
        {"service": "nova"},
        {"service": "heat", "status": 500},
    ):
        with pytest.raises(urllib.error.HTTPError) as refused:
            cloud.control("fault", **{"status": 0, **asked})
        assert refused.value.code == 400


def test_tokens_can_be_made_to_end_early(cloud: Cloud) -> None:
    cloud.control("tokens", seconds=45)
    connection = cloud.connect()
    expires = connection.session.auth.get_access(connection.session).expires
    left = (expires - datetime.now(timezone.utc)).total_seconds()
    assert 20 < left <= 45


def test_tokens_can_be_revoked_under_their_owner(cloud: Cloud) -> None:
    connection = cloud.connect()
    token = connection.session.get_token()
    assert connection.compute.get("/servers").status_code == 200
    cloud.control("tokens", revoke=True)
    url = f"{cloud.sandbox.env['HAVEN_SANDBOX_NOVA_URL']}/v2.1/servers"

    def refused() -> bool:
        request = urllib.request.Request(url, headers={"X-Auth-Token": token})  # noqa: S310 - ours
        try:
            with DIRECT.open(request, timeout=10):
                return False
        except urllib.error.HTTPError as error:
            return error.code == 401

    assert wait_until(refused, 30)
    assert connection.compute.get("/servers").status_code == 200  # the SDK gets itself a new one


def test_nova_restarts_alone_and_knows_its_servers(cloud: Cloud) -> None:
    connection = cloud.connect()
    server = _create(connection)
    assert wait_until(lambda: connection.compute.get_server(server.id).status == "ACTIVE", 60)
    before = cloud.state()
    cloud.control("service", name="nova", do="kill")
    assert cloud.state()["nova"]["pid"] is None
    with pytest.raises(ConnectFailure):
        connection.compute.get("/servers")
    assert connection.network.get("/networks").status_code == 200
    cloud.control("service", name="nova", do="start")
    after = cloud.state()
    assert after["nova"]["pid"] != before["nova"]["pid"]
    assert {**after, "nova": 0} == {**before, "nova": 0}
    assert connection.compute.get_server(server.id).status == "ACTIVE"
    _delete(connection, server)


def test_secrets_are_for_their_owners_only(cloud: Cloud) -> None:
    clouds = Path(cloud.sandbox.env["OS_CLIENT_CONFIG_FILE"])
    assert clouds.stat().st_mode & 0o777 == 0o600
    assert cloud.sandbox.paths.openstack.stat().st_mode & 0o777 == 0o700
    password = json.loads(clouds.read_text())["clouds"]["haven"]["auth"]["password"].encode()
    others = [path for path in cloud.sandbox.paths.dir.iterdir() if path.is_file() and path.stat().st_mode & 0o077]
    assert [path for path in others if password in path.read_bytes()] == []
    with pytest.raises(Unauthorized):
        cloud.connect(auth={"password": "guessed"}).session.get_token()
