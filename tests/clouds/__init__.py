# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every cloud must be able to do (contract.py), and a cloud that lives in these tests only (memory/)."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ansible_collections.haven.gpu.plugins.module_utils import _clouds

if TYPE_CHECKING:
    from ansible_collections.haven.gpu.plugins.module_utils._cloud import CloudPackage

MEMORY = Path(__file__).parent / "memory"


def memory_cloud() -> CloudPackage:
    """The memory cloud, as though its folder lay where those of the others do."""
    if str(MEMORY.parent) not in _clouds.__path__:
        _clouds.__path__.append(str(MEMORY.parent))
    return cast("CloudPackage", importlib.import_module(f"{_clouds.__name__}.memory"))
