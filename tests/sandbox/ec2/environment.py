# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What moto reads from its environment at import time: strictness, and nothing but our own images."""

from __future__ import annotations

import os

ACCOUNT = "123456789012"
REGION = "us-east-1"
SECOND_REGION = "eu-central-1"  # for those who look in many; machines in memory only

STRICT = {
    "MOTO_ENABLE_AMI_VALIDATION": "true",
    "MOTO_ENABLE_KEYPAIR_VALIDATION": "true",
    "MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION": "true",
    "MOTO_EC2_LOAD_DEFAULT_AMIS": "false",
    "INITIAL_NO_AUTH_ACTION_COUNT": "0",  # every call is checked, the first one too
}


def prepare(port: int) -> None:
    """Set moto's switches. Must run before the first import of moto: it reads some of them only then.

    Variables of the caller's shell that would make this process talk to a cloud or change the account are dropped.
    """
    for name in [name for name in os.environ if name.startswith(("AWS_", "MOTO_"))]:
        del os.environ[name]
    os.environ.update(STRICT, MOTO_PORT=str(port))
