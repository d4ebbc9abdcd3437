# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The jump host: a guest like the others, but for its second leg and its own user data."""

from __future__ import annotations

import json
from typing import Any

USER = "sshuser"
NAME = "gate"
IMAGE = "bookworm"

_SSHD = """\
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin no
AllowUsers sshuser
AllowAgentForwarding no
AllowStreamLocalForwarding yes
AllowTcpForwarding local
X11Forwarding no
PermitTunnel no
GatewayPorts no
MaxStartups 100:30:200
MaxSessions 200
"""


def user_data(host_key: str, public_key: str) -> bytes:
    """The gate's cloud-config: a user who may pass, a host key known beforehand, an sshd that does what a gate must."""
    config: dict[str, Any] = {
        "users": [{"name": USER, "shell": "/bin/bash", "lock_passwd": True, "ssh_authorized_keys": [public_key]}],
        "ssh_keys": {"ed25519_private": host_key},
        "ssh_deletekeys": True,
        "write_files": [{"path": "/etc/ssh/sshd_config.d/10-gate.conf", "content": _SSHD}],
    }
    return b"#cloud-config\n" + json.dumps(config).encode()
