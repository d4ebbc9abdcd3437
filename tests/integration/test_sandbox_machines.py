# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What OpenStack asks of guests beyond EC2: suspended and resumed, copied, on disks that outlive them, behind ports."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Network

import pytest

from tests.integration.sandbox_guests import DICE, Guest, Sandbox, allow, wait_until
from tests.sandbox.errors import SandboxError
from tests.sandbox.ranges import PUBLIC

TICK = "systemd-run --quiet --unit=tick sh -c 'while date +%s%N >/run/tick; do sleep 0.05; done'"
PUBLIC_POOL = next(PUBLIC.subnets(new_prefix=25))


@contextmanager
def volumes(sandbox: Sandbox, *names: str) -> Iterator[None]:
    """Remove the disks of these names at the end."""
    try:
        yield
    finally:
        for name in names:
            sandbox.machines.delete_volume(name)


def public_address() -> str:
    """An address the EC2 API, which gives out the lower ones first, does not give out soon."""
    return str(PUBLIC_POOL[DICE.randrange(100, 120)])


@pytest.mark.long
def test_a_suspended_guest_does_not_answer_and_a_resumed_one_goes_on(sandbox: Sandbox) -> None:
    with sandbox.guest() as guest, sandbox.guest() as other:
        guest.set_rules(allow("in", "icmp", (0, 0), f"{other.address}/32"))
        ping = f"ping -c 1 -W 1 {guest.address}"
        assert other.root(ping).returncode == 0
        guest.output(TICK)
        first = guest.output("systemctl show tick --property=MainPID; cat /proc/sys/kernel/random/boot_id")
        sandbox.machines.suspend(guest.id)
        assert guest.state() == "suspended"
        assert other.root(ping).returncode != 0
        # A connection would be accepted by the kernel, which is not halted, if the wire were open.
        assert guest.ssh("true").returncode != 0
        sandbox.machines.resume(guest.id)
        sandbox.machines.resume(guest.id)
        assert guest.state() == "ready"
        assert guest.output("systemctl show tick --property=MainPID; cat /proc/sys/kernel/random/boot_id") == first
        before = guest.output("cat /run/tick")
        assert wait_until(lambda: guest.output("cat /run/tick") != before)
        assert guest.ssh("true").returncode == 0


def test_a_suspended_guest_stops_and_goes_like_any_other(sandbox: Sandbox) -> None:
    with sandbox.guest() as guest:
        sandbox.machines.suspend(guest.id)
        sandbox.machines.stop(guest.id)
        assert guest.state() == "stopped"
        with pytest.raises(SandboxError, match="start it first"):
            sandbox.machines.suspend(guest.id)
        guest.start()
        assert guest.ssh("true").returncode == 0
        sandbox.machines.suspend(guest.id)
    assert guest.state() == "absent"


def test_a_guest_made_from_a_snapshot_has_the_files_and_an_identity_of_its_own(sandbox: Sandbox) -> None:
    name = f"snap-{secrets.token_hex(4)}"
    with volumes(sandbox, name):
        with sandbox.guest() as guest:
            guest.output("echo kept >/srv/note; rm /etc/issue; chown 1000 /srv/note; sync")
            sandbox.machines.snapshot(guest.id, name)
            assert guest.state() == "ready"
            guest.output("echo later >/srv/note")
            key = guest.host_key()
        with sandbox.guest(name) as copy:
            assert copy.output("cat /srv/note; stat -c %u /srv/note; hostname").split() == ["kept", "1000", copy.id]
            assert copy.root("test -e /etc/issue").returncode != 0
            assert copy.host_key() != key
            sandbox.machines.delete_volume(name)
            assert copy.output("cat /srv/note") == "kept"


def test_a_root_volume_outlives_its_guests_and_serves_one_at_a_time(sandbox: Sandbox) -> None:
    name, copy = f"vol-{secrets.token_hex(4)}", f"vol-{secrets.token_hex(4)}"
    with volumes(sandbox, name, copy):
        sandbox.machines.create_volume(name, "trixie")
        with sandbox.guest("", root_volume=name) as first:
            assert first.output(". /etc/os-release; echo $VERSION_ID") == "13"
            first.output("echo kept >/srv/note")
            with pytest.raises(SandboxError, match="detach it first"):
                Guest(sandbox, "", root_volume=name)
            with pytest.raises(SandboxError, match="detach it first"):
                sandbox.machines.delete_volume(name)
            sandbox.machines.copy_volume(name, copy)
            first.output("echo later >/srv/note")
        with sandbox.guest("", root_volume=name) as second, sandbox.guest("", root_volume=copy) as third:
            assert second.output("cat /srv/note") == "later"
            assert third.output("cat /srv/note") == "kept"


def test_volumes_may_outlive_their_guest(sandbox: Sandbox) -> None:
    name = f"vol-{secrets.token_hex(4)}"
    disk = {"name": name, "size_gib": 1, "device": "/dev/sdf"}
    with volumes(sandbox, name):
        with sandbox.guest(volumes=[disk]) as guest:
            guest.output("echo kept >/dev/sdf; sync")
            sandbox.machines.destroy(guest.id, keep_volumes=True)
        with sandbox.guest(volumes=[disk]) as guest:
            assert guest.output("head -c 4 /dev/sdf") == "kept"


def test_a_port_holds_for_the_guest_there_is_and_the_one_to_come(sandbox: Sandbox) -> None:
    address, public = str(sandbox.subnet[DICE.randrange(3000, 4090)]), public_address()
    ssh = allow("in", "tcp", (22, 22), str(IPv4Network(f"{sandbox.gate}/32")))
    out = allow("out", "all", (0, 0), "0.0.0.0/0")
    machines = sandbox.machines
    machines.set_ports({address: {"rules": [ssh, out], "public_address": public}})
    guest = Guest(sandbox, "bookworm", address=address)
    try:
        guest.start()
        assert guest.ssh("true").returncode == 0
        assert guest.ssh("true", public).returncode == 0
        machines.stop(guest.id)
        guest.start()
        assert guest.ssh("true", public).returncode == 0
        machines.set_ports({address: {"rules": [ssh, out], "public_address": ""}})
        assert guest.ssh("true").returncode == 0
        assert guest.ssh("true", public).returncode != 0
        machines.set_ports({address: {"rules": [out], "public_address": public}})
        assert guest.ssh("true").returncode != 0
        machines.set_ports({address: {"rules": [ssh], "public_address": public}})
        assert guest.ssh("true", public).returncode == 0
        machines.set_ports({address: None})
        assert guest.ssh("true").returncode != 0
    finally:
        machines.destroy(guest.id)
