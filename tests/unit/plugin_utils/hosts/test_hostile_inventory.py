# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ten thousand machines with wrong and hostile data go into the inventory and the ssh configuration.

What is right is written down here without help from the code under test: every machine is listed, under a plain name of
its own; no text of a cloud becomes a template; and the ssh configuration has no line that it has not for a machine with
nothing strange about it, other than plain words where addresses, names and users belong.
"""

from __future__ import annotations

import dataclasses
import json
import random
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

import pytest
from ansible.inventory.data import InventoryData
from ansible.template import is_trusted_as_template

from ansible_collections.haven.gpu.plugins.module_utils._models import Gpu, Hop, Instance
from ansible_collections.haven.gpu.plugins.module_utils._ssh import config as _ssh_config
from ansible_collections.haven.gpu.plugins.module_utils._ssh.hops import FoundHops
from ansible_collections.haven.gpu.plugins.plugin_utils._hosts import variables as _hosts
from ansible_collections.haven.gpu.plugins.plugin_utils._hosts.populate import Entry, populate
from ansible_collections.haven.gpu.plugins.plugin_utils._settings import Settings

INVENTORIES = 40
MACHINES = 250
ASKED_OF_SSH = 3
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGtQkg2pJ0Q1m1GZ1h6dXqg8xW6gQq3Yk8Qx2u8ZqQ0n"
HOPS = (Hop("gate.example.org", port=2222, user="sshuser", host_key=KEY), Hop("fd00::1", user="second"))
SETTINGS = (
    Settings(cloud="ec2", projects=("demo",), found_hops=FoundHops(HOPS), login_user="admin", private_key="/keys/mine"),
    Settings(cloud="openstack", projects=(None,), address="private"),
)
PLAIN = Instance(
    id="i-plain",
    name="plain",
    project="demo",
    cloud="ec2",
    region="eu-north-1",
    state="running",
    instance_type="g4dn.xlarge",
    gpu=Gpu("T4", 1, 16.0),
    image="ami-1",
    private_address="10.0.0.5",
    public_address="198.51.100.7",
    tags={"haven:host-key": KEY, "haven:login-user": "debian"},
)
# What wants to be an option, a second line, another word, a pattern, a template, a command, a group or this computer.
EVIL = [
    "-oProxyCommand=touch /tmp/pwned",
    "--",
    "\n  ProxyCommand touch /tmp/pwned",
    "\r  ProxyCommand touch /tmp/pwned\r",
    "\x85ProxyCommand x",
    "\u2028LocalCommand x",
    "\x0bHost *",
    "\x00",
    "\x1b[2J",
    "\ud800",
    "\u202e",
    "{{ lookup('pipe', 'touch /tmp/pwned') }}",
    "{% for x in y %}",
    "{# #}",
    "!unsafe x",
    "!vault |",
    "$(touch /tmp/pwned)",
    "`id`",
    "${HOME}",
    "%h%d%%",
    '"',
    "'",
    "\\",
    " ",
    "\t",
    ",",
    ";",
    "#",
    "*",
    "!",
    "?",
    "=",
    "@cert-authority * ",
    "[1:3]",
    ":22",
    "..",
    "/",
    "%eth0",
    "fe80::1%eth0",
    "::1",
    "localhost",
    "127.0.0.1",
    "all",
    "ungrouped",
    "haven",
    "haven_project_demo",
    "haven-hop-",
    "ssh-ed25519 AAAA",
    f"{KEY}\nx {KEY}",
    f"* {KEY}",
    "é",
    "名前",
    "a\u0301",
    "",
    "x" * 10_000,
]
GOOD = ["i-0123456789abcdef0", "node-7", "10.1.2.3", "fd00::7", "host.example.org", "debian", KEY, "I-PLAIN", "plain"]
PLAIN_WORD = r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}"
# The lines that carry something of a machine, and what may stand in them.
OF_A_MACHINE = re.compile(
    rf"""
      Host\ {PLAIN_WORD} | \ \ HostKeyAlias\ {PLAIN_WORD}
    | \ \ HostName\ ([A-Za-z0-9_][A-Za-z0-9._-]{{0,252}} | [0-9A-Fa-f:.]+)
    | \ \ User\ [A-Za-z_][A-Za-z0-9._@-]*
    | \ *\#[\ -~]{{0,200}}
    """,
    re.VERBOSE,
)


def text(chance: random.Random) -> str:
    """Something good, something evil, a mixture, or noise."""
    kind = chance.random()
    if kind < 0.25:
        return chance.choice(GOOD)
    if kind < 0.6:
        return chance.choice(EVIL)
    if kind < 0.9:
        return "".join(chance.choice(chance.choice((GOOD, EVIL))) for _ in range(chance.randint(2, 3)))
    return "".join(chr(chance.randrange(0x3000)) for _ in range(chance.randint(1, 30)))


def tags(chance: random.Random) -> dict[str, str]:
    names = ["haven:host-key", "haven:login-user", "haven:generation", "Name", "team", "tags", "ansible_host"]
    known = {name: text(chance) for name in names if chance.random() < 0.4}
    return {**known, **{text(chance): text(chance) for _ in range(chance.randint(0, 3))}}


def machine(chance: random.Random, number: int) -> Instance:
    def perhaps() -> Optional[str]:
        return text(chance) if chance.random() < 0.8 else None

    # A cloud gives each id once, whatever it looks like; in a tenth of the cases it looks like one.
    plain_id = f"i-{number:017x}"
    return Instance(
        id=plain_id if chance.random() < 0.1 else f"{text(chance)}{number}",
        name=text(chance),
        project=text(chance),
        cloud=text(chance),
        region=text(chance),
        state=text(chance),
        instance_type=perhaps(),
        gpu=Gpu(text(chance), chance.randint(-1, 8), 16.0) if chance.random() < 0.5 else None,
        image=perhaps(),
        private_address=perhaps(),
        public_address=perhaps(),
        tags=tags(chance),
    )


def leaves(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from leaves(name)
            yield from leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item)


def rendered(machines: list[Instance], settings: Settings) -> str:
    # Without the user's own configuration, so that the outcome is the same on every computer.
    listed = [_hosts.machine(each, settings) for each in machines]
    return _ssh_config.render(listed, settings.hops, paths=_ssh_config.Paths("/k", included_by="/c"))


def says(config: Path, host: str) -> dict[str, str]:
    """What the real ssh makes of the configuration for one host, but for what each machine has of its own."""
    command = ["ssh", "-G", "-F", str(config), "--", host]
    answer = subprocess.run(command, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    found = dict(line.partition(" ")[::2] for line in answer.stdout.splitlines())
    for own in ("host", "hostname", "hostkeyalias", "user"):
        found.pop(own, None)
    return found


@pytest.fixture(params=range(INVENTORIES))
def case(request: pytest.FixtureRequest) -> tuple[list[Instance], Settings]:
    """An inventory's worth of machines, the same ones in every run."""
    chance = random.Random(request.param)  # noqa: S311 -- not for secrets
    machines = [machine(chance, number) for number in range(MACHINES)]
    return machines, SETTINGS[request.param % len(SETTINGS)]


def test_all_are_listed_as_plain_data(case: tuple[list[Instance], Settings]) -> None:
    machines, settings = case
    cached = json.dumps([_hosts.pack(each) for each in machines])
    back = [_hosts.unpack(packed) for packed in json.loads(cached)]
    assert back == machines

    inventory = InventoryData()
    hostnames = ["name"] if settings.hops else ["tag:team", "an expression", "private_address", "name"]
    entries = [Entry(each, settings, "/k/ssh_config") for each in back]
    populate(inventory, entries, hostnames, lambda _host, _variables: None, lambda _text, known: known["haven_image"])
    inventory.reconcile_inventory()
    assert len(inventory.hosts) == len(machines) == len({name.lower() for name in inventory.hosts})
    assert {host.vars["haven_id"] for host in inventory.hosts.values()} == {each.id for each in machines}
    for name, host in inventory.hosts.items():
        assert re.fullmatch(PLAIN_WORD, name)
        assert re.fullmatch(PLAIN_WORD, host.vars["ansible_host"])
        assert re.fullmatch(r"[A-Za-z_][A-Za-z0-9._@-]*", host.vars.get("ansible_user", "nobody"))
        assert host.vars["ansible_ssh_common_args"] == "-F /k/ssh_config"
        assert all("{" not in leaf for leaf in leaves(host.vars) if is_trusted_as_template(leaf))
        json.dumps(host.vars)
    assert [name for name in inventory.groups if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name)] == []
    # A host that is called like a group, or like this computer, would be taken for it.
    assert not inventory.hosts.keys() & {*inventory.groups, "localhost", "127.0.0.1", "::1"}


def test_ssh_is_told_nothing_else(case: tuple[list[Instance], Settings], tmp_path: Path) -> None:
    machines, settings = case
    config = rendered(machines, settings)
    # Where no address is usable, two lines differ from a plain machine's; where no key is known, one is missing.
    keyed = [PLAIN, dataclasses.replace(PLAIN, id="i-no", private_address=None, public_address=None)]
    keyless = [dataclasses.replace(each, id=f"{each.id}-key", tags={}) for each in keyed]
    expected = {line for each in keyed for line in rendered([each], settings).split("\n")}
    assert [line for line in config.split("\n") if line not in expected and not OF_A_MACHINE.fullmatch(line)] == []
    blocks = [line.removeprefix("Host ") for line in config.split("\n") if line.startswith("Host ")]
    assert len(blocks) == len(set(map(str.lower, blocks))) == len(settings.hops) + len(machines)

    known = _ssh_config.known_hosts([_hosts.machine(each, settings) for each in machines], settings.hops)
    assert all(re.fullmatch(rf"{PLAIN_WORD} {re.escape(KEY)}( {PLAIN_WORD})?", line) for line in known.split("\n")[:-1])

    file = tmp_path / "ssh_config"
    file.write_text(config)
    plain = tmp_path / "plain"
    plain.write_text(rendered([*keyed, *keyless], settings))
    usual = [says(plain, each.id) for each in (*keyed, *keyless)]
    for each in random.Random(len(config)).sample(machines, ASKED_OF_SSH):  # noqa: S311 -- not for secrets
        assert says(file, _hosts.alias(each)) in usual
