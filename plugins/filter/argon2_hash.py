# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: argon2_hash
short_description: Hash a notebook password with a reproducible salt
version_added: "0.1.0"
author: The haven.gpu contributors (@haven-gpu)
description:
  - Creates the argon2id hash that jupyter_server checks a password against.
  - The salt is not random but derived from a secret, the host, and the user. The same password therefore gives the same
    hash on every run, so that a second run changes nothing, and two accounts never share a salt.
  - Runs on the controller; the password itself never reaches the host.
requirements: [argon2-cffi]
positional: _input
options:
  _input:
    description: The password.
    type: str
    required: true
  secret:
    description: The project's secret, at least 16 characters. Keep it in a vault. Changing it changes every hash.
    type: str
    required: true
  host:
    description: Name of the host in the inventory.
    type: str
    required: true
  user:
    description: Name of the account on the host.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show the hash of a password
  ansible.builtin.debug:
    msg: "{{ 'correct horse' | haven.gpu.argon2_hash(secret=vault_secret, host=inventory_hostname, user='alice') }}"
"""

RETURN = r"""
_value:
  description: The hash, with its kind in front, as C(PasswordIdentityProvider.hashed_password) expects it.
  type: str
  sample: argon2:$argon2id$v=19$m=10240,t=10,p=8$c2FsdHNhbHRzYWx0c2FsdA$aGFzaA
"""

from collections.abc import Callable

from ansible.errors import AnsibleFilterError

from ..plugin_utils._password import argon2_hash as _argon2_hash


def argon2_hash(password: object, *, secret: object, host: object, user: object) -> str:
    """Return the hash, or raise AnsibleFilterError. No message quotes an argument."""
    if not all(isinstance(value, str) for value in (password, secret, host, user)):
        raise AnsibleFilterError(
            "argon2_hash: the password, secret, host, and user must be strings; put quotes around numbers."
        )
    try:
        return _argon2_hash(str(password), secret=str(secret), host=str(host), user=str(user))
    except ValueError as error:
        raise AnsibleFilterError(f"argon2_hash: {error}") from error
    except ImportError as error:
        raise AnsibleFilterError(
            "argon2_hash: the Python package argon2-cffi is missing on the controller; "
            "install it where ansible-core is installed (pip install argon2-cffi)."
        ) from error


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., str]]:
        return {"argon2_hash": argon2_hash}
