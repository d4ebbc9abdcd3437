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
    # https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/create-key-pairs.html
    key_types=("ssh-ed25519", "ssh-rsa"),
    changeable=frozenset({"imdsv2"}),
    reserved_tags=("aws:",),
)
