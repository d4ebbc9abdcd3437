# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows about connections: how often a play logs in at the jump host, and what many machines take beside one.

The machines are guests of a sandbox of its own, under several names each: this computer's processors do the guests'
work, too, which elsewhere each machine does by itself. So everything is measured with the work, and with the answers
that the guests gave before. And a jump host is hardly ever as near as theirs, so both are measured at a distance, too.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.integration.sandbox_guests import Guest, Sandbox, own_sandbox
from tests.sandbox import probe

from .cloud import Cloud, Measured, program, settings
from .distance import Address, far_away
from .row import Row, middle, side

GUESTS, MANY = 4, 20
PATIENCE = 600.0
# Seconds, as between continents.
ROUND_TRIP = 0.1
PYTHON, REPLAY = "/usr/bin/python3", "/usr/local/bin/answered-before"
# What Ansible sends to its Python is read and thrown away.
ANSWERED_BEFORE = f"""\
#!/bin/sh
[ -e ~/answer ] || {{ new=$(mktemp) && {PYTHON} > "$new" && mv "$new" ~/answer; }}
cat > /dev/null
exec cat ~/answer
"""
PLAY = [{"hosts": "all", "gather_facts": False, "tasks": [{"ansible.builtin.setup": {"gather_subset": ["min"]}}]}]


@dataclass
class Machines(Cloud):
    """Guests behind the sandbox's jump host. An "API call" is a login there."""

    sandbox: Sandbox = field(kw_only=True)
    guests: list[Guest] = field(kw_only=True)
    gate: Address = field(kw_only=True)
    # Of the machines.
    python: str = PYTHON

    def reset(self) -> None:
        """Nothing to forget: each play gets a folder of its own for the connections it shares."""

    def entries(self, since: float) -> list[dict[str, Any]]:
        command = f"journalctl -o json -g 'Accepted publickey' --since @{since:.6f} || true"
        said = self.sandbox.on_gate(command).stdout
        return [{"t": int(json.loads(line)["__REALTIME_TIMESTAMP"]) / 1e6} for line in said.splitlines()]

    def calls(self, entries: list[dict[str, Any]]) -> tuple[Counter[str], int, int]:
        return Counter({"login": len(entries)}), 0, 0

    def facts(self, inventory: Path) -> Measured:
        """Gather facts of all machines of an inventory, over connections that nobody has opened yet."""
        play = self.folder / "play.yml"
        play.write_text(json.dumps(PLAY))
        # Short: sockets of connections lie here.
        with tempfile.TemporaryDirectory(prefix="haven-") as fresh:
            self.settings |= {"XDG_RUNTIME_DIR": fresh, "ANSIBLE_SSH_CONTROL_PATH_DIR": f"{fresh}/cp"}
            # As in our own ansible.cfg.
            self.settings |= {"ANSIBLE_PIPELINING": "true"}
            command = [program("ansible-playbook"), "-i", str(inventory), "-f", str(MANY), str(play)]
            try:
                return self.measure(command, PATIENCE)
            finally:
                _close_connections(Path(fresh))


class Bench:
    """All rows. ``quick`` measures once what is otherwise measured three times; ``only`` knows no parts here."""

    def __init__(self, machines: Machines, *, quick: bool = False, only: str | None = None) -> None:
        self._machines = machines
        self._times = 1 if quick else 3

    def rows(self) -> Iterator[Row]:
        near = self._machines
        answered = self._answered_before()
        with far_away(near.gate, ROUND_TRIP) as gate:
            distance = f", {ROUND_TRIP * 1000:.0f} ms away"
            for how, machines in (("", near), (", as answered before", answered)):
                yield from self._facts(machines, how)
                yield from self._facts(replace(machines, gate=gate), how + distance)

    def _answered_before(self) -> Machines:
        """The same machines, mostly without the work that Ansible gives them."""
        for guest in self._machines.guests:
            guest.output(f"printf %s {shlex.quote(ANSWERED_BEFORE)} > {REPLAY} && chmod 755 {REPLAY}")
        answered = replace(self._machines, python=REPLAY)
        side(answered.facts(_our_inventory(answered, MANY)))
        return answered

    def _facts(self, machines: Machines, how: str) -> Iterator[Row]:
        one: dict[str, float] = {}
        for number in (1, MANY):
            sides = []
            for name, write in (("ours", _our_inventory), ("peer", _peer_inventory)):
                inventory = write(machines, number)
                sides.append(middle([side(machines.facts(inventory)) for _time in range(self._times)]))
                one.setdefault(name, sides[-1].seconds)
            note = ""
            if number > 1:
                longer = [f"{each.seconds / one[name]:.1f}" for name, each in zip(("ours", "peer"), sides)]
                note = f"{GUESTS} guests, {MANY // GUESTS} names each; {' and '.join(longer)} times one machine"
            yield Row(f"facts of {number} behind one jump host{how}", sides[0], sides[1], note)


@contextmanager
def machines(folder: Path) -> Iterator[Machines]:
    """A sandbox with guests, as long as the block. Raises UnsuitableMachineError where there can be none."""
    place = folder / "sb"
    probe.require(place)
    with own_sandbox(place) as sandbox, ExitStack() as stack:
        guests = [stack.enter_context(sandbox.guest()) for _number in range(GUESTS)]
        gate = (sandbox.env["HAVEN_SANDBOX_GATE_HOST"], int(sandbox.env["HAVEN_SANDBOX_GATE_PORT"]))
        yield Machines({}, folder, settings(folder), sandbox=sandbox, guests=guests, gate=gate)


def _chosen(machines: Machines, number: int) -> Iterator[tuple[str, Guest]]:
    for index in range(number):
        yield f"m{index:02}", machines.guests[index % GUESTS]


def _our_inventory(machines: Machines, number: int) -> Path:
    facts = machines.sandbox.env
    host, port = machines.gate
    hop = {
        "host": host,
        "port": port,
        "user": facts["HAVEN_SANDBOX_GATE_USER"],
        "host_key": facts["HAVEN_SANDBOX_GATE_HOST_KEY"],
        "key": facts["HAVEN_SANDBOX_KEY"],
    }
    listed = [
        {"name": name, "address": guest.address, "user": "debian", "host_key": guest.host_key()}
        for name, guest in _chosen(machines, number)
    ]
    wanted = {"plugin": "haven.gpu.instances", "hops": [hop], "private_key": hop["key"], "machines": listed}
    group = {"all": {"vars": {"ansible_python_interpreter": machines.python}}}
    folder = machines.folder / "ours"
    folder.mkdir(exist_ok=True)
    (folder / "haven.yml").write_text(json.dumps(wanted))
    (folder / "python.json").write_text(json.dumps(group))
    return folder


def _peer_inventory(machines: Machines, number: int) -> Path:
    """What people write by hand: ProxyJump in an ssh configuration, with the same keys checked."""
    facts, folder = machines.sandbox.env, machines.folder
    host, port = machines.gate
    known, config = folder / "known", folder / "config"
    keys = {guest.address: guest.host_key() for guest in machines.guests}
    known.write_text("".join(f"{name} {key}\n" for name, key in (*keys.items(), ("gate", _gate_key(machines)))))
    shared = f"IdentityFile {facts['HAVEN_SANDBOX_KEY']}\nUserKnownHostsFile {known}\nStrictHostKeyChecking yes\n"
    config.write_text(
        f"Host gate\nHostName {host}\nPort {port}\n"
        f"HostKeyAlias gate\nUser {facts['HAVEN_SANDBOX_GATE_USER']}\n{shared}"
        f"Host {' '.join(keys)}\nProxyJump gate\nUser debian\n{shared}"
    )
    hosts = {name: {"ansible_host": guest.address} for name, guest in _chosen(machines, number)}
    common = {"ansible_python_interpreter": machines.python, "ansible_ssh_common_args": f"-F {config}"}
    file = folder / "peer.json"
    file.write_text(json.dumps({"all": {"hosts": hosts, "vars": common}}))
    return file


def _gate_key(machines: Machines) -> str:
    return machines.sandbox.env["HAVEN_SANDBOX_GATE_HOST_KEY"]


def _close_connections(folder: Path) -> None:
    """They would live on for a minute, without the folder."""
    for path in folder.rglob("*"):
        if path.is_socket():
            subprocess.run(["ssh", "-S", str(path), "-O", "exit", "nobody"], check=False, capture_output=True)
