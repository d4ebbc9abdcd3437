# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The GPUs of common EC2 instance types, so that these need no call. Memory is in GiB per GPU.

Source: DescribeInstanceTypes, 2026. For a type that is not here, the adapter calls it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

from ..._models import Gpu

_ONE = ("xlarge", "2xlarge", "4xlarge", "8xlarge", "16xlarge")
_USUAL = {**dict.fromkeys(_ONE, 1), "12xlarge": 4, "24xlarge": 4, "48xlarge": 8}

# family: (model, GiB of one GPU, {size: number of GPUs})
_FAMILIES: dict[str, tuple[str, float, dict[str, int]]] = {
    "g4dn": ("T4", 16, {**dict.fromkeys(_ONE, 1), "12xlarge": 4, "metal": 8}),
    "g5": ("A10G", 22.4, _USUAL),
    "g5g": ("T4g", 16, {"xlarge": 1, "2xlarge": 1, "4xlarge": 1, "8xlarge": 1, "16xlarge": 2, "metal": 2}),
    "g6": ("L4", 22.4, _USUAL),
    "g6e": ("L40S", 44.7, _USUAL),
    "g7": ("RTX PRO 4500", 32, {"2xlarge": 1, "4xlarge": 1, "8xlarge": 1, "12xlarge": 2, "24xlarge": 4, "48xlarge": 8}),
    "g7e": (
        "RTX PRO Server 6000",
        96,
        {"2xlarge": 1, "4xlarge": 1, "8xlarge": 1, "12xlarge": 2, "24xlarge": 4, "48xlarge": 8},
    ),
    "gr6": ("L4", 22.4, {"4xlarge": 1, "8xlarge": 1}),
    "p3": ("V100", 16, {"2xlarge": 1, "8xlarge": 4, "16xlarge": 8}),
    "p3dn": ("V100", 32, {"24xlarge": 8}),
    "p4d": ("A100", 40, {"24xlarge": 8}),
    "p4de": ("A100", 80, {"24xlarge": 8}),
    "p5": ("H100", 80, {"4xlarge": 1, "48xlarge": 8}),
    "p5e": ("H200", 141, {"48xlarge": 8}),
    "p5en": ("H200", 141, {"48xlarge": 8}),
    "p6-b200": ("B200", 179.1, {"48xlarge": 8}),
    "p6-b300": ("B300", 268.6, {"48xlarge": 8}),
}
# Types with a part of a GPU.
_PARTS: dict[str, Gpu] = {
    "g6f.large": Gpu("L4", 1, 2.8),
    "g6f.xlarge": Gpu("L4", 1, 2.8),
    "g6f.2xlarge": Gpu("L4", 1, 5.6),
    "g6f.4xlarge": Gpu("L4", 1, 11.2),
    "gr6f.4xlarge": Gpu("L4", 1, 11.2),
}
# For a type that has GPUs, if it cannot be found out which: "unknown" must not look like "none".
UNKNOWN = Gpu("unknown", 1, 0.0)


def known(instance_type: str) -> tuple[bool, Optional[Gpu]]:
    """Return whether this table knows the type, and its GPUs."""
    if instance_type in _PARTS:
        return True, _PARTS[instance_type]
    family, _dot, size = instance_type.partition(".")
    # All families whose names begin with g or p have GPUs, and no others.
    if family[:1] not in ("g", "p"):
        return True, None
    if family not in _FAMILIES or size not in _FAMILIES[family][2]:
        return False, None
    model, memory, counts = _FAMILIES[family]
    return True, Gpu(model, counts[size], memory)


def described(info: Mapping[str, Any]) -> Optional[Gpu]:
    """Return the GPUs in an answer's ``GpuInfo``. A part of a GPU has a Count of 0 and a LogicalGpuCount of 1."""
    for gpu in info.get("Gpus", []):
        count = gpu.get("Count") or gpu.get("LogicalGpuCount") or 1
        memory = gpu.get("MemoryInfo", {}).get("SizeInMiB", 0)
        return Gpu(gpu.get("Name") or UNKNOWN.model, count, round(memory / 1024, 1))
    return None
