# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The user's own configuration is made of inventory hosts and plain dictionaries, strictly or carefully."""

from __future__ import annotations

import re
from typing import Any

import pytest

from ansible_collections.haven.gpu.plugins.module_utils._errors import HavenError
from ansible_collections.haven.gpu.plugins.module_utils._ssh.config import Paths
from ansible_collections.haven.gpu.plugins.plugin_utils._ssh.user_config import Defaults, user_config

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGtQkg2pJ0Q1m1GZ1h6dXqg8xW6gQq3Yk8Qx2u8ZqQ0n"
HOSTVARS = {
    "inventory_hostname": "jupyter-demo",
    "ansible_host": "i-1",
    "haven_id": "i-1",
    "haven_address": "10.0.0.5",
    "haven_host_key": KEY,
    "haven_login_user": "debian",
    "haven_users": [{"name": "alice", "password": "not to be seen"}],
}
PLAIN = {"name": "box", "address": "10.0.0.6", "host_key": KEY}


def made(*machines: Any, hops: Any = None, **defaults: Any) -> dict[str, str]:
    """The texts of the files, by what they are."""
    files = user_config(machines, hops, Paths("/k", included_by=""), Defaults(**defaults))
    return {name: file["content"] for name, file in files.items()}


def block(text: str, host: str) -> list[str]:
    """The lines of one Host block, without their indentation."""
    (found,) = [part for part in text.split("\n\n") if part.startswith(f"Host {host}\n")]
    return [line.strip() for line in found.splitlines()[1:]]


def test_a_host_of_the_inventory_is_filed_under_its_id() -> None:
    texts = made(HOSTVARS)
    lines = block(texts["config"], "jupyter-demo")
    assert {"HostName 10.0.0.5", "HostKeyAlias i-1", "User debian", "StrictHostKeyChecking yes"} <= set(lines)
    assert texts["known_hosts"] == f"i-1 {KEY} jupyter-demo\n"


def test_what_is_said_for_all_holds_for_all_who_do_not_differ() -> None:
    texts = made(
        HOSTVARS,
        {**PLAIN, "user": "bob", "private_key": "/b", "port": 2200, "forwards": {}},
        user="alice",
        private_key="/a",
        forwards={8888: "/run/haven/alice/jupyter.sock"},
    )
    first, second = block(texts["config"], "jupyter-demo"), block(texts["config"], "box")
    assert {
        "User alice",
        'IdentityFile "/a"',
        "Port 22",
        "LocalForward localhost:8888 /run/haven/alice/jupyter.sock",
    } <= set(first)
    assert {"User bob", 'IdentityFile "/b"', "Port 2200"} <= set(second)
    assert "LocalForward" not in " ".join(second)


def test_a_machine_of_ones_own_is_filed_under_its_name_or_id() -> None:
    assert (
        made(PLAIN, {**PLAIN, "name": "other", "id": "rack-7"})["known_hosts"] == f"box {KEY} box\nrack-7 {KEY} other\n"
    )


def test_hops_lead_to_every_machine() -> None:
    lines = made(HOSTVARS, hops=[{"host": "gate.example.org"}])["config"]
    assert "HostName gate.example.org" in lines
    (proxy_command,) = [line for line in block(lines, "jupyter-demo") if line.startswith("ProxyCommand ")]
    assert re.search(r" '/k/proxy_helper.py' through verified - haven-hop-gate-[a-z0-9-]+ '\[%h\]:%p'$", proxy_command)


def test_a_jump_host_that_the_inventory_looked_up_leads_to_all_but_itself() -> None:
    found = [{"host": "198.51.100.5", "port": 22, "host_key": KEY}]
    gate = {**HOSTVARS, "inventory_hostname": "gate", "ansible_host": "i-2", "haven_id": "i-2", "haven_hops": []}
    machine = {**HOSTVARS, "haven_hops": found}
    config = made(gate, machine, hops=[{"instance": "gate"}])["config"]
    assert "HostName 198.51.100.5" in config
    assert [line for line in block(config, "jupyter-demo") if line.startswith("ProxyCommand ")]
    assert not [line for line in block(config, "gate") if line.startswith("ProxyCommand ")]
    with pytest.raises(HavenError, match="needs the address of the jump host gate"):
        made(HOSTVARS, hops=[{"instance": "gate"}])


def last_hop(config: str, host: str) -> str:
    """The name of the jump host right before this host; nothing where there is none."""
    found = [line for line in block(config, host) if line.startswith("ProxyCommand ")]
    return found[0].split()[-2] if found else ""


def test_each_host_of_the_inventory_has_its_own_hops_unless_others_are_said() -> None:
    outer, inner, other = (
        {"host": f"{name}.example.org", "port": 22, "host_key": KEY} for name in ("outer", "inner", "other")
    )
    hosts = [
        {
            **HOSTVARS,
            "inventory_hostname": name,
            "haven_id": f"i-{name}",
            "ansible_host": f"i-{name}",
            "haven_hops": hops,
        }
        for name, hops in (("near", [outer]), ("far", [outer, inner]), ("here", []), ("elsewhere", [other]))
    ]
    texts = made(*hosts, PLAIN)
    last_hops = {name: last_hop(texts["config"], name) for name in ("near", "far", "here", "elsewhere", "box")}
    starts = {"near": "haven-hop-outer-", "far": "haven-hop-inner-", "elsewhere": "haven-hop-other-"}
    assert {name for name, hop in last_hops.items() if hop} == starts.keys()
    assert all(last_hops[name].startswith(start) for name, start in starts.items())
    assert last_hop(texts["config"], last_hops["far"]) == last_hops["near"]
    known = texts["known_hosts"].splitlines()
    assert len(known) == len(set(known)) == len(hosts) + 4

    said = made(*hosts, PLAIN, hops=[other])["config"]
    assert {last_hop(said, name) for name in last_hops} == {last_hops["elsewhere"]}
    assert {last_hop(made(*hosts, hops=[])["config"], name) for name in last_hops if name != "box"} == {""}


def test_no_other_variable_of_a_host_gets_into_the_texts() -> None:
    assert "not to be seen" not in "".join(made(HOSTVARS).values())


def test_the_users_own_configuration_is_not_included_in_itself() -> None:
    assert "Include" not in made(HOSTVARS)["config"]


def test_what_a_cloud_said_and_ssh_could_misread_is_left_out() -> None:
    evil = {**HOSTVARS, "haven_address": "-oProxyCommand=x", "haven_host_key": "* ssh-rsa", "haven_login_user": "-l"}
    lines = block(made(evil)["config"], "jupyter-demo")
    assert not [line for line in lines if "ProxyCommand" in line or line.startswith("User ")]


def test_without_a_key_nothing_is_trusted_unless_asked() -> None:
    unknown = {**HOSTVARS, "haven_host_key": ""}
    assert "StrictHostKeyChecking yes" in block(made(unknown)["config"], "jupyter-demo")
    assert "StrictHostKeyChecking accept-new" in block(made(unknown, host_keys="tofu")["config"], "jupyter-demo")
    assert made({"name": "box", "address": "a"}, host_keys="tofu")["known_hosts"] == ""


@pytest.mark.parametrize(
    ("machine", "complaint"),
    [
        ({**PLAIN, "name": "-x"}, "name of machine '-x'"),
        ({**PLAIN, "id": "a b"}, "id of machine 'box'"),
        ({"address": "a", "host_key": KEY}, "name of machine None"),
        ({**PLAIN, "address": "a b"}, "address of machine 'box'"),
        ({**PLAIN, "host_key": "ssh-ed25519 AAAA..."}, "host_key of machine 'box'"),
        ({"name": "box", "address": "a"}, "host_key of machine 'box'"),
        ({**PLAIN, "user": "-l"}, "user of machine 'box'"),
        ({**PLAIN, "port": "x"}, "no valid port"),
        ({**PLAIN, "private_key": "a\nb"}, "path of the key of box"),
        ({**PLAIN, "forwards": {8888: "relative"}}, "plain absolute path"),
        ({**PLAIN, "forwards": {0: "/run/x"}}, "no valid port"),
        ({**PLAIN, "adress": "a"}, "unknown fields"),
        ("box", "must be a dictionary"),
    ],
)
def test_a_mistake_of_the_user_is_one_sentence(machine: Any, complaint: str) -> None:
    with pytest.raises(HavenError, match=complaint):
        made(machine)


def test_a_user_for_all_that_is_none_is_refused() -> None:
    with pytest.raises(HavenError, match="not a user name"):
        made(HOSTVARS, user="a b")
