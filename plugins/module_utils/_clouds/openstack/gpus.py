# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The GPUs of a flavor, according to its extra specs and name. Pure.

OpenStack has no field for a GPU's model or memory. Only the request to the scheduler is certain: a placement resource
class (VGPU, PGPU, or a custom one) or a PCI alias, with a number. The model is guessed from the names that the operator
chose: required traits, the class or alias, and the flavor's own name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Optional

from ..._models import Gpu

# Model: GiB per GPU if the model has only one size, otherwise 0. Longer names first, so that L40S is not taken for L4.
_MODELS = {
    "GB200": 186.0,
    "B200": 180.0,
    "B300": 288.0,
    "H100": 80.0,
    "H200": 141.0,
    "GH200": 0.0,
    "A100": 0.0,
    "A800": 80.0,
    "A10G": 24.0,
    "A10": 24.0,
    "A16": 16.0,
    "A30": 24.0,
    "A40": 48.0,
    "A2": 16.0,
    "L40S": 48.0,
    "L40": 48.0,
    "L4": 24.0,
    "T4": 16.0,
    "V100": 0.0,
    "P100": 16.0,
    "P40": 24.0,
    "MI210": 64.0,
    "MI250": 128.0,
    "MI300X": 192.0,
}
_CLASS = re.compile(r"resources\d*(?:_[A-Za-z0-9_-]+)?:(VGPU|PGPU|CUSTOM_[A-Z0-9_]*)")
_WORDS = re.compile(r"[A-Z]+\d+[A-Z]*")
_MEMORY = re.compile(r"(?<![A-Z0-9])(\d{1,3}) ?G(?:I?B)?(?![A-Z0-9])")


def gpu(flavor: str, extra_specs: Mapping[str, str]) -> Optional[Gpu]:
    """Return the GPUs, or None. If nothing more is known, ``model`` is VGPU or GPU, and ``memory_gib`` is 0."""
    count, kind, hints = 0, "GPU", []
    for key, value in sorted(extra_specs.items()):
        match = _CLASS.fullmatch(key)
        if match:
            name = match.group(1)
            if name.startswith("CUSTOM_") and not _is_gpu(name):
                continue
            kind = "VGPU" if name == "VGPU" else kind
            count += int(value) if value.isascii() and value.isdigit() else 0
            hints.append(name)
        elif key == "pci_passthrough:alias":
            for entry in value.split(","):
                alias, _colon, number = entry.strip().partition(":")
                if _is_gpu(alias):
                    count += int(number) if number.isascii() and number.isdigit() else 1
                    hints.append(alias)
        elif key.startswith("trait") and value == "required":
            hints.append(key.partition(":")[2])
    if count == 0:
        return None
    hints.append(flavor)
    model = next(filter(None, map(_model, hints)), None)
    return Gpu(model or kind, count, _memory(hints, model, whole=kind != "VGPU"))


def _is_gpu(text: str) -> bool:
    return _model(text) is not None or re.search("GPU|NVIDIA|CUDA", text, re.IGNORECASE) is not None


def _model(text: str) -> Optional[str]:
    return next((word for word in _WORDS.findall(text.upper()) if word in _MODELS), None)


def _memory(hints: list[str], model: Optional[str], *, whole: bool) -> float:
    """A slice (VGPU) has less memory than its GPU, so only a size in a name is used."""
    for hint in hints:
        match = _MEMORY.search(hint.upper().replace("_", " ").replace("-", " ").replace(".", " "))
        if match:
            return float(match.group(1))
    return _MODELS.get(model or "", 0.0) if whole else 0.0
