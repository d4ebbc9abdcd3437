# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What programs of ours on the instances answered, in sentences. Pure.

notebook-work, which the role jupyter installs, says what a stop would end; cuda-check, which the role cuda installs,
whether CUDA programs can run.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Iterable, Mapping
from typing import Any

from ._status import plain

_LONGEST = 600


def work_lines(instances: Iterable[Mapping[str, Any]], hosts: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return a sentence for everybody whose notebook server is in use, and for each instance that did not say.

    instances: as instance_info returns them. hosts: variables of inventory hosts, with the registered result
    ``__haven_work`` of the command notebook-work. Only a running instance can have work.
    """
    known = {str(host.get("haven_id")): host for host in hosts}
    lines = []
    for instance in instances:
        if instance["state"] == "running":
            name = plain(instance["name"] or instance["id"])
            lines += _of(name, known.get(str(instance["id"])))
    return lines


def _of(name: str, host: Mapping[str, Any] | None) -> list[str]:
    if host is None:
        return [f"{name} runs, but the inventory does not list it, so what runs there is unknown."]
    result = host.get("__haven_work") or {}
    if _without_program(result):
        return []
    try:
        busy = [
            (plain(server["user"]), _text(", and ".join(server["work"]))) for server in json.loads(result["stdout"])
        ]
        return [f"On {name}, the notebook server of {user} is in use: {work}." for user, work in busy if work]
    except (KeyError, TypeError, ValueError):
        return [f"What runs on {name} is unknown, because it could not be asked ({_reason(result)})."]


def gpu_lines(instances: Iterable[Mapping[str, Any]], hosts: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return a sentence for each running instance on which CUDA programs cannot run, though they should.

    hosts: variables of inventory hosts, with the registered result ``__haven_cuda`` of the command cuda-check --json.
    An instance that cannot be reached has none: its lack of services shows that already.
    """
    known = {str(host.get("haven_id")): host.get("__haven_cuda") or {} for host in hosts}
    lines = []
    for instance in instances:
        result = known.get(str(instance["id"]), {})
        if instance["state"] != "running" or not result or result.get("unreachable") or _without_program(result):
            continue
        name = plain(instance["name"] or instance["id"])
        try:
            report = json.loads(result["stdout"])
            if not report["ok"]:
                lines.append(f"On {name}, CUDA programs cannot run: {_text(report['summary'])}")
        except (KeyError, TypeError, ValueError):
            lines.append(f"Whether CUDA programs can run on {name} is unknown ({_reason(result)}).")
    return lines


def _without_program(result: Mapping[str, Any]) -> bool:
    """Whether there was nothing to ask: the task was skipped, or the program is not there."""
    return bool(result.get("skipped") or (result.get("rc") == errno.ENOENT and not result.get("stderr")))


def _reason(result: Mapping[str, Any]) -> str:
    return _text(str(result.get("stderr") or result.get("msg") or "no answer").strip().rstrip("."))


def _text(text: str) -> str:
    """Return text from a machine in one line, with characters that cannot be shown as escapes, and not too long."""
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in " ".join(text.split()))
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 3]}..."
