# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Turns EC2's error codes and messages into errors that users can act on. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Optional

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
        "RequestExpired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
# The owner of the account has to do something first. What that is stands in the message, often as an address.
_ACCOUNT = frozenset({"Blocked", "OptInRequired", "PendingVerification", "SubscriptionRequiredException"})
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})
_CAPACITY = frozenset(
    {
        "InsufficientCapacity",
        "InsufficientHostCapacity",
        "InsufficientInstanceCapacity",
        "InsufficientReservedInstanceCapacity",
        "InsufficientVolumeCapacity",
        "ReservationCapacityExceeded",
        "SpotMaxPriceTooLow",
        "UnfulfillableCapacity",
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
    "InvalidSubnetId": ("subnet", "give the id of a subnet of this region"),
    "InvalidSubnetID": ("subnet", "give the id of a subnet of this region"),
    "InvalidSubnet": ("subnet", "give the id of a subnet of this region"),
    "InvalidGroup": ("firewall", "create it with haven.gpu.firewall first, in the same network"),
    "InvalidGroupId": ("firewall", "create it with haven.gpu.firewall first, in the same network"),
    "InvalidSecurityGroupId": ("firewall", "create it with haven.gpu.firewall first, in the same network"),
    "InvalidSecurityGroupID": ("firewall", "create it with haven.gpu.firewall first, in the same network"),
    "InvalidInstanceID": ("instance", "it may have been terminated in the meantime: run again"),
    "InvalidVolume": ("volume", "it may have been deleted in the meantime: run again"),
    "InvalidVpcID": ("network", "give the id of a VPC of this region"),
    "InvalidZone": ("availability zone", "give one of this region, or leave it out"),
    "ParameterNotFound": ("SSM parameter", "check its name and the region"),
    "ParameterVersionNotFound": ("version of the SSM parameter", "leave the version out, or give another one"),
}
_NO_DEFAULT_NETWORK = frozenset({"DefaultVpcDoesNotExist", "VPCIdNotSpecified"})
# Who else can deny what the identity's own policy allows, in AWS's words, and who can change that. AWS writes "with an
# explicit deny in a service control policy", or "because no permissions boundary allows the ... action".
# https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
_DENIERS = (
    ("service control policy", "the organisation's administrator"),
    ("resource control policy", "the organisation's administrator"),
    ("permissions boundary", "the account's administrator"),
    ("session policy", "the issuer of these credentials"),
    ("VPC endpoint policy", "the network's administrator"),
    ("resource-based policy", "the owner of the resource"),
    ("identity-based policy", "the account's administrator"),
)
_STATE_REASON = re.compile(r"(?:Server|Client)\.(\w+(?:\.\w+)?)(?:: *(.*))?", re.DOTALL)
# Why an instance ended, where the reason is not the error of a call.
_ENDED: dict[str, tuple[type[HavenError], str]] = {
    "InstanceInitiatedShutdown": (
        CloudFailure,
        "It shut itself down: look at its console output and at shutdown_behavior",
    ),
    "InternalError": (
        CloudFailure,
        "AWS failed to launch it ({said}): if its disks are encrypted with your own KMS key, check that these "
        "credentials may use the key; otherwise run again",
    ),
    "SpotInstanceShutdown": (NoCapacity, "AWS took the spot instance back ({said}): run again, or leave spot out"),
    "SpotInstanceTermination": (NoCapacity, "AWS took the spot instance back ({said}): run again, or leave spot out"),
    "UserInitiatedShutdown": (CloudFailure, "Somebody else stopped or terminated it: find out who, and run again"),
}
_ZONES = re.compile(r"choosing ((?:[a-z]{2,}(?:-[a-z]+)+-\d+[a-z](?:, )?)+)")


@dataclass(frozen=True)
class _Refusal:
    """What the API said. ``text`` is its whole message, ``said`` what is quoted of it."""

    code: str
    text: str
    action: str
    service: str

    @property
    def said(self) -> str:
        return tidy(self.text)

    @property
    def address(self) -> str:
        """The first address in the message, or an empty string."""
        found = re.search(r"https?://[!-~]+", self.text)
        return found.group(0).rstrip(".,;:)]'\"") if found else ""

    @property
    def zones(self) -> str:
        """The zones that the message recommends instead, or an empty string."""
        found = _ZONES.search(self.text)
        return " or ".join(found.group(1).strip(", ").split(", ")) if found else ""

    def about(self, *words: str) -> bool:
        return all(word.lower() in self.text.lower() for word in words)


def from_code(code: str, message: str, action: str, service: str = "ec2") -> HavenError:
    """Return the error for a refused call. ``action`` is the API's name for it."""
    refusal = _Refusal(code, message, action, service)
    return _known(refusal) or CloudFailure(
        f"EC2 refused {action} with {code}: {refusal.said}. Check the options against this message, or run again."
    )


def from_state(instance: str, state: str, wanted: str, reason: str) -> HavenError:
    """Return the error for an instance that ended in a state instead of the wanted one.

    ``reason`` is EC2's, such as "Server.InsufficientInstanceCapacity: Insufficient capacity to satisfy instance
    request". Launches that were accepted end like this, too.
    """
    told = f"Instance {instance} was {state} instead of becoming {wanted}"
    match = _STATE_REASON.fullmatch(reason.strip())
    if match is None:
        return CloudFailure(f"{told}{': ' + tidy(reason) if reason else ''}: check its options and run again.")
    refusal = _Refusal(match.group(1), match.group(2) or match.group(1), "RunInstances", "ec2")
    if refusal.code in _ENDED:
        kind, sentence = _ENDED[refusal.code]
        return kind(f"{told}. {sentence.format(said=refusal.said)}.")
    error = _known(refusal)
    if error:
        return type(error)(f"{told}. {error}")
    return CloudFailure(f"{told} ({refusal.code}: {refusal.said}): check its options and run again.")


def plain(code: str) -> str:
    """Return an error's name without the side that AWS and others put before it now and then: Client. or Server."""
    return re.sub(r"^(?:Client|Server)\.", "", code)


def tidy(message: str) -> str:
    """Return one line of limited length, without the encoded data that AWS appends to refusals."""
    return one_line(message.partition("Encoded authorization failure message")[0])


def _known(refusal: _Refusal) -> Optional[HavenError]:
    return next((make(refusal) for matches, make in _KINDS if matches(refusal)), None)


def _credentials(refusal: _Refusal) -> HavenError:
    if "Expired" in refusal.code:
        return BadCredentials("The AWS credentials have expired: renew them (for SSO: aws sso login) and run again.")
    return BadCredentials(
        f"AWS does not accept these credentials ({refusal.code}): check the access key, its secret, the profile and "
        "this computer's clock, and that the account has this region enabled."
    )


def _account(refusal: _Refusal) -> HavenError:
    if refusal.code == "PendingVerification":
        return Refused(f"AWS is still verifying the account for this ({refusal.said}): run again when that is over.")
    if refusal.code == "Blocked":
        return Refused(f"AWS has blocked the account ({refusal.said}): its owner has to contact AWS.")
    where = f"open {refusal.address}" if refusal.address else "sign in to the AWS console"
    if refusal.about("marketplace") or refusal.about("accept", "terms"):
        return Refused(
            f"This image is sold in AWS Marketplace, and the account has not accepted its terms yet: {where} while "
            "signed in to this account, accept them once, and run again."
        )
    return Refused(f"The AWS account is not subscribed to this service ({refusal.said}): {where}, and subscribe.")


def _foreign_image(refusal: _Refusal) -> HavenError:
    return NotFound(
        f"This account may not use the image ({refusal.said}): ask its owner to share it, or choose another image."
    )


def _vendors_rule(refusal: _Refusal) -> HavenError:
    where = f", see {refusal.address}" if refusal.address else ""
    return InvalidRequest(
        f"The vendor of this image does not allow this instance type or region{where}: choose another instance type "
        "or image."
    )


def _denied(refusal: _Refusal) -> HavenError:
    # The message names the exact permission if it differs from the call's own, such as iam:PassRole.
    named = re.search(r"perform:? ([a-z0-9-]+:[A-Za-z]+)", refusal.text)
    permission = named.group(1) if named else f"{refusal.service}:{refusal.action}"
    explicit = refusal.about("explicit deny")
    kind, who = next((pair for pair in _DENIERS if refusal.about(pair[0])), ("policy", "the account's administrator"))
    # An identity-based policy that merely does not allow it is the usual case.
    if not explicit and kind in ("policy", "identity-based policy"):
        return Denied(f"These AWS credentials lack the permission {permission}: have it added to their policy.")
    article = "An" if kind.startswith("i") else "A"
    verdict = f"{article} {kind} denies {permission} explicitly" if explicit else f"No {kind} allows {permission}"
    return Denied(
        f"{verdict}, so adding the permission to these credentials' own policy would not help: ask {who} to allow it, "
        "or for a region, instance type, or image that is allowed."
    )


def _capacity(refusal: _Refusal) -> HavenError:
    if refusal.code == "SpotMaxPriceTooLow":
        return NoCapacity(f"The spot price is above spot.max_price ({refusal.said}): raise it, or leave spot out.")
    where = f"a subnet in {refusal.zones}" if refusal.zones else "a subnet in another availability zone"
    return NoCapacity(
        f"EC2 has no capacity for this instance type there now ({refusal.said}): try {where}, another instance type, "
        "or later."
    )


def _quota(refusal: _Refusal) -> HavenError:
    return QuotaExceeded(
        f"The AWS account's quota does not allow it ({refusal.code}: {refusal.said}): ask for more in Service Quotas, "
        "or free some."
    )


def _throttled(refusal: _Refusal) -> HavenError:
    return Throttled(
        f"EC2 kept throttling {refusal.action}: wait a minute, or make fewer calls at the same time in this account."
    )


def _missing(refusal: _Refusal) -> HavenError:
    kind, advice = _MISSING[refusal.code.partition(".")[0]]
    return NotFound(f"EC2 does not know the {kind} ({refusal.said}): {advice}.")


def _taken(refusal: _Refusal) -> HavenError:
    kind = "key pair" if "Key" in refusal.code else "security group"
    return Refused(
        f"The account has a {kind} of this name that haven.gpu did not create ({refusal.said}), so it is not touched: "
        "choose another name."
    )


def _address(refusal: _Refusal) -> HavenError:
    return InvalidRequest(f"The private_address cannot be used ({refusal.said}): give a free one of the subnet.")


def _too_small(refusal: _Refusal) -> HavenError:
    return InvalidRequest(f"A disk is too small for its image ({refusal.said}): increase size_gib of root_volume.")


def _encryption_key(refusal: _Refusal) -> HavenError:
    return Denied(
        f"A disk cannot be encrypted with the account's KMS key ({refusal.code}: {refusal.said}): check that the key "
        "is enabled, and that these credentials may use it."
    )


def _protected(refusal: _Refusal) -> HavenError:
    return Refused(
        f"EC2 does not allow it, because it is protected ({refusal.said}): "
        "for termination protection, add termination_protection: false to the same call."
    )


def _stop_protected(refusal: _Refusal) -> HavenError:
    return Refused(
        f"EC2 does not stop an instance with stop protection ({refusal.said}): turn the protection off in the AWS "
        "console first."
    )


def _one_time_spot(_refusal: _Refusal) -> HavenError:
    return Refused(
        "EC2 cannot stop a spot instance of a one-time request, so it keeps running and costs money: terminate it with "
        "state: absent (its root disk is lost), or use an instance without spot. Only a persistent spot request, which "
        "haven.gpu does not make, would allow stopping."
    )


def _instance_type(refusal: _Refusal) -> HavenError:
    if refusal.zones:
        return InvalidRequest(
            f"EC2 does not offer this instance type in that availability zone ({refusal.said}): use a subnet in "
            f"{refusal.zones}, or another instance type."
        )
    return InvalidRequest(
        f"EC2 does not offer this instance type there ({refusal.said}): check its spelling, the region and the zone."
    )


def _addresses(refusal: _Refusal) -> HavenError:
    return QuotaExceeded(
        f"The subnet has no free address ({refusal.said}): use another subnet, or terminate something in it."
    )


def _state(refusal: _Refusal) -> HavenError:
    return CloudFailure(
        f"EC2 cannot {refusal.action} in the state the instance is in ({refusal.said}): wait a moment and run again."
    )


def _no_default_network(refusal: _Refusal) -> HavenError:
    return NotFound(
        f"The AWS account has no default network (VPC) with a subnet in this region ({refusal.said}): set subnet "
        "(haven_subnet in the playbooks) to one that the jump host can reach."
    )


def _two_networks(refusal: _Refusal) -> HavenError:
    return InvalidRequest(
        f"The firewall and the subnet are in different networks ({refusal.said}): create the firewall with "
        "haven.gpu.firewall and the same subnet."
    )


def _key_kind(refusal: _Refusal) -> HavenError:
    return InvalidRequest(
        f"EC2 does not import this public key ({refusal.said}): it takes RSA and ED25519 keys, so give one of these, "
        "or none."
    )


_Make = Callable[[_Refusal], HavenError]
# In order: the first that matches is used.
_KINDS: tuple[tuple[Callable[[_Refusal], bool], _Make], ...] = (
    (lambda said: said.code == "AuthFailure" and said.about("not authorized for images"), _foreign_image),
    (lambda said: said.code in _CREDENTIALS, _credentials),
    (lambda said: said.code in _ACCOUNT, _account),
    (lambda said: said.code in _DENIED, _denied),
    (lambda said: said.code in _CAPACITY, _capacity),
    (lambda said: said.code in THROTTLED, _throttled),
    (lambda said: said.code in _QUOTA or said.code.endswith("LimitExceeded"), _quota),
    (lambda said: said.code in ("InvalidKeyPair.Duplicate", "InvalidGroup.Duplicate"), _taken),
    (lambda said: said.code == "InvalidIPAddress.InUse" or said.about("does not fall within the subnet"), _address),
    (lambda said: said.code == "InvalidBlockDeviceMapping" and said.about("smaller than snapshot"), _too_small),
    (lambda said: "KMS" in said.code, _encryption_key),
    (lambda said: said.code == "InsufficientFreeAddressesInSubnet", _addresses),
    (lambda said: said.code in ("IncorrectInstanceState", "IncorrectState"), _state),
    (lambda said: said.code == "OperationNotPermitted" and said.about("disableApiTermination"), _protected),
    (lambda said: said.code == "OperationNotPermitted" and said.about("disableApiStop"), _stop_protected),
    (lambda said: said.code == "UnsupportedOperation" and said.about("one-time", "spot"), _one_time_spot),
    (lambda said: said.code.startswith("Unsupported") and said.about("marketplace"), _vendors_rule),
    (lambda said: said.code in _NO_DEFAULT_NETWORK, _no_default_network),
    (lambda said: said.code == "MissingInput" and said.about("subnet"), _no_default_network),
    (lambda said: said.about("different networks"), _two_networks),
    (lambda said: said.code in ("InvalidKey.Format", "InvalidKeyPair.Format"), _key_kind),
    (lambda said: said.code in ("InvalidInstanceType", "Unsupported") or _about_type(said), _instance_type),
    (lambda said: said.code.partition(".")[0] in _MISSING, _missing),
)


def _about_type(refusal: _Refusal) -> bool:
    invalid = refusal.code in ("InvalidParameterValue", "ValidationException")
    return invalid and re.search("instance ?type", refusal.text, re.IGNORECASE) is not None
