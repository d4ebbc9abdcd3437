# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sandboxes for the tests that need guests, and the APIs of both clouds."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests import leftovers
from tests.conftest import SHORT
from tests.integration.clouds import Api, OpenStackApi
from tests.integration.openstack_servers import Project
from tests.integration.sandbox_guests import Sandbox, own_sandbox, running_sandbox
from tests.sandbox.ec2 import process as ec2_process
from tests.sandbox.openstack import process as openstack_process

# `make test` leaves to `make test-long` these files on OpenStack: what they show is decided above the adapters, which
# keep one contract (test_contract.py). What is OpenStack's own is in test_openstack.py.
DECIDED_ABOVE = {
    "test_access_and_info.py",
    "test_errors.py",
    "test_found_machines.py",
    "test_identity.py",
    "test_instance.py",
    "test_instance_changes.py",
    "test_instances.py",
    "test_playbook.py",
    "test_sources.py",
}


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """The sandbox that HAVEN_SANDBOX_DIR names when it is up, else one for this session."""
    existing = running_sandbox()
    if existing is not None:
        yield Sandbox(existing)
        return
    with own_sandbox(tmp_path_factory.mktemp("sandbox")) as own:
        yield own


@pytest.fixture(scope="session")
def openstack_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """The sandbox that HAVEN_SANDBOX_DIR names when it is up and has OpenStack, else one for this session.

    Each test process has its own, since the faults and restarts of one test meet everybody who uses these services.
    """
    existing = running_sandbox()
    first = os.environ.get("PYTEST_XDIST_WORKER", "gw0") == "gw0"
    if existing is not None and first and "OS_CLIENT_CONFIG_FILE" in os.environ:
        yield from _left_as_found(Sandbox(existing))
        return
    folder = tmp_path_factory.mktemp("openstack")
    with own_sandbox(folder, "openstack") as own, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OS_CLIENT_CONFIG_FILE", own.env["OS_CLIENT_CONFIG_FILE"])
        yield from _left_as_found(own)


def _left_as_found(sandbox: Sandbox) -> Iterator[Sandbox]:
    """The session's last check: no server, port, floating IP, volume, key pair or security group of ours is left."""
    clouds = sandbox.env["OS_CLIENT_CONFIG_FILE"]
    before = leftovers.resources(clouds)
    yield sandbox
    _nothing_left(clouds, before)


def _nothing_left(clouds: str, before: set[str]) -> None:
    remaining = leftovers.remaining(clouds, before)
    assert not remaining, leftovers.explained(clouds, remaining)


@pytest.fixture(scope="session")
def project(openstack_sandbox: Sandbox) -> Iterator[Project]:
    """The project with quota to play in; what the tests made in it goes at the end."""
    one = Project(openstack_sandbox, "haven")
    yield one
    one.close()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """On both clouds, unless the test says which, or has other parameters for each."""
    if "api" in metafunc.fixturenames or "account" in metafunc.fixturenames:
        if any("cloud" in each.args[0] for each in metafunc.definition.iter_markers("parametrize")):
            return
        only = metafunc.definition.get_closest_marker("only")
        clouds = ("ec2",) if SHORT and metafunc.definition.path.name in DECIDED_ABOVE else ("ec2", "openstack")
        metafunc.parametrize("cloud", only.args if only else clouds, scope="session")


@pytest.fixture
def api(cloud: str, request: pytest.FixtureRequest) -> Api:
    """The API of the cloud this test runs on."""
    found: Api = request.getfixturevalue(f"{cloud}_api")
    return found


@pytest.fixture(scope="session")
def openstack_guests_api(openstack_sandbox: Sandbox) -> OpenStackApi:
    """The OpenStack services, with real guests."""
    return OpenStackApi({**openstack_sandbox.env, "OS_CLOUD": "haven"})


@pytest.fixture(scope="session")
def openstack_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenStackApi]:
    """The OpenStack services, those of each test process its own, with servers that exist in memory only."""
    with openstack_process.serving(tmp_path_factory.mktemp("openstack-memory")) as facts:
        clouds = facts["OS_CLIENT_CONFIG_FILE"]
        before = leftovers.resources(clouds)
        yield OpenStackApi({**facts, "OS_CLOUD": "haven"})
        _nothing_left(clouds, before)


@pytest.fixture(scope="session")
def ec2_guests_api(sandbox: Sandbox) -> Api:
    """The EC2 API whose machines are guests."""
    return Api(sandbox.env)


@pytest.fixture(scope="session")
def ec2_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The EC2 API, one for each test process, with machines that exist in memory only."""
    with ec2_process.serving(tmp_path_factory.mktemp("ec2")) as facts:
        yield Api(facts)
