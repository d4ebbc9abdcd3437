# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What AWS says when it refuses, in its own words, becomes a reason and something that helps."""

# ruff: noqa: E501 -- AWS's own sentences

from __future__ import annotations

import pytest

from ansible_collections.haven.gpu.plugins.module_utils._clouds.ec2 import errors

TERMS = (
    "In order to use this AWS Marketplace product you need to accept terms and subscribe. To do so please visit "
    "https://aws.amazon.com/marketplace/pp?sku=7zjmlfxjjw0c1mz0fn1d2h8tt"
)
WHO = (
    "User: arn:aws:sts::111122223333:assumed-role/AWSReservedSSO_ResearchersWithAVeryLongName_0123456789abcdef/alice "
    "is not authorized to perform: {} on resource: arn:aws:ec2:eu-north-1:111122223333:instance/* {}"
)
NOT_YOU = "You are not authorized to perform this operation. " + WHO
ENCODED = " Encoded authorization failure message: " + "A" * 900
NO_ROOM = (
    "We currently do not have sufficient p4d.24xlarge capacity in the Availability Zone you requested (eu-north-1a). Our "
    "system will be working on provisioning additional capacity. You can currently get p4d.24xlarge capacity by not "
    "specifying an Availability Zone in your request or choosing eu-north-1b, eu-north-1c."
)
NOT_IN_ZONE = (
    "Your requested instance type (g5.xlarge) is not supported in your requested Availability Zone (eu-north-1c). Please "
    "retry your request by not specifying an Availability Zone or choosing eu-north-1a, eu-north-1b."
)
VENDOR = (
    "The instance configuration for this AWS Marketplace product is not supported. Please see "
    "https://aws.amazon.com/marketplace/pp?sku=abc for more information about supported instance types, regions, and "
    "operating systems."
)
ONE_TIME = (
    "You can't stop the Spot Instance 'i-1' because it is associated with a one-time Spot Instance request. You can only "
    "stop Spot Instances associated with persistent Spot Instance requests."
)
CASES = [
    ("OptInRequired", TERMS, "refused", "open https://aws.amazon.com/marketplace/pp?sku=7zjmlfxjjw0c1mz0fn1d2h8tt while"),
    ("OptInRequired", f"{TERMS} ", "refused", "accept them once"),
    ("OptInRequired", "You must accept the terms of this software.", "refused", "accept them once"),
    ("OptInRequired", "You are not subscribed to this service. Please go to http://aws.amazon.com to subscribe.",
     "refused", "open http://aws.amazon.com, and subscribe"),
    ("SubscriptionRequiredException", "The AWS Access Key Id needs a subscription for the service", "refused", "subscri"),
    ("PendingVerification", "Your request for accessing resources in this region is being validated, and you will not be "
     "able to launch additional resources until the validation is complete.", "refused", "verifying"),
    ("Blocked", "This account is currently blocked and not recognized as a valid account.", "refused", "contact AWS"),
    ("UnsupportedOperation", VENDOR, "invalid_request", "https://aws.amazon.com/marketplace/pp?sku=abc"),
    ("AuthFailure", "Not authorized for images: [ami-0123456789abcdef0]", "not_found", "may not use the image"),
    ("AuthFailure", "AWS was not able to validate the provided access credentials", "bad_credentials", "region"),
    ("InsufficientInstanceCapacity", NO_ROOM, "no_capacity", "a subnet in eu-north-1b or eu-north-1c"),
    ("Unsupported", NOT_IN_ZONE, "invalid_request", "a subnet in eu-north-1a or eu-north-1b"),
    ("UnsupportedOperation", ONE_TIME, "refused", "state: absent"),
    ("OperationNotPermitted", "Modify its 'disableApiStop' instance attribute and try again.", "refused", "protection"),
    ("InvalidKeyPair.Duplicate", "The keypair already exists", "refused", "choose another name"),
    ("InvalidGroup.Duplicate", "The security group 'p' already exists for VPC 'vpc-1'", "refused", "security group of this"),
    ("InvalidSubnetId.NotFound", "The subnet ID 'subnet-1' does not exist", "not_found", "know the subnet"),
    ("InvalidZone.NotFound", "The zone 'x' does not exist", "not_found", "know the availability zone"),
    ("InvalidIPAddress.InUse", "Address 10.0.0.5 is in use.", "invalid_request", "private_address"),
    ("InvalidParameterValue", "Address 203.0.113.5 does not fall within the subnet's address range", "invalid_request",
     "private_address"),
    ("InvalidBlockDeviceMapping", "Volume of size 8GB is smaller than snapshot 'snap-1', expect size >= 100GB",
     "invalid_request", "size_gib of root_volume"),
    ("UnfulfillableCapacity", "x", "no_capacity", "later"),
    ("MaxIOPSLimitExceeded", "x", "quota", "Service Quotas"),
    ("RequestLimitExceeded", "x", "throttled", "wait a minute"),
    ("InvalidKMSKey.InvalidState", "The KMS key is pending deletion", "denied", "check that the key is"),
    ("VPCIdNotSpecified", "No default VPC for this user", "not_found", "haven_subnet"),
    ("DefaultVpcDoesNotExist", "There is no default VPC in this region.", "not_found", "haven_subnet"),
    ("MissingInput", "No subnets found for the default VPC 'vpc-1'. Please specify a subnet.", "not_found", "haven_subnet"),
    ("InvalidParameter", "Security group sg-1 and subnet subnet-1 belong to different networks.", "invalid_request",
     "haven.gpu.firewall and the same subnet"),
    ("InvalidKey.Format", "Key is not in valid OpenSSH public key format", "invalid_request", "RSA and ED25519"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "message", "reason", "said"), CASES)
def test_a_refusal_says_what_helps(code: str, message: str, reason: str, said: str) -> None:
    error = errors.from_code(code, message, "RunInstances")
    assert (error.reason, said in str(error)) == (reason, True), str(error)
    assert str(error).endswith(".")
    assert len(str(error)) < 600


DENIALS = [
    ("with an explicit deny in a service control policy", "A service control policy denies", "organisation"),
    ("with an explicit deny in a resource control policy", "A resource control policy denies", "organisation"),
    ("with an explicit deny in a permissions boundary", "A permissions boundary denies", "administrator"),
    ("with an explicit deny in a session policy", "A session policy denies", "issuer"),
    ("with an explicit deny in a VPC endpoint policy", "A VPC endpoint policy denies", "network"),
    ("with an explicit deny in an identity-based policy", "An identity-based policy denies", "administrator"),
    ("with an explicit deny", "A policy denies", "administrator"),
    ("because no service control policy allows the {} action", "No service control policy allows", "organisation"),
    ("because no permissions boundary allows the {} action", "No permissions boundary allows", "administrator"),
    ("because no session policy allows the {} action", "No session policy allows", "issuer"),
]


@pytest.mark.parametrize(("why", "verdict", "who"), DENIALS)
@pytest.mark.parametrize("action", ["ec2:RunInstances", "iam:PassRole"])
@pytest.mark.parametrize("message", [NOT_YOU, NOT_YOU + "." + ENCODED, WHO])
def test_who_denies_is_named_and_no_permission_is_advised(
    why: str, verdict: str, who: str, action: str, message: str
) -> None:
    error = errors.from_code("UnauthorizedOperation", message.format(action, why.format(action)), "RunInstances")
    assert error.reason == "denied"
    assert f"{verdict} {action}" in str(error)
    assert who in str(error)
    assert "would not help" in str(error)
    assert "have it added" not in str(error)


@pytest.mark.parametrize(
    "why", ["", "because no identity-based policy allows the ec2:RunInstances action", "(something new)"]
)
def test_a_permission_that_is_merely_missing_is_to_be_added(why: str) -> None:
    error = errors.from_code("UnauthorizedOperation", NOT_YOU.format("ec2:RunInstances", why) + ENCODED, "RunInstances")
    assert str(error) == "These AWS credentials lack the permission ec2:RunInstances: have it added to their policy."


ENDINGS = [
    ("Server.InsufficientInstanceCapacity: Insufficient capacity to satisfy instance request", "no_capacity", "try"),
    ("Server.InsufficientInstanceCapacity", "no_capacity", "another instance type"),
    ("Server.SpotInstanceTermination: Instance terminated due to lack of capacity", "no_capacity", "took"),
    ("Client.VolumeLimitExceeded: Volume limit exceeded", "quota", "Service Quotas"),
    ("Client.InternalError: Client error on launch", "cloud_failure", "KMS key"),
    ("Server.InternalError: Internal error on launch", "cloud_failure", "Internal error on launch"),
    ("Client.UserInitiatedShutdown: User initiated shutdown", "cloud_failure", "Somebody else"),
    ("Client.InstanceInitiatedShutdown: Instance initiated shutdown", "cloud_failure", "shut itself down"),
    ("Client.InvalidSnapshot.NotFound: The snapshot 'snap-1' does not exist", "cloud_failure", "snap-1"),
    ("Server.Unheard: Of", "cloud_failure", "Unheard: Of"),
    ("something else", "cloud_failure", "something else"),
    ("", "cloud_failure", "check its options"),
]


@pytest.mark.parametrize(("why", "reason", "said"), ENDINGS)
def test_a_launch_that_ends_has_the_reason_of_a_refused_one(why: str, reason: str, said: str) -> None:
    error = errors.from_state("one (i-1)", "terminated", "running", why)
    assert (error.reason, said in str(error)) == (reason, True), str(error)
    assert str(error).startswith("Instance one (i-1) was terminated instead of becoming running")
    assert str(error).endswith(".")


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("Client.UnauthorizedOperation", "UnauthorizedOperation"),
        ("Server.InternalError", "InternalError"),
        ("InvalidGroup.NotFound", "InvalidGroup.NotFound"),
    ],
)
def test_the_side_before_a_code_is_left_out(code: str, name: str) -> None:
    assert errors.plain(code) == name
