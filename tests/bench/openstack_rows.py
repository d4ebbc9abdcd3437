# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows of OpenStack's table."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Optional

from . import openstack_wishes as wishes
from .cloud import CLOUD, OpenStack, openstack_connection, program
from .openstack_servers import copy, make
from .row import BenchmarkBroken, Row, Side, beyond, middle, side, unchanged

# A play of twenty servers in a loop takes its time where the machine has much to do.
PATIENCE = 600.0
# Nova takes minutes to make more, and is not what an inventory's rows are about.
_MADE = 20


class Bench:
    """All rows in order. ``quick`` measures once what is otherwise measured three times."""

    def __init__(self, cloud: OpenStack, *, quick: bool = False, only: Optional[str] = None) -> None:
        self._cloud = cloud
        self._times = 1 if quick else 3
        self._only = only
        self._many = 200 if quick else 1000

    def rows(self) -> Iterator[Row]:
        parts = {
            "floor": self._floor,
            "one": self._one,
            "twenty": self._twenty,
            "inventory": self._inventory,
        }
        for name, part in parts.items():
            if self._only in (None, name):
                self._cloud.reset()
                yield from part()

    def _floor(self) -> Iterator[Row]:
        bare = self._cloud.folder / "hosts"
        bare.write_text("")
        yield Row("floor: import openstack", self._middle([sys.executable, "-c", "import openstack"], self._times))
        yield Row("floor: empty ansible-inventory", self._middle(_listing(bare), self._times))
        yield Row(
            "floor: a playbook with one ping", side(self._cloud.play([{"ansible.builtin.ping": {}}], limit=PATIENCE))
        )
        # Once before anything is measured: the services import much at their first requests.
        self._nova(1)
        for number in (1, 20):
            seconds = self._nova(number)
            note = "one request with max_count, until all are ACTIVE"
            yield Row(f"floor: nova makes {number}", Side(round(seconds, 2), 0, note=note))

    def _nova(self, number: int) -> float:
        """Seconds that nova takes to make servers, whoever asks."""
        self._cloud.reset()
        connection = openstack_connection(self._cloud.environment["OS_CLIENT_CONFIG_FILE"])
        began = time.monotonic()
        make(connection, "floor", number)
        return time.monotonic() - began

    def _one(self) -> Iterator[Row]:
        yield from self._compared("instance", wishes.ours(["one"]), wishes.peer_one(), self._times)
        yield from self._above_the_floor()

    def _above_the_floor(self) -> Iterator[Row]:
        """What an unchanged instance takes beyond a playbook whose module does nothing, and where that time goes.

        In turns, because a computer's moods would decide: both sides take little more than the floor.
        """
        self._cloud.reset()
        # Both stay: two of one name would be in each other's way.
        tasks = (wishes.ours(["one"]), [wishes.peer("other")])
        for each in tasks:
            side(self._cloud.play(each, limit=PATIENCE))
        rounds = []
        for _time in range(self._times):
            empty = side(self._cloud.play([{"ansible.builtin.ping": {}}], limit=PATIENCE))
            played = [unchanged(self._cloud.play(each, limit=PATIENCE)) for each in tasks]
            rounds.append([beyond(one, empty) for one in played])
        ours, peer = (middle(sides) for sides in zip(*rounds))
        yield Row("instance: unchanged, above the floor of an empty module", ours, peer)
        sdk = "import openstack.exceptions, openstack.config, keystoneauth1.session"
        nothing = [sys.executable, "-c", "pass"]
        token = f"{sdk}; openstack.config.OpenStackConfig().get_one('{CLOUD}').get_session().get_token()"
        for case, code in (("import what ours needs of the SDK", sdk), ("the same and a token", token)):
            parts = [
                (side(self._cloud.measure([sys.executable, "-c", code])), side(self._cloud.measure(nothing)))
                for _time in range(self._times)
            ]
            yield Row(f"floor: {case}", middle([beyond(one, empty) for one, empty in parts]))

    def _twenty(self) -> Iterator[Row]:
        yield from self._compared("20 instances", wishes.ours(wishes.TWENTY), wishes.peer_twenty(), 1)

    def _compared(self, case: str, ours: wishes.Tasks, peer: wishes.Tasks, times: int) -> Iterator[Row]:
        sides: list[tuple[Side, Side]] = []
        for tasks in (ours, peer):
            made, again = [], []
            for _time in range(times):
                self._cloud.reset()
                made.append(side(self._cloud.play(tasks, limit=PATIENCE)))
                again.append(unchanged(self._cloud.play(tasks, limit=PATIENCE)))
            sides.append((middle(made), middle(again)))
        for number, what in enumerate(("create, wait", "unchanged")):
            note = f"the middle one of {times}" if times > 1 else "one call of the module; a loop"
            yield Row(f"{case}: {what}", sides[0][number], sides[1][number], note)

    def _inventory(self) -> Iterator[Row]:
        clouds = self._cloud.environment["OS_CLIENT_CONFIG_FILE"]
        make(openstack_connection(clouds), "node", _MADE, wishes.METADATA)
        files: tuple[Callable[[Path], Path], ...] = (wishes.our_inventory, wishes.peer_inventory)
        have = _MADE
        for number in (100, self._many):
            copy(self._cloud.folder / "state", _MADE, have, number)
            have, last = number, f"node-{number}"
            note = f"all but {_MADE} are copies in nova's databases and have no ports: making them takes too long"
            times = self._times if number == 100 else 1
            ours, peer = (self._middle(_listing(write(self._cloud.folder)), times, last) for write in files)
            yield Row(f"inventory: {number} hosts, --list", ours, peer, note)

    def _middle(self, command: list[str], times: int, holding: str = "") -> Side:
        sides = []
        for _time in range(times):
            measured = self._cloud.measure(command, PATIENCE)
            if holding not in measured.output:
                raise BenchmarkBroken(f"{' '.join(command)} lists no {holding}: {measured.output[-2000:]}")
            sides.append(side(measured))
        return middle(sides)


def _listing(file: Path) -> list[str]:
    return [program("ansible-inventory"), "-i", str(file), "--list"]
