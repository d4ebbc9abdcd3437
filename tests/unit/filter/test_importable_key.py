# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The key pair is the first key that the cloud takes, and none if it takes none."""

from __future__ import annotations

import base64
import struct

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.haven.gpu.plugins.filter.importable_key import importable_key


def key(kind: str) -> str:
    blob = struct.pack(">I", len(kind)) + kind.encode() + struct.pack(">I", 4) + b"abcd"
    return f"{kind} {base64.b64encode(blob).decode()}"


FIDO, FIDO_ECDSA = key("sk-ssh-ed25519@openssh.com"), key("sk-ecdsa-sha2-nistp256@openssh.com")
ECDSA, DSA, RSA, ED25519 = key("ecdsa-sha2-nistp256"), key("ssh-dss"), key("ssh-rsa"), key("ssh-ed25519")


@pytest.mark.parametrize(
    ("keys", "on_ec2", "on_openstack"),
    [
        ([ED25519], ED25519, ED25519),
        ([FIDO, f"{ED25519} alice@laptop"], ED25519, ED25519),
        ([FIDO_ECDSA, ECDSA, f" {RSA}\n"], RSA, ECDSA),
        ([f"restrict {ED25519}", RSA], RSA, RSA),
        ([f"cert-authority {RSA}", DSA, FIDO], "", ""),
        ([ECDSA], "", ECDSA),
        (["ssh-ed25519 AAAA", "hello"], "", ""),
        ([], "", ""),
    ],
)
def test_the_first_key_that_the_cloud_imports(keys: list[str], on_ec2: str, on_openstack: str) -> None:
    assert importable_key(keys, "ec2") == on_ec2
    assert importable_key(keys, "openstack") == on_openstack


def test_a_single_text_and_an_unknown_cloud_are_mistakes() -> None:
    with pytest.raises(AnsibleFilterError, match="list of public keys"):
        importable_key(RSA, "ec2")
    with pytest.raises(AnsibleFilterError, match="use ec2 or openstack"):
        importable_key([RSA], "azure")
