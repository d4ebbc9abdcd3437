# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which names the stand-in hosts answer to."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from ..ec2.environment import REGION
from .content import hosts

ARCHIVES = "codeload.github.com"
RAW = "raw.githubusercontent.com"
# The page that a proxy shows in place of any answer (egress_proxy.py).
SIGN_IN = "sign-in.haven.test"
# They tell who asks from which address it is seen.
TELL_ADDRESS = ("api.ipify.org", "checkip.amazonaws.com")
_AWS = re.compile(r"(?P<service>[a-z0-9]+)\.(?:[a-z0-9-]+\.)?amazonaws\.com")
_AWS_SERVICES = ("ec2", "ssm", "sts")


def aws_service(host: str) -> str:
    """The service of AWS that has a name, '' if none has."""
    found = _AWS.fullmatch(host)
    return found["service"] if found and found["service"] in _AWS_SERVICES else ""


def loopback_address(folder: Path) -> str:
    """Where the proxy of the sandbox in a folder finds the stand-in hosts, at ports 80 and 443 of this machine.

    Nobody else is there: others listen on 127.0.0.1.
    """
    numbers = hashlib.sha256(str(folder.resolve()).encode()).digest()
    return f"127.{128 + numbers[0] % 127}.{numbers[1]}.{1 + numbers[2] % 254}"


def internet() -> list[str]:
    """What guests may ask for through the proxy."""
    return sorted({*hosts(), ARCHIVES, RAW, *TELL_ADDRESS})


def aws() -> list[str]:
    """The EC2 API's own names."""
    return [f"{service}.{REGION}.amazonaws.com" for service in _AWS_SERVICES]
