# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A sandbox for the tests that need guests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

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
