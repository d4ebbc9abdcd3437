# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An image like those that inventories/example_ec2 names: the user ubuntu, and a GPU with its driver.

The driver is what a program sees of one: its libraries are stand-ins (molecule/cuda/files), its device nodes are links
to /dev/null, and where the kernel's modules are listed there is one of that name.
"""

from __future__ import annotations

from .layers import Files
from .profiles import DEFAULT_USER, DRIVER_LIBRARIES
from .profiles import DRIVER_VERSION as VERSION

_MODULES = "usr/lib/haven-sandbox/modules"
_LOAD = f"""\
[Unit]
Description=Show the driver of a GPU among the kernel's modules
DefaultDependencies=no
Before=sysinit.target

[Service]
Type=oneshot
RemainAfterExit=true
ExecStart=/usr/bin/mount --bind /{_MODULES} /sys/module
"""
_NODES = "".join(f"L /dev/{node} - - - - /dev/null\n" for node in ("nvidiactl", "nvidia-uvm", "nvidia0"))

LAYERS = (
    Files(
        {
            "etc/cloud/cloud.cfg.d/90-ubuntu.cfg": DEFAULT_USER,
            "etc/systemd/system/sandbox-gpu.service": _LOAD,
            "etc/tmpfiles.d/sandbox-gpu.conf": _NODES,
            f"{_MODULES}/nvidia/version": f"{VERSION}\n",
        },
        {"etc/systemd/system/sysinit.target.wants/sandbox-gpu.service": "../sandbox-gpu.service"},
    ),
    DRIVER_LIBRARIES,
)
