# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A sandbox for the tests that need guests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.openstack_servers import Project
from tests.integration.sandbox_guests import Sandbox, command, running_sandbox


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """The sandbox that HAVEN_SANDBOX_DIR names when it is up, else one for this session."""
    existing = running_sandbox()
    if existing is not None:
        yield Sandbox(existing)
        return
    folder: Path = tmp_path_factory.mktemp("sandbox")
    started = command("up", folder=folder)
    assert started.returncode == 0, started.stderr
    yield Sandbox(folder)
    assert command("down", folder=folder).returncode == 0


@pytest.fixture(scope="session")
def openstack_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """The sandbox that HAVEN_SANDBOX_DIR names when it is up and has OpenStack, else one for this session."""
    existing = running_sandbox()
    if existing is not None and "OS_CLIENT_CONFIG_FILE" in os.environ:
        yield Sandbox(existing)
        return
    folder: Path = tmp_path_factory.mktemp("openstack")
    started = command("up", "--cloud", "openstack", folder=folder)
    assert started.returncode == 0, started.stderr
    with pytest.MonkeyPatch.context() as patch:
        one = Sandbox(folder)
        patch.setenv("OS_CLIENT_CONFIG_FILE", one.env["OS_CLIENT_CONFIG_FILE"])
        yield one
    assert command("down", folder=folder).returncode == 0


@pytest.fixture(scope="session")
def project(openstack_sandbox: Sandbox) -> Iterator[Project]:
    """The project with quota to play in; what the tests made in it goes at the end."""
    one = Project(openstack_sandbox, "haven")
    yield one
    one.close()
