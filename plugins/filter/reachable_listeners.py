# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: reachable_listeners
short_description: Find programs that other machines can connect to
version_added: "0.1.0"
author: The haven.gpu contributors (@haven-gpu)
description:
  - >-
    Describes each program that listens on an address that other machines can reach. A port on a loopback address does
    not count, whatever its number: only the machine itself can connect to it.
  - >-
    The link-local name service (LLMNR) of systemd-resolved does not count either. It is part of some images, and its
    answers do not leave the network segment (RFC 4795).
  - Names of programs come from the machine; special characters in them are shown as escapes.
positional: _input
options:
  _input:
    description: The fact C(tcp_listen) or C(udp_listen) of M(community.general.listen_ports_facts).
    type: list
    elements: dict
    required: true
  ports:
    description: Ports on which a program may listen.
    type: list
    elements: int
    default: [22]
"""

EXAMPLES = r"""
- name: List the listening ports
  community.general.listen_ports_facts:
  become: true

- name: Check that other machines can connect to sshd only
  ansible.builtin.assert:
    that: __found | length == 0
    fail_msg: "Other machines can connect to {{ __found | join(', ') }}."
  vars:
    __found: "{{ ansible_facts.tcp_listen | haven.gpu.reachable_listeners }}"
"""

RETURN = r"""
_value:
  description: For each program and address, the program, its process, its user, and the address, sorted by port.
  type: list
  elements: str
  sample: ["python3 (process 812 of alice) on 0.0.0.0 port 8000"]
"""

from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_address
from typing import Any

from ansible.errors import AnsibleFilterError

from ..module_utils._errors import shown

_LLMNR = 5355
_LONGEST_PROGRAM = 64


def reachable_listeners(listeners: Iterable[Mapping[str, Any]], ports: Iterable[int] = (22,)) -> list[str]:
    """Return a description of each listener that other machines can reach, or raise AnsibleFilterError."""
    allowed = {int(port) for port in ports}
    try:
        found = {
            (int(each["port"]), _described(each))
            for each in listeners
            if int(each["port"]) not in allowed and not _is_local(str(each["address"])) and not _is_llmnr(each)
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise AnsibleFilterError(
            "reachable_listeners expects the fact tcp_listen or udp_listen of community.general.listen_ports_facts."
        ) from error
    return [description for _port, description in sorted(found)]


def _is_local(address: str) -> bool:
    """Return whether only the machine itself can connect to an address, written as ss or netstat do.

    An address may be bound to a device ("127.0.0.53%lo"), and what is bound to lo can be reached from nowhere else.
    """
    plain, _percent, device = address.strip("[]").partition("%")
    if device == "lo":
        return True
    try:
        parsed = ip_address(plain)
    except ValueError:  # "*": all addresses of both families
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)  # Python before 3.13 does not see ::ffff:127.0.0.1 as loopback
    return (mapped or parsed).is_loopback


def _is_llmnr(listener: Mapping[str, Any]) -> bool:
    # ps cuts a long user name, and the kernel cuts the name of a program.
    program, user = str(listener["name"]), str(listener.get("user", ""))
    return int(listener["port"]) == _LLMNR and program.startswith("systemd-resolve") and user.startswith("systemd")


def _described(listener: Mapping[str, Any]) -> str:
    program = shown(str(listener["name"]))[:_LONGEST_PROGRAM] or "a program of unknown name"
    user = shown(str(listener.get("user") or "").strip())
    owner = f" (process {int(listener['pid'])}{f' of {user}' if user else ''})" if listener.get("pid") else ""
    return f"{program}{owner} on {shown(str(listener['address']))} port {int(listener['port'])}"


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., list[str]]]:
        return {"reachable_listeners": reachable_listeners}
