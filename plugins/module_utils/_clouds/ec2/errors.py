# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Turns EC2's error codes and messages into errors that users can act on. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable

from ..._errors import (
    BadCredentials,
    CloudFailure,
    Denied,
    HavenError,
    InvalidRequest,
    NoCapacity,
    NotFound,
    QuotaExceeded,
    Refused,
    Throttled,
    one_line,
)

THROTTLED = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "PriorRequestNotComplete",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "TooManyRequestsException",
    }
)
# The server failed, but the same request may succeed.
TRANSIENT = frozenset({"InternalError", "InternalFailure", "ServiceUnavailable", "Unavailable", "RequestTimeout"})

_CREDENTIALS = frozenset(
    {
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "MissingAuthenticationToken",
        "OptInRequired",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})
_CAPACITY = frozenset(
    {
        "InsufficientCapacity",
        "InsufficientHostCapacity",
        "InsufficientInstanceCapacity",
        "InsufficientReservedInstanceCapacity",
        "InsufficientVolumeCapacity",
        "SpotMaxPriceTooLow",
    }
)
_QUOTA = frozenset(
    {
        "AddressLimitExceeded",
        "InstanceLimitExceeded",
        "MaxSpotInstanceCountExceeded",
        "ResourceCountExceeded",
        "ResourceLimitExceeded",
        "RulesPerSecurityGroupLimitExceeded",
        "SecurityGroupLimitExceeded",
        "SecurityGroupsPerInstanceLimitExceeded",
        "VcpuLimitExceeded",
        "VolumeLimitExceeded",
    }
)
_MISSING = {
    "InvalidAMIID": ("image", "give the id of an image of this region, or a name and its owner"),
    "InvalidKeyPair": ("key pair", "import it with haven.gpu.keypair, or name an account's key in ec2.key_name"),
    "InvalidSubnetID": ("subnet", "give the id of a subnet of this region"),
    "InvalidSubnet": ("subnet", "give the id of a subnet of this region"),
    "InvalidGroup": ("firewall", "create it with haven.gpu.firewall first, in the same network"),
    "InvalidGroupId": ("firewall", "create it with haven.gpu.firewall first, in the same network"),
    "InvalidSecurityGroupID": ("firewall", "create it with haven.gpu.firewall first, in the same network"),
    "InvalidInstanceID": ("instance", "it may have been terminated in the meantime: run again"),
    "InvalidVolume": ("volume", "it may have been deleted in the meantime: run again"),
    "InvalidVpcID": ("network", "give the id of a VPC of this region"),
    "ParameterNotFound": ("SSM parameter", "check its name and the region"),
}


def from_code(code: str, message: str, action: str, service: str = "ec2") -> HavenError:
    """Return the error for a refused call. ``action`` is the API's name for it."""
    said = tidy(message)
    for matches, make in _KINDS:
        if matches(code, said):
            return make(code, said, action, service)
    return CloudFailure(
        f"EC2 refused {action} with {code}: {said}. Check the options against this message, or run again."
    )


def tidy(message: str) -> str:
    """Return one line of limited length, without the encoded data that AWS appends to refusals."""
    return one_line(message.partition("Encoded authorization failure message")[0])


def _credentials(code: str, _said: str, _action: str, _service: str) -> HavenError:
    if "Expired" in code:
        return BadCredentials("The AWS credentials have expired: renew them (for SSO: aws sso login) and run again.")
    return BadCredentials(
        f"AWS does not accept these credentials ({code}): check the access key, its secret, the profile and this "
        "computer's clock."
    )


def _denied(_code: str, said: str, action: str, service: str) -> HavenError:
    # The message names the exact permission if it differs from the call's own, such as iam:PassRole.
    named = re.search(r"perform:? ([a-z0-9-]+:[A-Za-z]+)", said)
    permission = named.group(1) if named else f"{service}:{action}"
    return Denied(f"These AWS credentials lack the permission {permission}: have it added to their policy.")


def _capacity(code: str, said: str, _action: str, _service: str) -> HavenError:
    if code == "SpotMaxPriceTooLow":
        return NoCapacity(f"The spot price is above spot.max_price ({said}): raise it, or leave spot out.")
    return NoCapacity(
        f"EC2 has no capacity for this instance type there now ({said}): try another availability zone, "
        "another instance type, or later."
    )


def _quota(code: str, said: str, _action: str, _service: str) -> HavenError:
    return QuotaExceeded(
        f"The AWS account's quota does not allow it ({code}: {said}): ask for more in Service Quotas, or free some."
    )


def _throttled(_code: str, _said: str, action: str, _service: str) -> HavenError:
    return Throttled(
        f"EC2 kept throttling {action}: wait a minute, or make fewer calls at the same time in this account."
    )


def _missing(code: str, said: str, _action: str, _service: str) -> HavenError:
    kind, advice = _MISSING[code.partition(".")[0]]
    return NotFound(f"EC2 does not know the {kind} ({said}): {advice}.")


def _protected(_code: str, said: str, _action: str, _service: str) -> HavenError:
    return Refused(
        f"EC2 does not allow it, because it is protected ({said}): "
        "for termination protection, add termination_protection: false to the same call."
    )


def _instance_type(_code: str, said: str, _action: str, _service: str) -> HavenError:
    return InvalidRequest(
        f"EC2 does not offer this instance type there ({said}): check its spelling, the region and the zone."
    )


def _addresses(_code: str, said: str, _action: str, _service: str) -> HavenError:
    return QuotaExceeded(f"The subnet has no free address ({said}): use another subnet, or terminate something in it.")


def _state(_code: str, said: str, action: str, _service: str) -> HavenError:
    return CloudFailure(f"EC2 cannot {action} in the state the instance is in ({said}): wait a moment and run again.")


def _about_type(code: str, said: str) -> bool:
    invalid = code in ("InvalidParameterValue", "ValidationException")
    return invalid and re.search("instance ?type", said, re.IGNORECASE) is not None


_Make = Callable[[str, str, str, str], HavenError]
# In order: the first that matches (code, message) is used.
_KINDS: tuple[tuple[Callable[[str, str], bool], _Make], ...] = (
    (lambda code, _said: code in _CREDENTIALS, _credentials),
    (lambda code, _said: code in _DENIED, _denied),
    (lambda code, _said: code in _CAPACITY, _capacity),
    (lambda code, _said: code in _QUOTA, _quota),
    (lambda code, _said: code in THROTTLED, _throttled),
    (lambda code, _said: code == "InsufficientFreeAddressesInSubnet", _addresses),
    (lambda code, _said: code in ("IncorrectInstanceState", "IncorrectState"), _state),
    (lambda code, said: code == "OperationNotPermitted" and "disableApiTermination" in said, _protected),
    (lambda code, said: code in ("InvalidInstanceType", "Unsupported") or _about_type(code, said), _instance_type),
    (lambda code, _said: code.partition(".")[0] in _MISSING, _missing),
)
