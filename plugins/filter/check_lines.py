# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: check_lines
short_description: Format what a check found out as a table
version_added: "0.1.0"
author: The haven.gpu contributors (@haven-gpu)
description:
  - Returns a line for each finding of M(haven.gpu.project_check), with columns for the verdict, what was checked, and
    what there is to say. What is wrong comes last.
positional: _input
options:
  _input:
    description: The findings.
    type: list
    elements: dict
    required: true
  faults:
    description: Sentences about variables that are wrong, each of which becomes another line.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Show what was found out
  ansible.builtin.debug:
    msg: "{{ checked.findings | haven.gpu.check_lines }}"
"""

RETURN = r"""
_value:
  description: The lines.
  type: list
  elements: str
"""

from collections.abc import Callable, Mapping, Sequence

_WORDS = {"ok": "ok", "unknown": "not sure", "wrong": "WRONG"}


def check_lines(findings: Sequence[Mapping[str, str]], faults: Sequence[str] = ()) -> list[str]:
    """Return the lines of the table."""
    rows = [(each["verdict"], each["about"], each["said"]) for each in findings]
    rows += [("wrong", "variables", fault) for fault in faults]
    order = list(_WORDS)
    rows.sort(key=lambda row: order.index(row[0]))
    widest = max((len(about) for _verdict, about, _said in rows), default=0)
    return [f"{_WORDS[verdict]:<9}{about:<{widest}}  {said}".rstrip() for verdict, about, said in rows]


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., list[str]]]:
        return {"check_lines": check_lines}
