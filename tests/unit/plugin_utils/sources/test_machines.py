# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Machines of no cloud are hosts like the others, and what is wrong about them is said by name."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.haven.gpu.plugins.filter.ssh_config import ssh_config
from ansible_collections.haven.gpu.plugins.module_utils._errors import InvalidRequest
from ansible_collections.haven.gpu.plugins.module_utils._models import Hop
from ansible_collections.haven.gpu.plugins.module_utils._ssh.config import Machine, Paths, known_hosts, render
from ansible_collections.haven.gpu.plugins.plugin_utils._hosts import variables as _hosts
from ansible_collections.haven.gpu.plugins.plugin_utils._sources.machines import Static, machines_from

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGtQkg2pJ0Q1m1GZ1h6dXqg8xW6gQq3Yk8Qx2u8ZqQ0n"
SIGNED = f"@cert-authority {KEY}"
PATHS = Paths("/k")
FILE = {"projects": ["demo"], "hops": [{"host": "gate"}], "login_user": "debian", "private_key": "/keys/a"}


def one(machine: dict[str, Any], **options: Any) -> Static:
    (found,) = machines_from({**options, "machines": [machine]})
    return found


def test_a_machine_with_an_address_takes_from_the_file_what_it_leaves_out() -> None:
    found = one({"name": "box", "address": "10.0.0.9", "port": 2200, "host_key": KEY}, **FILE)
    assert found.machine == Machine(
        alias="box", name="box", address="10.0.0.9", user="debian", host_key=KEY, key="/keys/a", port=2200
    )
    variables = _hosts.hostvars(found.instance, found.settings)
    assert {name: variables[name] for name in ("haven_cloud", "haven_state", "haven_project", "ansible_host")} == {
        "haven_cloud": "static",
        "haven_state": "unknown",
        "haven_project": "demo",
        "ansible_host": "box",
    }
    assert (variables["haven_address"], variables["ansible_user"]) == ("10.0.0.9", "debian")
    assert found.settings.hops == (Hop("gate"),)
    shared = {
        "haven_hops": [{"host": "gate", "port": 22}],
        "haven_ssh_config": "/x",
        "haven_host_key_authority": "",
    }
    assert found.variables("/x") == {**shared, "ansible_port": 2200}
    assert one({"name": "box", "address": "a"}, **FILE).variables("/x") == shared


def test_what_it_says_itself_comes_first() -> None:
    found = one(
        {
            "name": "box",
            "address": "box.example.org",
            "user": "alice",
            "private_key": "/keys/b",
            "hops": [],
            "project": "other",
            "gpu": {"model": "RTX3090", "count": 2, "memory_gib": 24},
            "tags": {"team": "a"},
            "hourly_price": 0.25,
        },
        **FILE,
    )
    variables = _hosts.hostvars(found.instance, found.settings)
    assert (found.machine.user, found.machine.key, found.settings.hops) == ("alice", "/keys/b", ())
    assert variables["haven_gpu"] == {"model": "RTX3090", "count": 2, "memory_gib": 24.0}
    assert (variables["haven_project"], variables["haven_hourly_price"]) == ("other", 0.25)
    assert variables["haven_instance_tags"]["team"] == "a"
    assert "haven_gpu_RTX3090" in _hosts.groups(found.instance)


def test_behind_an_alias_the_users_own_configuration_says_the_rest() -> None:
    found = one({"name": "gamer-pc", "ssh_alias": "gamer"}, **FILE)
    assert found.machine == Machine(alias="gamer", name="gamer-pc", own_config=True)
    assert _hosts.hostvars(found.instance, found.settings)["ansible_host"] == "gamer"
    text = render([found.machine], found.settings.hops, paths=PATHS)
    block = text[text.index("Host gamer") : text.index("Match all")]
    assert "StrictHostKeyChecking yes" in block
    assert "ForwardAgent no" in block
    for said_elsewhere in ("HostName", "Port", "User ", "KnownHosts", "HostKeyAlias", "ProxyJump"):
        assert said_elsewhere not in block
    assert known_hosts([found.machine], []) == ""


def test_an_alias_with_a_host_key_trusts_no_other() -> None:
    found = one({"name": "gamer-pc", "ssh_alias": "gamer", "host_key": KEY, "port": 2200})
    text = render([found.machine], (), paths=PATHS)
    assert 'UserKnownHostsFile "/k/known_hosts"' in text
    assert "HostKeyAlias gamer" in text
    assert "Port 2200" in text
    assert known_hosts([found.machine], []) == f"gamer {KEY} gamer-pc\n"


def test_an_authority_vouches_for_a_machine_by_its_address_and_only_where_it_says_so() -> None:
    found = one({"name": "box", "address": "Box.example.org", "host_key": SIGNED}, host_key_authority=KEY)
    assert known_hosts([found.machine], []) == f"@cert-authority box.example.org {KEY} box\n"
    assert "  HostKeyAlias box.example.org\n" in render([found.machine], (), paths=PATHS)
    named = one({"name": "box", "address": "fd00::1", "host_key": f"@cert-authority Box.lab {KEY}"})
    assert known_hosts([named.machine], []) == f"@cert-authority box.lab {KEY} box\n"
    pinned = one({"name": "box", "address": "a", "host_key": KEY}, host_key_authority=KEY)
    assert known_hosts([pinned.machine], []) == f"box {KEY} box\n"
    # A variable for the machines of a cloud, from group_vars/all.yml, is around in the play.
    for each, known in ((found, f"@cert-authority box.example.org {KEY} box\n"), (pinned, f"box {KEY} box\n")):
        play = {"inventory_hostname": "box", "haven_host_key_authority": KEY}
        hostvars = {**play, **_hosts.hostvars(each.instance, each.settings), **each.variables("/x")}
        assert ssh_config([hostvars], folder="/k")["known_hosts"]["content"] == known


@pytest.mark.parametrize(
    ("machine", "complaint"),
    [
        ("box", "Machine 1 must be a dictionary"),
        ({"name": "localhost", "address": "a"}, "Machine 1 must be"),
        ({"name": "a b", "address": "a"}, "Machine 1 must be"),
        ({"name": "box"}, "Machine box: Give either"),
        ({"name": "box", "address": "a", "ssh_alias": "a"}, "Machine box: Give either"),
        ({"name": "box", "address": "-oProxyCommand=x"}, "Machine box: Its address"),
        ({"name": "box", "ssh_alias": "-oProxyCommand=x"}, "Machine box: Its ssh_alias"),
        ({"name": "box", "address": "a", "host_key": "x"}, "Machine box: Its host_key"),
        ({"name": "box", "address": "a", "host_key": "@cert-authority x"}, "Machine box: Its host_key is not"),
        ({"name": "box", "address": "fd00::1", "host_key": SIGNED}, "Machine box: Its host_key is an authority's"),
        ({"name": "box", "ssh_alias": "a", "host_key": SIGNED}, "Machine box: Its host_key is an authority's"),
        ({"name": "box", "address": "a", "port": "22 -x"}, "Machine box: Its port"),
        ({"name": "box", "address": "a", "user": "-l root"}, "Machine box: Its user"),
        ({"name": "box", "address": "a", "gpu": "RTX"}, "Machine box: Its gpu"),
        ({"name": "box", "address": "a", "hourly_price": "x"}, "Machine box: Its hourly_price"),
        ({"name": "box", "address": "a", "tags": "x"}, "Machine box: Its tags"),
        ({"name": "box", "address": "a", "hops": [{"host": "a b"}]}, "Machine box: The host of hop 1"),
        ({"name": "box", "address": "a", "colour": "x"}, r"Machine box: It has unknown fields \(colour\)"),
    ],
)
def test_what_is_wrong_is_said_by_name(machine: Any, complaint: str) -> None:
    with pytest.raises(InvalidRequest, match=complaint):
        machines_from({"machines": [machine]})


def test_two_machines_need_two_names() -> None:
    with pytest.raises(InvalidRequest, match="Two machines are called"):
        machines_from({"machines": [{"name": "box", "address": "a"}, {"name": "pc", "ssh_alias": "Box"}]})


def test_the_list_is_a_list() -> None:
    assert machines_from({}) == []
    with pytest.raises(InvalidRequest, match="must be a list"):
        machines_from({"machines": {"name": "box"}})
