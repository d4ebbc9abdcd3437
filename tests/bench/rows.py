# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows of EC2's table."""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Optional

from . import inventory_rows, wishes
from .cloud import Ec2, Measured, program
from .row import Row, side, unchanged

# An SDK that keeps trying is stopped here, so that the benchmark ends.
PATIENCE = 60.0


class Bench:
    """All rows in order. ``quick`` measures fewer repetitions and fewer machines."""

    def __init__(self, cloud: Ec2, *, quick: bool = False, only: Optional[str] = None) -> None:
        self._cloud = cloud
        self._quick = quick
        self._only = only
        self._random = random.Random(20260101)  # noqa: S311 -- the same waits in every run
        self._key = cloud.folder / "key.pub"
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(cloud.folder / "key")]
        subprocess.run(command, check=True)

    def rows(self) -> Iterator[Row]:
        parts: dict[str, Callable[[], Iterator[Row]]] = {
            "floor": self._floor,
            "one": self._one,
            "twenty": self._twenty,
            "stack": self._stack,
            "capacity": self._capacity,
            "inventory": self._inventory,
            "shortcuts": self._shortcuts,
        }
        for name, part in parts.items():
            if self._only in (None, name):
                self._cloud.reset()
                yield from part()

    def _floor(self) -> Iterator[Row]:
        bare = self._cloud.folder / "hosts"
        bare.write_text("")
        python = side(self._cloud.measure([sys.executable, "-c", "import boto3"]))
        yield Row("floor: import boto3", python)
        yield Row("floor: empty ansible-inventory", side(self._list(bare)))
        yield Row("floor: a playbook with one ping", side(self._cloud.play([{"ansible.builtin.ping": {}}])))

    def _one(self) -> Iterator[Row]:
        walls, lasts = [], []
        pendings = [round(self._random.uniform(2, 8), 1) for _ in range(1 if self._quick else 4)]
        for pending in pendings:
            self._cloud.reset()
            self._cloud.control("pending", seconds=pending)
            lasts.append(self._cloud.play(wishes.our_one()))
            walls.append(side(lasts[-1]).seconds - pending)
        beyond = (
            f"beyond pending: {statistics.mean(walls):.2f} s on average of {len(walls)}, {max(walls):.2f} s at most"
        )
        talk = max(each.talking - pending for each, pending in zip(lasts, pendings))
        note = f"pending {pendings[-1]} s; {beyond}; from first to last call at most {talk:.2f} s beyond"
        ours = side(lasts[-1], note=note)
        ours_again = unchanged(self._cloud.play(wishes.our_one()))
        self._cloud.reset()
        self._cloud.control("pending", seconds=pendings[-1])
        peer = side(self._cloud.play(wishes.peer_one()))
        self._cloud.control("reset")
        yield Row("instance: create, wait", ours, peer)
        yield Row("instance: unchanged", ours_again, unchanged(self._cloud.play(wishes.peer_one())))

    def _twenty(self) -> Iterator[Row]:
        pending = round(self._random.uniform(2, 8), 1)
        self._cloud.control("pending", seconds=pending)
        waited = self._cloud.play(wishes.our_twenty())
        note = f"beyond pending: {waited.seconds - pending:.2f} s"
        yield Row(f"20 instances, pending {pending} s: create", side(waited, note=note))
        self._cloud.reset()
        ours = side(self._cloud.play(wishes.our_twenty()), note="one call of the module")
        again = unchanged(self._cloud.play(wishes.our_twenty()))
        self._cloud.reset()
        peer = side(self._cloud.play(wishes.peer_twenty()), note="a loop")
        yield Row("20 instances: create", ours, peer)
        yield Row("20 instances: unchanged", again, unchanged(self._cloud.play(wishes.peer_twenty())))
        self._cloud.reset()
        # One call for all is no way for ours: names would be written after it, and a run that is killed in between
        # leaves machines that are paid for and that no name finds. The peer's have one name, or none.
        counted = side(
            self._cloud.play(wishes.peer_twenty_counted()),
            note="exact_count: 20 in one call, all of one name; each of ours has its own from its first moment",
        )
        yield Row("20 instances: create", ours, counted)

    def _stack(self) -> Iterator[Row]:
        for latency in (0, 150):
            results = []
            for tasks in (wishes.our_stack(self._key), wishes.peer_stack(self._key)):
                self._cloud.reset()
                self._cloud.control("latency", ms=latency)
                results.append(side(self._cloud.play(tasks)))
                results.append(unchanged(self._cloud.play(tasks)))
            case = f"key pair + firewall + instance + add_host, {latency} ms a call"
            yield Row(f"{case}: create", results[0], results[2])
            yield Row(f"{case}: unchanged", results[1], results[3])

    def _capacity(self) -> Iterator[Row]:
        results = []
        for tasks in (wishes.our_one(), wishes.peer_one()):
            self._cloud.reset()
            fault: dict[str, Any] = {"action": "RunInstances", "code": "InsufficientInstanceCapacity", "status": 500}
            self._cloud.control("fault", times=-1, message="None left", **fault)
            results.append(side(self._cloud.play(tasks, limit=PATIENCE), wanted=2))
        yield Row("instance: no capacity", results[0], results[1])

    def _inventory(self) -> Iterator[Row]:
        return inventory_rows.rows(self._cloud, quick=self._quick)

    def _shortcuts(self) -> Iterator[Row]:
        return inventory_rows.shortcuts(self._cloud, quick=self._quick)

    def _list(self, file: Path) -> Measured:
        return self._cloud.measure([program("ansible-inventory"), "-i", str(file), "--list"])
