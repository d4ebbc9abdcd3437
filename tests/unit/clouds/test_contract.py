# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The contract of all clouds, kept by the one that lives in the tests; and what can be known of the others unasked."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.haven.gpu.plugins.module_utils import _clouds
from ansible_collections.haven.gpu.plugins.module_utils._clouds.registry import CLOUDS
from tests.clouds import MEMORY, memory_cloud
from tests.clouds.contract import Contract, check_package, check_verbs
from tests.clouds.world import MemoryWorld, World

FOLDERS = [*sorted(file.parent for file in Path(_clouds.__path__[0]).glob("*/documentation.yml")), MEMORY]


@pytest.fixture(scope="class")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    one = MemoryWorld(tmp_path_factory.mktemp("memory"))
    yield one
    one.end()


class TestMemory(Contract):
    pass


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_folder_says_all_that_is_asked_of_a_cloud(folder: Path) -> None:
    check_package(memory_cloud() if folder == MEMORY else CLOUDS[folder.name], folder)


def test_every_folder_is_registered() -> None:
    assert [*CLOUDS, "memory"] == [folder.name for folder in FOLDERS]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_adapter_has_the_verbs_of_the_protocol(folder: Path) -> None:
    memory_cloud()
    module = importlib.import_module(f"{_clouds.__name__}.{folder.name}.adapter")
    (adapter,) = [each for each in vars(module).values() if getattr(each, "name", "") == folder.name]
    check_verbs(adapter)
