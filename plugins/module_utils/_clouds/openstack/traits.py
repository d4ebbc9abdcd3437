# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What plans need to know about OpenStack without asking it."""

from __future__ import annotations

from ..._models import Traits

TRAITS = Traits(
    title="OpenStack",
    encrypts_disks=False,
    sells_spot=False,
    # What nova's library loads in every release. Those of security keys (sk-...) came later.
    key_types=("ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"),
    changeable=frozenset({"floating_ip", "public_address"}),
    unsupported={
        "spot": "OpenStack has no spot instances: leave spot out.",
        "shutdown_behavior": "An OpenStack server that shuts down from inside is stopped, always: leave "
        "shutdown_behavior out.",
        "hibernation": "OpenStack does not preserve the memory of a stopped server: leave hibernation out.",
    },
    states=frozenset({"shelved", "rebuilt"}),
    address_option="floating_ip",
)
