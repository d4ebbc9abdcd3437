# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The GPUs of flavors, from the names that operators of universities and other clouds choose."""

from __future__ import annotations

import pytest

from ansible_collections.haven.gpu.plugins.module_utils._clouds.openstack import gpus
from ansible_collections.haven.gpu.plugins.module_utils._models import Gpu

UNKNOWN = Gpu("unknown", 0, 0.0)


@pytest.mark.parametrize(
    ("flavor", "extra", "gpu"),
    [
        ("cpu.small", {}, None),
        ("m6.large", {}, None),
        ("m1.large", {"hw:mem_page_size": "large"}, None),
        ("big", {"hw:cpu_policy": "dedicated", "resources:CUSTOM_BAREMETAL": "1"}, None),
        ("gpu.vgpu.1", {"resources:VGPU": "1"}, Gpu("VGPU", 1, 0.0)),
        ("g", {"resources:VGPU": "2", "trait:CUSTOM_NVIDIA_A100": "required"}, Gpu("A100", 2, 0.0)),
        ("g.l40s.2", {"pci_passthrough:alias": "gpu:2"}, Gpu("L40S", 2, 48.0)),
        ("a100-80g", {"pci_passthrough:alias": "a100:1, nic:1"}, Gpu("A100", 1, 80.0)),
        ("h", {"resources:CUSTOM_GPU_H200": "8"}, Gpu("H200", 8, 141.0)),
        ("h", {"resources1:PGPU": "1"}, Gpu("GPU", 1, 0.0)),
        ("h", {"resources_gpu:PGPU": "1"}, Gpu("GPU", 1, 0.0)),
        # A class that placement names after vendor and product.
        ("h", {"resources:CUSTOM_PCI_10DE_20B5": "1"}, Gpu("GPU", 1, 0.0)),
        ("h", {"resources:CUSTOM_PCI_8086_1572": "1"}, None),
        ("h", {"resources:CUSTOM_PCI_RTX_PRO_6000": "1"}, Gpu("RTX PRO 6000", 1, 96.0)),
        ("h", {"resources:CUSTOM_NVIDIA_1G5GB": "1"}, Gpu("GPU", 1, 5.0)),
        ("h", {"resources:CUSTOM_MIG_1G_10GB": "1"}, Gpu("GPU", 1, 10.0)),
        ("t4-8q", {"resources:VGPU": "1", "trait:CUSTOM_GRID_T4_8Q": "required"}, Gpu("T4", 1, 8.0)),
        ("h", {"accel:device_profile": "gpu-v100"}, Gpu("V100", 1, 0.0)),
        # Main memory in the name of a flavor.
        ("m.8c.64g.1g", {"pci_passthrough:alias": "geforce_2080ti:1"}, Gpu("GeForce 2080 TI", 1, 11.0)),
        ("gpu.64gb", {"pci_passthrough:alias": "a100:1"}, Gpu("A100", 1, 0.0)),
        ("g", {"resources:CUSTOM_VGPU_16GB": "1"}, Gpu("GPU", 1, 16.0)),
    ],
)
def test_the_gpus_of_a_flavor(flavor: str, extra: dict[str, str], gpu: Gpu | None) -> None:
    assert gpus.gpu(flavor, extra) == gpu


@pytest.mark.parametrize(
    ("alias", "model", "memory"),
    [
        ("rtx6000", "RTX 6000", 0.0),
        ("rtx_6000_ada", "RTX 6000 ADA", 48.0),
        ("quadro-rtx-8000", "RTX 8000", 48.0),
        ("a6000", "A6000", 48.0),
        ("rtxa6000", "A6000", 48.0),
        ("rtx_a5000", "A5000", 24.0),
        ("geforce_2080ti", "GeForce 2080 TI", 11.0),
        ("rtx2080ti", "GeForce 2080 TI", 11.0),
        ("gtx1080ti", "GeForce 1080 TI", 11.0),
        ("nvidia_3090", "GeForce 3090", 24.0),
        ("titan_rtx", "TITAN RTX", 24.0),
        ("k80", "K80", 12.0),
        ("p4", "P4", 8.0),
        ("m60", "M60", 8.0),
        ("tesla", "GPU", 0.0),
        ("teslav100s", "V100", 0.0),
        ("a100_80", "A100", 80.0),
        ("a100-sxm4-40gb", "A100", 40.0),
        ("a100x", "A100", 0.0),
        ("h100nvl", "H100", 0.0),
        ("h100_94", "H100", 94.0),
        ("v100-32", "V100", 32.0),
        ("L40S", "L40S", 48.0),
        ("nvidia-l4", "L4", 24.0),
        ("gpu", "GPU", 0.0),
        ("vgpu_a40", "A40", 48.0),
        ("10de", "GPU", 0.0),
    ],
)
def test_the_names_that_universities_give_to_gpus(alias: str, model: str, memory: float) -> None:
    assert gpus.gpu("x.large", {"pci_passthrough:alias": f"{alias}:2"}) == Gpu(model, 2, memory)


@pytest.mark.parametrize("alias", ["nic", "mlx5", "connectx-6", "nvme_p4510", "qat-c62x", "intel-x710", "fpga_u250"])
def test_other_devices_are_no_gpus(alias: str) -> None:
    assert gpus.gpu("x.large", {"pci_passthrough:alias": f"{alias}:1"}) is None


def test_what_is_hidden_or_has_an_unknown_name_may_have_gpus() -> None:
    for plain in ("cpu.small", "m6.large", "a2.medium"):
        assert gpus.gpu(plain, None) == UNKNOWN
    assert gpus.gpu("gpu.a100.1", None) == Gpu("A100", 0, 0.0)
    assert gpus.gpu("x.large", {"pci_passthrough:alias": "bigcard:1"}) == UNKNOWN
    # Some operators bind GPUs to hosts and not to flavors.
    assert gpus.gpu("gpu.large", {"aggregate_instance_extra_specs:special": "true"}) == UNKNOWN
    # What is certain counts.
    assert gpus.gpu("x", {"pci_passthrough:alias": "bigcard:1,k80:2"}) == Gpu("K80", 2, 12.0)
