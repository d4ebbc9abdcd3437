# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The GPUs of common EC2 instance types, so that these need no call. Memory is in GiB per GPU.

Source: DescribeInstanceTypes, 2026. For a type that is not here, the adapter calls it.
"""

from __future__ import annotations

from typing import Optional

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


def known(instance_type: str) -> tuple[bool, Optional[Gpu]]:
    """Return whether this table knows the type, and its GPUs."""
    family, _dot, size = instance_type.partition(".")
    # Only the g and p families have NVIDIA GPUs.
    if family[:1] not in ("g", "p"):
        return True, None
    if family not in _FAMILIES or size not in _FAMILIES[family][2]:
        return False, None
    model, memory, counts = _FAMILIES[family]
    return True, Gpu(model, counts[size], memory)
