# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ssh configuration says what it should, to the real ssh."""

from __future__ import annotations

import dataclasses
import pathlib

import pytest

from ansible_collections.haven.gpu.plugins.module_utils._errors import InvalidRequest
from ansible_collections.haven.gpu.plugins.module_utils._ssh.config import (
    NO_ADDRESS,
    Forward,
    HopForward,
    Machine,
    Paths,
    hop_alias,
    render,
)
from tests.unit.module_utils.ssh.readings import HOPS, KEY, MACHINE, PATHS, asked, proxy_command, rendered


def test_a_machine_is_reached_through_every_hop_in_order(tmp_path: pathlib.Path) -> None:
    text = rendered(MACHINE)
    first, second = hop_alias(HOPS, 0), hop_alias(HOPS, 1)
    machine = asked(tmp_path, text, "i-1")
    assert (machine["hostname"], machine["user"], machine["port"]) == ("10.0.0.5", "debian", "22")
    assert machine["proxycommand"] == proxy_command(second)
    assert asked(tmp_path, text, second)["proxycommand"] == proxy_command(first)
    gate = asked(tmp_path, text, first)
    assert (gate["hostname"], gate["port"], gate["user"]) == ("gate.example.org", "2222", "sshuser")
    assert "proxycommand" not in gate


def test_host_keys_are_checked_strictly_on_the_machine_and_on_every_hop(tmp_path: pathlib.Path) -> None:
    text = rendered(MACHINE)
    for host in ("i-1", hop_alias(HOPS, 0), hop_alias(HOPS, 1)):
        assert asked(tmp_path, text, host)["stricthostkeychecking"] == "true"


def test_a_known_key_is_looked_for_in_our_file_only_and_under_the_identity(tmp_path: pathlib.Path) -> None:
    text = rendered(Machine("notebook", address="10.0.0.5", host_key=KEY, identity="i-1"))
    machine = asked(tmp_path, text, "notebook")
    assert machine["hostkeyalias"] == "i-1"
    assert (machine["userknownhostsfile"], machine["globalknownhostsfile"]) == ("/k/100% h/known_hosts", "/dev/null")
    assert machine["updatehostkeys"] == "false"
    gate = asked(tmp_path, text, hop_alias(HOPS, 0))
    assert gate["hostkeyalias"] == hop_alias(HOPS, 0)
    assert gate["userknownhostsfile"] == "/k/100% h/known_hosts"


def test_a_hop_without_a_key_is_looked_up_in_the_users_own_known_hosts(tmp_path: pathlib.Path) -> None:
    hop = asked(tmp_path, rendered(MACHINE), hop_alias(HOPS, 1))
    assert "hostkeyalias" not in hop
    assert hop["userknownhostsfile"].split()[0].endswith("/.ssh/known_hosts")


def test_only_a_key_file_limits_the_identities(tmp_path: pathlib.Path) -> None:
    text = rendered(MACHINE, Machine("i-2", address="10.0.0.6", key="/home/a b/100%"))
    assert asked(tmp_path, text, "i-1")["identitiesonly"] == "no"
    limited = asked(tmp_path, text, "i-2")
    assert (limited["identitiesonly"], limited["identityfile"]) == ("yes", "/home/a b/100%%")


def test_the_agent_is_never_forwarded(tmp_path: pathlib.Path) -> None:
    text = rendered(MACHINE)
    assert {
        asked(tmp_path, text, host)["forwardagent"] for host in ("i-1", hop_alias(HOPS, 0), hop_alias(HOPS, 1))
    } == {"no"}


def test_no_hops_is_direct_access(tmp_path: pathlib.Path) -> None:
    assert "proxycommand" not in asked(tmp_path, rendered(MACHINE, hops=[]), "i-1")


def test_tofu_accepts_new_keys_and_keeps_them_where_nothing_is_rewritten(tmp_path: pathlib.Path) -> None:
    text = rendered(MACHINE, host_keys="tofu")
    machine = asked(tmp_path, text, "i-1")
    assert machine["stricthostkeychecking"] == "accept-new"
    assert machine["userknownhostsfile"] == "/k/100% h/known_hosts.accepted /k/100% h/known_hosts"
    assert asked(tmp_path, text, hop_alias(HOPS, 1))["stricthostkeychecking"] == "accept-new"


def test_a_machine_without_a_usable_address_is_not_looked_up_by_its_alias(tmp_path: pathlib.Path) -> None:
    text = rendered(Machine("i-1"), Machine("i-2", address="-oProxyCommand=x"))
    for host in ("i-1", "i-2"):
        assert asked(tmp_path, text, host)["hostname"] == NO_ADDRESS


def test_an_ipv6_address_is_taken(tmp_path: pathlib.Path) -> None:
    assert asked(tmp_path, rendered(Machine("i-1", address="fd00::5")), "i-1")["hostname"] == "fd00::5"


def test_a_forward_leads_from_loopback_to_the_socket(tmp_path: pathlib.Path) -> None:
    machine = Machine("i-1", address="10.0.0.5", forwards=(Forward(8888, "/run/haven/alice/jupyter.sock"),))
    assert asked(tmp_path, rendered(machine), "i-1")["localforward"] == "[localhost]:8888 /run/haven/alice/jupyter.sock"


@pytest.mark.parametrize("path", ["relative", "/run/a b", "/run/x\nProxyCommand y", "/run/%h", "/run/a:b", ""])
def test_a_forward_to_anything_but_a_plain_path_is_refused(path: str) -> None:
    with pytest.raises(InvalidRequest, match="plain absolute path"):
        rendered(Machine("i-1", address="10.0.0.5", forwards=(Forward(8888, path),)))


def test_the_users_own_configuration_is_included_for_every_host() -> None:
    text = render([MACHINE], HOPS, paths=Paths("/k"))
    assert "\n\nMatch all\n" in text
    assert text.endswith("\n  Include ~/.ssh/config\n")


def test_the_second_machine_with_an_alias_is_left_out(tmp_path: pathlib.Path) -> None:
    text = rendered(MACHINE, Machine("I-1", address="10.6.6.6"))
    assert asked(tmp_path, text, "i-1")["hostname"] == "10.0.0.5"
    assert "10.6.6.6" not in text
    assert "# Left out, the name cannot be used: 'I-1'" in text


@pytest.mark.parametrize(
    ("kind", "first"),
    [
        ("ssh-ed25519", "ssh-ed25519,"),
        ("ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384,"),
        ("ssh-rsa", "rsa-sha2-512,rsa-sha2-256,"),
        ("sk-ssh-ed25519@openssh.com", "sk-ssh-ed25519@openssh.com,"),
    ],
)
def test_the_kind_of_the_known_key_is_asked_for_first_and_any_other_after_it(
    tmp_path: pathlib.Path, kind: str, first: str
) -> None:
    text = rendered(Machine("i-1", address="10.0.0.5", host_key=f"{kind} AAAA"))
    wanted = asked(tmp_path, text, "i-1")["hostkeyalgorithms"]
    assert wanted.startswith(first)
    assert {"ssh-ed25519", "rsa-sha2-512", "ecdsa-sha2-nistp256"} <= set(wanted.split(","))


def test_no_kind_of_key_is_asked_for_where_none_is_known(tmp_path: pathlib.Path) -> None:
    usual = asked(tmp_path, "", "i-1")["hostkeyalgorithms"]
    for key in (None, "ssh-new AAAA", "-oProxyCommand=x y"):
        text = rendered(Machine("i-1", address="10.0.0.5", host_key=key))
        assert asked(tmp_path, text, "i-1")["hostkeyalgorithms"] == usual
    # ssh prefers certificates by itself.
    text = rendered(Machine("i-1", address="10.0.0.5", host_key=KEY, authority=KEY))
    assert asked(tmp_path, text, "i-1")["hostkeyalgorithms"] == usual


def test_a_machine_cannot_take_the_name_of_a_hop(tmp_path: pathlib.Path) -> None:
    gate = hop_alias(HOPS, 0)
    text = rendered(Machine(gate, address="10.6.6.6"), MACHINE)
    assert asked(tmp_path, text, gate)["hostname"] == "gate.example.org"


def test_the_same_host_in_two_chains_has_two_names() -> None:
    assert hop_alias([HOPS[1]], 0) != hop_alias(HOPS, 1)


@pytest.mark.parametrize("part", ["folder", "included_by"])
def test_no_path_breaks_out_of_the_command_that_ssh_runs(part: str) -> None:
    with pytest.raises(InvalidRequest, match="cannot be written to an ssh configuration"):
        render([MACHINE], HOPS, paths=dataclasses.replace(PATHS, **{part: "/k'; touch /tmp/pwned; '"}))


def test_a_forward_of_the_last_hop_is_of_no_other(tmp_path: pathlib.Path) -> None:
    forwards = [HopForward("/run/0", "10.0.0.5", 22), HopForward("/run/1", "fd00::5", 2222)]
    text = render([MACHINE], HOPS, paths=PATHS, hop_forwards=forwards)
    lines = [line.strip() for line in text.splitlines() if "LocalForward" in line]
    assert lines == ["LocalForward /run/0 [10.0.0.5]:22", "LocalForward /run/1 [fd00::5]:2222"]
    assert asked(tmp_path, text, hop_alias(HOPS, 1))["localforward"] == "/run/1 [fd00::5]:2222"
    for host in (hop_alias(HOPS, 0), "i-1"):
        assert "localforward" not in asked(tmp_path, text, host)
