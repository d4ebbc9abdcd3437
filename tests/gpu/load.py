# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps the first GPU busy without any framework: python -m tests.gpu.load SECONDS.

It fills memory of the GPU again and again through libcuda.so.1. It prints "busy" once it has begun.
Signatures: cuda.h, https://docs.nvidia.com/cuda/cuda-driver-api/.
"""

from __future__ import annotations

import ctypes
import sys
import time

SIZE = 512 << 20


def main(seconds: float) -> None:
    """Keep the GPU busy for that long. RuntimeError: a call of CUDA failed."""
    cuda = ctypes.CDLL("libcuda.so.1")

    def call(name: str, *arguments: object) -> None:
        result = getattr(cuda, name)(*arguments)
        if result:
            raise RuntimeError(f"{name} answers {result}")

    device, context, address = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_uint64()
    call("cuInit", 0)
    call("cuDeviceGet", ctypes.byref(device), 0)
    call("cuCtxCreate_v2", ctypes.byref(context), 0, device)
    call("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(SIZE))
    print("busy", flush=True)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        call("cuMemsetD8_v2", address, ctypes.c_ubyte(1), ctypes.c_size_t(SIZE))
        call("cuCtxSynchronize")
    call("cuMemFree_v2", address)
    call("cuCtxDestroy_v2", context)


if __name__ == "__main__":
    main(float(sys.argv[1]))
