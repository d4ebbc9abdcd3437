# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What plans need to know about EC2 without asking it."""

from __future__ import annotations

from ..._models import Traits

TRAITS = Traits(
    title="EC2",
    encrypts_disks=True,
    sells_spot=True,
    changeable=frozenset({"imdsv2"}),
    reserved_tags=("aws:",),
)
