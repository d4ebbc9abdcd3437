# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows of EC2's inventories: how long both sides take to list few and many machines, and to get at one of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from . import wishes
from .cloud import Ec2, ReplayedEc2, program
from .replay import replay
from .row import BenchmarkBroken, Row, Side, middle, side

# Seconds for one listing: a busy computer takes minutes for thousands of machines.
PATIENCE = 600.0
# Those that an inventory of EC2 takes; "all" is what they gain together.
SHORTCUTS = ("collector", "expressions", "parser", "populate", "all")
# Both sides group by these three, and compose these two; where each side has them is its own.
_KEYED = ("project", "state", "type")
_OURS = ("haven_project", "haven_state", "haven_instance_type")
_PEERS = ("tags['haven:project']", "instance_state.name", "instance_type")

Options = dict[str, Any]


def rows(cloud: Ec2, *, quick: bool) -> Iterator[Row]:
    """``quick`` lists fewer machines, once each."""
    for bench, number in _benches(cloud, (10, 200) if quick else (10, 1000, 5000), quick=quick):
        yield from bench.rows()
        if number == 10:
            yield bench.everywhere()


def shortcuts(cloud: Ec2, *, quick: bool) -> Iterator[Row]:
    """What each shortcut gains, for few and for many machines."""
    for bench, _number in _benches(cloud, (10, 200) if quick else (10, 5000), quick=quick):
        yield from bench.shortcuts()


def _benches(cloud: Ec2, numbers: Sequence[int], *, quick: bool) -> Iterator[tuple[_Bench, int]]:
    with replay(cloud.environment["AWS_ENDPOINT_URL"]) as server:
        made = 0
        for number in numbers:
            fill(cloud, made, number)
            made = number
            server.forget()
            times = 3 if number == 10 and not quick else 1
            yield _Bench(ReplayedEc2(cloud, server), number, times, 1 if quick else 3), number


class _Bench:
    """The rows for so many machines: a listing is the middle of ``times``, one machine asked for that of ``rounds``.

    In each round both sides take turns: so little is asked there that a computer's moods would decide between them.
    """

    def __init__(self, cloud: ReplayedEc2, number: int, times: int, rounds: int) -> None:
        self._cloud = cloud
        self._number = number
        self._times = times
        self._rounds = rounds

    def rows(self) -> Iterator[Row]:
        ours, peer = our_options(), peer_options()
        for cached, case in ((False, ""), (True, ", cached")):
            theirs = self._list("aws_ec2", peer, cached)
            for shape, more in (("", {}), (", hostvars: full", {"hostvars": "full"})):
                listed = self._list("haven", {**ours, **more}, cached)
                yield Row(f"inventory: {self._number} hosts, --list{case}{shape}", listed, theirs)
            rounds = [
                (self._one("haven", ours, cached), self._one("aws_ec2", peer, cached)) for _round in range(self._rounds)
            ]
            one, other = (middle(sides) for sides in zip(*rounds))
            yield Row(f"inventory: one of {self._number} hosts asked for{case}", one, other)

    def shortcuts(self) -> Iterator[Row]:
        """Ours beside ours without one shortcut, in turns."""
        for name in SHORTCUTS:
            rounds = [
                (self._list("haven", our_options()), self._list("haven", our_options(), without=name))
                for _round in range(self._rounds)
            ]
            taken, left = (middle(sides) for sides in zip(*rounds))
            yield Row(f"inventory: {self._number} hosts, --list; without the shortcut {name}", taken, left)

    def everywhere(self) -> Row:
        """All regions; the peer lists them where none is named."""
        ours = {**our_options(), "regions": ["all"]}
        peer = {name: value for name, value in peer_options().items() if name != "regions"}
        return Row(
            f"inventory: {self._number} hosts, --list of all regions",
            self._list("haven", ours),
            self._list("aws_ec2", peer),
        )

    def _list(self, plugin: str, options: Options, cached: bool = False, without: str = "") -> Side:
        command = [program("ansible-inventory"), "-i", str(self._file(plugin, options, cached)), "--list"]
        if without:
            command = ["env", f"HAVEN_SHORTCUTS_OFF={without}", *command]
        return self._measured(command, _name(self._number - 1), cached, self._times)

    def _one(self, plugin: str, options: Options, cached: bool) -> Side:
        name = _name(self._number // 2)
        command = [program("ansible"), name, "-i", str(self._file(plugin, options, cached)), "--list-hosts"]
        return self._measured(command, name, cached, 1)

    def _measured(self, command: list[str], holding: str, cached: bool, times: int) -> Side:
        found: list[Side] = []
        while len(found) < times:
            missed = self._cloud.missed
            measured = self._cloud.measure(command, PATIENCE)
            if holding not in measured.output:
                raise BenchmarkBroken(f"{' '.join(command)} lists no {holding}: {measured.output[-2000:]}")
            # A run that asks the API something new, or fills the plugin's cache, is none of those to measure.
            if self._cloud.missed == missed and not (cached and measured.calls):
                found.append(side(measured))
        return middle(found)

    def _file(self, plugin: str, options: Options, cached: bool) -> Path:
        """The inventory file, with a cache for this number of machines where one is wanted."""
        cache = self._cloud.folder / f"cache-{self._number}"
        more = {"cache": True, "cache_plugin": "ansible.builtin.jsonfile", "cache_connection": str(cache)}
        file = self._cloud.folder / f"{plugin}.yml"
        # JSON is YAML.
        file.write_text(json.dumps({**options, **more} if cached else options))
        return file


def our_options() -> Options:
    keyed = [{"key": key, "prefix": prefix} for key, prefix in zip(_OURS, _KEYED)]
    compose = {"address": "haven_private_address", "login": "'debian'"}
    plugin = {"plugin": "haven.gpu.instances", "cloud": "ec2", "projects": ["bench"]}
    return {**plugin, "keyed_groups": keyed, "compose": compose}


def peer_options() -> Options:
    return {
        "plugin": "amazon.aws.aws_ec2",
        "regions": ["us-east-1"],
        "filters": {"instance-state-name": "running", "tag:haven:project": "bench"},
        "hostnames": ["tag:Name"],
        "keyed_groups": [{"key": key, "prefix": prefix} for key, prefix in zip(_PEERS, _KEYED)],
        "compose": {"address": "private_ip_address", "login": "'debian'"},
    }


def fill(cloud: Ec2, first: int, last: int) -> None:
    """Make machines of the project, numbered and named."""
    import boto3

    environment = cloud.environment
    client = boto3.client(
        "ec2",
        region_name=environment["AWS_DEFAULT_REGION"],
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
    )
    for number in range(first, last):
        tags = {"haven:project": "bench", "Name": _name(number), "haven:generation": "1"}
        client.run_instances(
            ImageId=wishes.IMAGE_ID,
            InstanceType="g6.xlarge",
            MinCount=1,
            MaxCount=1,
            TagSpecifications=[
                {"ResourceType": "instance", "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
            ],
        )


def _name(number: int) -> str:
    return f"node-{number:04}"
