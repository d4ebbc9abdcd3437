# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows of the table: what was measured, on which side, next to what."""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from . import wishes
from .cloud import Cloud, Measured, program

# An SDK that keeps trying is stopped here, so that the benchmark ends.
PATIENCE = 60.0


@dataclass(frozen=True)
class Side:
    """One side of a row: ``polls`` only ask whether it is done, ``tags`` write tags, ``calls`` are all other calls."""

    seconds: float
    calls: int
    polls: int = 0
    tags: int = 0
    note: str = ""
    # Every action with its number, for the JSON.
    actions: Optional[dict[str, int]] = None


@dataclass(frozen=True)
class Row:
    case: str
    ours: Side
    peer: Optional[Side] = None
    note: str = ""

    @property
    def ratio(self) -> Optional[float]:
        """How many times longer the peer takes."""
        return self.peer.seconds / self.ours.seconds if self.peer else None


class BenchmarkBroken(Exception):  # noqa: N818 -- it says what happened
    """A measured command did not do what is measured."""


def side(measured: Measured, *, wanted: int = 0, note: str = "") -> Side:
    """A measurement as one side of a row, checked: a failed run has no time."""
    if measured.stopped:
        note = f"stopped by the benchmark after {measured.seconds:.0f} s"
    elif (measured.status != 0) != (wanted != 0):
        raise BenchmarkBroken(f"exit status {measured.status}: {measured.output[-3000:]}")
    polls, tags = measured.polls, measured.tags
    calls = measured.calls.total() - polls - tags
    return Side(round(measured.seconds, 2), calls, polls, tags, note, dict(sorted(measured.calls.items())))


def unchanged(measured: Measured) -> Side:
    if "changed=0" not in measured.output:
        raise BenchmarkBroken(f"the second run changed something: {measured.output[-3000:]}")
    return side(measured)


class Bench:
    """All rows in order. ``quick`` measures fewer repetitions and fewer machines."""

    def __init__(self, cloud: Cloud, *, quick: bool = False) -> None:
        self._cloud = cloud
        self._quick = quick
        self._random = random.Random(20260101)  # noqa: S311 -- the same waits in every run
        self._key = cloud.folder / "key.pub"
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(cloud.folder / "key")]
        subprocess.run(command, check=True)

    def rows(self) -> Iterator[Row]:
        parts: list[Callable[[], Iterator[Row]]] = [
            self._floor,
            self._one,
            self._twenty,
            self._stack,
            self._capacity,
            self._inventory,
        ]
        for part in parts:
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
        counted = side(self._cloud.play(wishes.peer_twenty_counted()), note="exact_count: 20, all of one name")
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
        ours, peer = wishes.our_inventory(self._cloud.folder), wishes.peer_inventory(self._cloud.folder)
        made = 0
        for number in (10, 200 if self._quick else 1000):
            self._fill(made, number)
            made = number
            results = []
            for file in (ours, peer):
                listed = self._list(file)
                if f"node-{number - 1:04}" not in listed.output:
                    raise BenchmarkBroken(f"{file.name} lists no node-{number - 1:04}: {listed.output[-2000:]}")
                results.append(side(listed))
            yield Row(f"inventory: {number} hosts, --list", results[0], results[1])

    def _list(self, file: Path) -> Measured:
        return self._cloud.measure([program("ansible-inventory"), "-i", str(file), "--list"])

    def _fill(self, first: int, last: int) -> None:
        """Make machines of the project, named node-0000 and following."""
        import boto3

        environment = self._cloud.environment
        client = boto3.client(
            "ec2",
            region_name=environment["AWS_DEFAULT_REGION"],
            endpoint_url=environment["AWS_ENDPOINT_URL"],
            aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        )
        for number in range(first, last):
            tags = {"haven:project": "bench", "Name": f"node-{number:04}", "haven:generation": "1"}
            client.run_instances(
                ImageId=wishes.IMAGE_ID,
                InstanceType="g6.xlarge",
                MinCount=1,
                MaxCount=1,
                TagSpecifications=[
                    {"ResourceType": "instance", "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
                ],
            )
