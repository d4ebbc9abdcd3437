# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: importable_key
short_description: Select the first public key that a cloud can import
version_added: "0.1.0"
author: The haven.gpu contributors (@haven-gpu)
description:
  - Clouds do not import every key that SSH knows. EC2 takes RSA and ED25519 keys only, so no key of a FIDO token.
  - Returns an empty text if the cloud imports none of the keys. Give those to O(haven.gpu.instance#module:ssh_keys).
positional: _input, cloud
options:
  _input:
    description: Public keys, as lines of C(authorized_keys).
    type: list
    elements: str
    required: true
  cloud:
    description: The cloud, as in C(haven_cloud).
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Import a key of the user
  haven.gpu.keypair:
    name: alice
    public_key: "{{ alice.ssh_keys | haven.gpu.importable_key('ec2') }}"
"""

RETURN = r"""
_value:
  description: The key, or an empty text.
  type: str
"""

from collections.abc import Callable, Iterable

from ansible.errors import AnsibleFilterError

from ..module_utils._clouds import package
from ..module_utils._clouds.registry import CLOUDS
from ..module_utils._ssh.checks import public_key


def importable_key(keys: Iterable[str], cloud: str) -> str:
    """Return the first key that the cloud imports, or an empty text, or raise AnsibleFilterError."""
    if isinstance(keys, str):
        raise AnsibleFilterError("importable_key expects a list of public keys.")
    if cloud not in CLOUDS:
        raise AnsibleFilterError(f"importable_key: the cloud is {cloud!a}: use {' or '.join(sorted(CLOUDS))}.")
    known = package(cloud).TRAITS.key_types
    for each in keys:
        key = public_key(str(each).strip())
        if key and key.partition(" ")[0] in known:
            return key
    return ""


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., str]]:
        return {"importable_key": importable_key}
