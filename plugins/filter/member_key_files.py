# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: member_key_files
short_description: Write the authorized keys of a jump host's members
version_added: "0.1.0"
author: The haven.gpu contributors (@haven-gpu)
description:
  - Returns a file in the format of authorized_keys for each member, as the module M(haven.gpu.files) expects it.
  - Each key allows only port forwarding, and expires on the member's expiry date.
positional: _input
options:
  _input:
    description: Members, as in C(jump_host_members) of the role P(haven.gpu.jump_host#role).
    type: list
    elements: dict
    required: true
  folder:
    description: Folder of the files, as an absolute path.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Write the keys of all members
  haven.gpu.files:
    files: "{{ jump_host_members | haven.gpu.member_key_files(folder='/etc/ssh/members') }}"
"""

RETURN = r"""
_value:
  description: One file for each member, in the order given, with C(path) and C(content).
  type: list
  elements: dict
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any


def member_key_files(members: Iterable[Mapping[str, Any]], folder: str) -> list[dict[str, str]]:
    """Return the key files. Each member has a name, ssh_keys, and optionally expires, a day such as 2027-01-31."""
    return [{"path": f"{folder}/{member['name']}", "content": _content(member)} for member in members]


def _content(member: Mapping[str, Any]) -> str:
    day = str(member.get("expires") or "").replace("-", "")
    options = "restrict,port-forwarding" + (f',expiry-time="{day}"' if day else "")
    lines = ["# Managed by the role haven.gpu.jump_host", *(f"{options} {key}" for key in member["ssh_keys"])]
    return "".join(f"{line}\n" for line in lines)


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., list[dict[str, str]]]]:
        return {"member_key_files": member_key_files}
