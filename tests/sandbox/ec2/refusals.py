# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Refusals in AWS's own words, which say more than their codes: who denies, where terms are accepted."""

from __future__ import annotations

import re
from typing import Any

from .models import error

TERMS = (
    "In order to use this AWS Marketplace product you need to accept terms and subscribe. To do so please visit "
    "https://aws.amazon.com/marketplace/pp?sku={}"
)
NOT_YOU = "You are not authorized to perform this operation."
ENCODED = " Encoded authorization failure message: " + "aBcD" * 150
PRINCIPAL = "arn:aws:sts::123456789012:assumed-role/AWSReservedSSO_Researchers_0123456789abcdef/alice"


def denial(action: str, policy: str, *, explicit: bool, user: str = PRINCIPAL) -> str:
    """What AWS says when a policy of this kind denies an action such as ec2:RunInstances, or does not allow it.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
    """
    why = f"with an explicit deny in a {policy}" if explicit else f"because no {policy} allows the {action} action"
    return (
        f"{NOT_YOU} User: {user} is not authorized to perform: {action} on resource: "
        f"arn:aws:ec2:us-east-1:123456789012:instance/* {why}.{ENCODED}"
    )


def missing(message: str) -> str:
    """moto's message about a permission that the user's own policies do not have, as AWS has it."""
    found = re.search(r"User: (\S+) is not authorized to perform: (\S+)", message)
    if not found:
        return f"{NOT_YOU} {message}"
    return denial(found[2], "identity-based policy", explicit=False, user=found[1])


def check_terms(image: Any, accepted: set[str]) -> None:
    """Raises what AWS answers to a launch from a Marketplace image whose terms the account has not accepted."""
    sku = getattr(image, "terms", "")
    if sku and image.id not in accepted:
        raise error("OptInRequired", TERMS.format(sku))
