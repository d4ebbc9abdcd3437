# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The GPUs of a flavor, according to its extra specs and name. Pure.

OpenStack has no field for a GPU's model or memory. Only the request to the scheduler is certain: a placement resource
class (VGPU, PGPU, or a custom one), a PCI alias, or a device profile of Cyborg, with a number. Operators choose their
names. The model is guessed from them: required traits, the class or alias, and the flavor's own name.

A cloud may hide extra specs from its users, and an alias may have a name that says nothing. Then the number is 0, for
not known: it is for the machine to say what it has.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Optional

from ..._models import Gpu

# Model: the sizes in GiB per GPU that it is sold with. The default is the only one, if there is only one.
_MODELS: Mapping[str, Sequence[float]] = {
    # NVIDIA, for data centers
    "GB200": (186,), "GB300": (288,), "GH200": (96, 144), "B100": (192,), "B200": (180,), "B300": (288,),
    "H100": (80, 64, 94, 96), "H200": (141,), "H800": (80,), "H20": (96, 141),
    "A100": (40, 80), "A800": (80, 40), "A10G": (24,), "A10": (24,), "A16": (16,), "A30": (24,), "A40": (48,),
    "A2": (16,),
    "L40S": (48,), "L40": (48,), "L4": (24,), "L20": (48,), "L2": (24,),
    "T4G": (16,), "T4": (16,), "V100": (16, 32), "P100": (16, 12), "P40": (24,), "P6": (16,), "P4": (8,),
    "M60": (8,), "M40": (12, 24), "M10": (8,), "M6": (8,), "K80": (12,), "K40": (12,), "K20": (5,),
    "K2": (4,), "K1": (4,),
    # NVIDIA, for workstations and desks
    "RTX PRO 6000": (96,), "RTX PRO 5000": (48,), "RTX PRO 4500": (32,), "RTX PRO 4000": (24,),
    "RTX 8000": (48,), "RTX 6000": (24, 48), "RTX 5000": (16, 32), "RTX 4500": (24,), "RTX 4000": (8, 20),
    "RTX 6000 ADA": (48,), "RTX 5000 ADA": (32,), "RTX 4500 ADA": (24,), "RTX 4000 ADA": (20,),
    "A6000": (48,), "A5500": (24,), "A5000": (24,), "A4500": (20,), "A4000": (16,), "A2000": (6, 12),
    "5090": (32,), "5080": (16,), "5070": (12,), "4090": (24,), "4080": (16,), "4070": (12,),
    "3090": (24,), "3080": (10, 12), "3070": (8,), "3060": (12, 8), "2080 TI": (11,), "2080": (8,), "2070": (8,),
    "2060": (6, 12), "1080 TI": (11,), "1080": (8,), "1070": (8,), "1060": (6, 3),
    "TITAN RTX": (24,), "TITAN V": (12,), "TITAN XP": (12,), "TITAN X": (12,),
    # AMD
    "MI25": (16,), "MI50": (16, 32), "MI60": (32,), "MI100": (32,), "MI210": (64,), "MI250X": (128,), "MI250": (128,),
    "MI300X": (192,), "MI300A": (128,), "MI325X": (256,), "MI355X": (288,),
}  # fmt: skip
# Names for one model that differ in more than their separators.
_ALSO = {"RTX A6000": "A6000", "RTX A5500": "A5500", "RTX A5000": "A5000", "RTX A4500": "A4500", "RTX A4000": "A4000"}
# A model that is a bare number is one only after a name of its family.
_FAMILY = r"(?:NVIDIA|TESLA|QUADRO|GEFORCE|RTX|GTX|GPU|PCI)"
_SEPARATOR = r"[ _.-]?"


def _pattern(model: str) -> str:
    name = _SEPARATOR.join(map(re.escape, model.split()))
    return rf"{_FAMILY}{_SEPARATOR}{name}" if model[0].isdigit() else f"(?:{_FAMILY}{_SEPARATOR})*{name}"


# Longer names first, so that L40S is not taken for L40. What may follow without a separator is a variant of the model.
_BY_LENGTH = sorted([*_MODELS, *_ALSO], key=len, reverse=True)
_MODEL = re.compile(
    r"(?<![A-Z0-9])(?:"
    + "|".join(f"(?P<m{number}>{_pattern(model)})" for number, model in enumerate(_BY_LENGTH))
    + r")(?:S|X|D|M|C|SXM\d?|NVL|PCIE?)?(?![A-Z0-9])"
)
# Words in names of GPUs whose model says nothing, and NVIDIA's number as a vendor on the PCI bus.
_GPU_WORDS = re.compile(
    r"GPU|NVIDIA|CUDA|GEFORCE|TESLA|QUADRO|TITAN|(?<![A-Z])(?:RTX|GTX|MIG|GRID)(?![A-Z])|RADEON|INSTINCT"
    r"|(?<![A-Z0-9])10DE(?![A-Z0-9])"
)
# Words in names of other devices that are passed through.
_OTHER_WORDS = re.compile(
    r"(?<![A-Z])(?:V?NIC|SR-?IOV|VF|PF|MLX\d?|MELLANOX|CONNECTX|CX|BLUEFIELD|DPU|INFINIBAND|IB|HCA|ROCE|ETH|NET|INTEL|"
    r"NVME|SSD|OPTANE|DISK|QAT|QUICKASSIST|CRYPTO|FPGA|ALVEO|XILINX|HBA|USB|TPU|NPU)(?![A-Z])"
)
_CLASS = re.compile(r"resources\d*(?:_[A-Za-z0-9_-]+)?:(VGPU|PGPU|CUSTOM_[A-Z0-9_]*)")
# A slice of a GPU (MIG), as in 1g.5gb: the second number is its memory.
_SLICE = re.compile(r"(?<![A-Z0-9])\d ?G ?(\d{1,3}) ?GB?(?![A-Z0-9])")
# What may follow a model: its form, and its memory: a number, with G or with the letter of a vGPU's profile (T4-8Q).
_AFTER = re.compile(r"(?: (?:SXM\d?|PCIE?|NVL))? ?(\d{1,3})(?: ?(G(?:I?B)?|[QCAB]))?(?![A-Z0-9])")
_MEMORY = re.compile(r"(?<![A-Z0-9])(\d{1,3}) ?G(?:I?B)?(?![A-Z0-9])")
_UNKNOWN = "unknown"


def gpu(flavor: str, extra_specs: Optional[Mapping[str, str]]) -> Optional[Gpu]:
    """Return the GPUs, or None if it has none. ``extra_specs`` is None if the cloud hides them.

    If nothing more is known, ``model`` is VGPU, GPU, or unknown, and ``memory_gib`` is 0. ``count`` 0 means that it may
    have any number of GPUs, or none.
    """
    count, maybe, kind, hints = 0, extra_specs is None, "GPU", []
    for key, value in sorted((extra_specs or {}).items()):
        match = _CLASS.fullmatch(key)
        if match:
            name = match.group(1)
            if name.startswith("CUSTOM_") and not is_gpu(name):
                continue
            kind = "VGPU" if name == "VGPU" else kind
            count += int(value) if value.isascii() and value.isdigit() else 0
            hints.append(name)
        elif key in ("pci_passthrough:alias", "accel:device_profile"):
            for entry in value.split(","):
                alias, _colon, number = entry.strip().partition(":")
                if is_gpu(alias):
                    count += int(number) if number.isascii() and number.isdigit() else 1
                    hints.append(alias)
                elif alias and not _OTHER_WORDS.search(alias.upper()):
                    maybe = True
        elif key.startswith("trait") and value == "required":
            hints.append(key.partition(":")[2])
    if count or _says_gpu(flavor):
        hints.append(flavor)
    if not (count or maybe or any(map(is_gpu, hints))):
        return None
    model = next(filter(None, map(_model, hints)), None)
    memory = _memory(hints, flavor, model, whole=kind != "VGPU") if count else 0.0
    # NVIDIA's cards for desks are known by a number.
    name = f"GeForce {model}" if model and model[0].isdigit() else model
    return Gpu(name or (kind if count else _UNKNOWN), count, memory)


def _says_gpu(flavor: str) -> bool:
    """Whether the name of a flavor alone is a hint. Families of flavors have short names, such as m6 and a2, too."""
    return _GPU_WORDS.search(flavor.upper()) is not None or len(_model(flavor) or "") > 3


def is_gpu(text: str) -> bool:
    """Whether a name that an operator chose is that of a GPU."""
    return _model(text) is not None or _GPU_WORDS.search(text.upper()) is not None


def _model(text: str) -> Optional[str]:
    match = _MODEL.search(text.upper())
    name = _BY_LENGTH[int(str(match.lastgroup)[1:])] if match else None
    return _ALSO.get(name, name) if name else None


def _memory(hints: Sequence[str], flavor: str, model: Optional[str], *, whole: bool) -> float:
    """A slice (VGPU, MIG) has less memory than its GPU, so only a size in a name is used.

    A size in a flavor's name may be that of its main memory, so there it counts only after the model.
    """
    sizes = _MODELS.get(model or "", ())
    for hint in hints:
        text = hint.upper()
        plain = re.sub(r"[_.-]", " ", text)
        part = _SLICE.search(plain)
        if part:
            return float(part.group(1))
        named = _MODEL.search(text)
        after = _AFTER.match(plain, named.end()) if named else None
        if after and (after.group(2) or int(after.group(1)) in sizes):
            return float(after.group(1))
        size = _MEMORY.search(plain) if hint != flavor else None
        if size:
            return float(size.group(1))
    return float(sizes[0]) if whole and len(sizes) == 1 else 0.0
