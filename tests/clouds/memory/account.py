# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The memory cloud itself, as a service behind an API would be: a file that everybody with its path shares.

Each call is noted under ``calls``. ``faults`` make the next call of a name fail: ``before`` it does anything, or
``after`` it, so that its answer is lost; with a ``code`` the answer is that error. ``fail_creations`` lets machines
that are made end in an error. ``slow_ends`` is the number of questions that a machine takes to end.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Optional, TextIO

REGIONS = ("here", "there")
# By name: (model, count, GiB of each GPU), if any.
TYPES: dict[str, Optional[tuple[str, int, float]]] = {
    "small": None,
    "medium": None,
    "gpu": ("Memory-1", 2, 16.0),
}
# By id, oldest first.
IMAGES = {"image-1": "memory-2025", "image-2": "memory-2026"}
KINDS = ("machines", "disks", "firewalls", "key_pairs")


class RejectedError(Exception):
    """The service says no; ``code`` says why in one word."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class SilentError(Exception):
    """No answer comes."""


class Account:
    def __init__(self, file: str) -> None:
        self._file = file

    @contextlib.contextmanager
    def call(self, name: str, **about: Any) -> Iterator[dict[str, Any]]:
        """All there is, for one call; what is changed in it is kept unless the call fails."""
        with self._file_or_silence() as kept:
            fcntl.flock(kept, fcntl.LOCK_EX)
            kept.seek(0)
            before = kept.read()
            state = json.loads(before) if before else {**{kind: {} for kind in KINDS}, "calls": [], "faults": []}
            state["calls"].append({"call": name, "at": time.time(), **about})
            fault = next((each for each in state["faults"] if each["call"] == name), None)
            if fault:
                state["faults"].remove(fault)
            try:
                if fault and fault["when"] == "before":
                    raise _failing(fault)
                yield state
            except (RejectedError, SilentError):
                # Nothing is done of what fails, but the call was made.
                called, faults = state["calls"], state["faults"]
                state = {**(json.loads(before) if before else state), "calls": called, "faults": faults}
                raise
            finally:
                kept.seek(0)
                kept.truncate()
                json.dump(state, kept)
            if fault:
                raise _failing(fault)

    def _file_or_silence(self) -> TextIO:
        try:
            return open(self._file, "a+", encoding="utf-8")
        except OSError as error:
            raise SilentError(f"{self._file}: {error.strerror}") from error

    # -- machines

    def create(self, region: str, token: str, wanted: Mapping[str, Any], disks: Sequence[Mapping[str, Any]]) -> Any:
        """One machine a token, however often it is sent."""
        with self.call("create", region=region) as state:
            for each in state["machines"].values():
                if each["token"] == token:
                    return each
            if wanted["type"] not in TYPES:
                raise RejectedError("invalid", f"there is no type {wanted['type']}")
            machine_id = _new_id(state, "m")
            made = {
                "id": machine_id,
                "region": region,
                "state": "failed" if state.pop("fail_creations", False) else "pending",
                "token": token,
                "protected": False,
                "boots": 1,
                "launched_at": None,
                "private_address": f"10.0.0.{10 + len(state['machines'])}",
                "disks": [],
                **wanted,
            }
            for number, each in enumerate(disks):
                disk = {"id": _new_id(state, "d"), "region": region, "root": number == 0, "machine": machine_id, **each}
                state["disks"][disk["id"]] = disk
                made["disks"].append(disk["id"])
            state["machines"][machine_id] = made
            return made

    def machines(
        self, region: str, tags: Mapping[str, Sequence[str]], ids: Optional[Sequence[str]] = None
    ) -> list[Any]:
        """Those that carry each tag with one of its values (any value where there are none). Each question lets a
        machine come a step further."""
        with self.call("machines" if ids is None else "refresh", region=region, tags=sorted(tags)) as state:
            found = []
            for each in state["machines"].values():
                if each["region"] != region or (ids is not None and each["id"] not in ids):
                    continue
                if all(key in each["tags"] and (not some or each["tags"][key] in some) for key, some in tags.items()):
                    found.append({**each, "disks": [state["disks"][disk] for disk in each["disks"]]})
                    _go_on(each, state.get("slow_ends", 0))
            return found

    def act(self, action: str, ids: Sequence[str]) -> None:
        """start, stop, restart or terminate."""
        with self.call(action, ids=list(ids)) as state:
            for each in ids:
                machine = self._of(state, "machines", each)
                if action == "terminate":
                    self._terminate(state, machine)
                else:
                    machine["state"] = "stopping" if action == "stop" else "pending"
                    machine["boots"] += action == "restart"

    def _terminate(self, state: dict[str, Any], machine: dict[str, Any]) -> None:
        if machine["protected"]:
            raise RejectedError("protected", f"{machine['id']} is protected")
        machine["state"] = "terminating" if machine["state"] != "terminated" else "terminated"
        for disk in machine["disks"]:
            if state["disks"][disk]["delete"]:
                del state["disks"][disk]
            else:
                state["disks"][disk]["machine"] = None
        machine["disks"] = []

    def change(self, machine_id: str, **values: Any) -> None:
        with self.call("change", id=machine_id) as state:
            machine = self._of(state, "machines", machine_id)
            if "type" in values and machine["state"] != "stopped":
                raise RejectedError("invalid", f"{machine_id} is not stopped")
            machine.update(values)

    def change_disk(self, disk_id: str, **values: Any) -> None:
        with self.call("change_disk", id=disk_id) as state:
            self._of(state, "disks", disk_id).update(values)

    def tag(self, machine_id: str, tags: Mapping[str, Optional[str]]) -> None:
        """Set tags, and take those away that are None."""
        with self.call("tag", id=machine_id) as state:
            machine = self._of(state, "machines", machine_id)
            machine["tags"] = {key: value for key, value in {**machine["tags"], **tags}.items() if value is not None}

    def console(self, machine_id: str) -> str:
        with self.call("console", id=machine_id) as state:
            machine = self._of(state, "machines", machine_id)
            key = b"\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20" + hashlib.sha256(machine["token"].encode()).digest()
            public = f"ssh-ed25519 {base64.b64encode(key).decode()}"
            return f"-----BEGIN SSH HOST KEY KEYS-----\n{public} root@here\n-----END SSH HOST KEY KEYS-----\nlogin: "

    # -- everything else: a dictionary by id, with ``tags``

    def listed(self, kind: str, region: str, tags: Mapping[str, str]) -> list[Any]:
        with self.call("listed", kind=kind, region=region, tags=sorted(tags)) as state:
            return [
                each
                for each in state[kind].values()
                if each["region"] == region and tags.items() <= each["tags"].items()
            ]

    def add(self, kind: str, region: str, item: Mapping[str, Any]) -> Any:
        """What has a name there has it alone."""
        with self.call("add", kind=kind, region=region) as state:
            for each in state[kind].values():
                if (each["region"], each["name"]) == (region, item["name"]):
                    raise RejectedError("exists", f"{each['id']} has that name")
            made = {"id": _new_id(state, kind[0]), "region": region, **item}
            state[kind][made["id"]] = made
            return made

    def set_rules(self, firewall_id: str, add: Sequence[Any], remove: Sequence[Any]) -> None:
        with self.call("set_rules", id=firewall_id) as state:
            firewall = self._of(state, "firewalls", firewall_id)
            kept = [rule for rule in firewall["rules"] if rule[:5] not in [each[:5] for each in [*add, *remove]]]
            firewall["rules"] = [*kept, *map(list, add)]

    def delete(self, kind: str, item_id: str) -> None:
        with self.call("delete", kind=kind, id=item_id) as state:
            self._of(state, kind, item_id)
            living = [each for each in state["machines"].values() if each["state"] != "terminated"]
            if any(item_id in each["disks"] or item_id in each["firewalls"] for each in living):
                raise RejectedError("used", f"{item_id} is used")
            del state[kind][item_id]

    @staticmethod
    def _of(state: dict[str, Any], kind: str, item_id: str) -> Any:
        if item_id not in state[kind]:
            raise RejectedError("gone", f"there is no {item_id}")
        return state[kind][item_id]


def _new_id(state: dict[str, Any], prefix: str) -> str:
    state["number"] = state.get("number", 0) + 1
    return f"{prefix}-{state['number']:06d}"


def _failing(fault: Mapping[str, str]) -> Exception:
    """What a caller sees of a fault."""
    return RejectedError(fault["code"], "it failed") if fault.get("code") else SilentError(fault["call"])


def _go_on(machine: dict[str, Any], slow_ends: int) -> None:
    """A machine takes one question for each change of its state, and so many more to end."""
    after = {"pending": "running", "stopping": "stopped", "terminating": "terminated"}
    if machine["state"] == "pending":
        machine["launched_at"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    if machine["state"] == "terminating":
        machine["asked"] = machine.get("asked", 0) + 1
        if machine["asked"] <= slow_ends:
            return
    machine["state"] = after.get(machine["state"], machine["state"])
