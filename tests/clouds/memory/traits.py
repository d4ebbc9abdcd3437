# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What plans have to know about the memory cloud, which can be known without asking it."""

from __future__ import annotations

from ..._models import Traits

TRAITS = Traits(
    title="The memory cloud",
    changeable=frozenset({"rack"}),
    unsupported={
        name: f"The memory cloud has no {name}: leave it out."
        for name in (
            "availability_zone",
            "hibernation",
            "private_address",
            "public_address",
            "shutdown_behavior",
            "spot",
            "subnet",
        )
    },
    encrypts_disks=False,
    sells_spot=False,
    key_types=("ssh-ed25519",),
    reserved_tags=("memory:",),
)
