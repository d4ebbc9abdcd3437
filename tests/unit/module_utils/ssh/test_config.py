# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ssh configuration says what it should, to the real ssh, and nothing from a cloud can add to it."""

from __future__ import annotations

import dataclasses
import pathlib
import re
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.haven.gpu.plugins.module_utils._errors import InvalidRequest
from ansible_collections.haven.gpu.plugins.module_utils._ssh.config import (
    NO_ADDRESS,
    Files,
    Forward,
    Hop,
    Machine,
    hop_alias,
    hops_from,
    known_hosts,
    public_key,
    render,
)

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGtQkg2pJ0Q1m1GZ1h6dXqg8xW6gQq3Yk8Qx2u8ZqQ0n"
OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHtQkg2pJ0Q1m1GZ1h6dXqg8xW6gQq3Yk8Qx2u8ZqQ0n"
HOPS = [
    Hop("gate.example.org", port=2222, user="sshuser", key="~/keys/gate 100% mine", host_key=KEY),
    Hop("fd00::1", user="second"),
]
FILES = Files(known_hosts="/k", helper="/h", config="/c", python=("/p",))
MACHINE = Machine("i-1", address="10.0.0.5", user="debian", host_key=OTHER_KEY)

HOSTILE = [
    "-oProxyCommand=touch /tmp/pwned",
    "x\n  ProxyCommand touch /tmp/pwned",
    "x\r\n  ProxyCommand touch /tmp/pwned",
    "x\x85  ProxyCommand touch /tmp/pwned",
    "x\u2028ProxyCommand touch /tmp/pwned",
    "$(touch /tmp/pwned)",
    "`touch /tmp/pwned`",
    "x;touch /tmp/pwned",
    'x" y',
    "x' y",
    "%h%p%r",
    "${HOME}",
    "* !other",
    "*",
    "x y",
    "x,y",
    "#x",
    "\\",
    "\x00",
    "",
    " ",
    "y" * 10_000,
    "{{ lookup('pipe', 'touch /tmp/pwned') }}",
    "\ud800",
    "fe80::1%eth0",
]
WORDS = st.one_of(
    st.sampled_from(HOSTILE), st.text(max_size=60), st.sampled_from(["i-1", "10.0.0.1", "fd00::2", "debian", KEY])
)
MACHINES = st.lists(
    st.builds(
        Machine,
        alias=WORDS,
        address=st.none() | WORDS,
        user=st.none() | WORDS,
        host_key=st.none() | WORDS,
        identity=WORDS,
        name=WORDS,
    ),
    max_size=6,
)
# All that a line may be, written down without help from the code under test.
LINE = re.compile(
    r"""
    | \#[\ -~]*
    | Host\ [A-Za-z0-9][A-Za-z0-9._-]*
    | Match\ all
    | \ \ (
        \#[\ -~]*
        | HostName\ [A-Za-z0-9_][A-Za-z0-9._-]* | HostName\ [0-9a-f:.]+
        | HostKeyAlias\ [A-Za-z0-9][A-Za-z0-9._-]*
        | HostKeyAlgorithms\ \^[a-z0-9@.,-]+
        | User\ [A-Za-z_][A-Za-z0-9._@-]*
        | Port\ [0-9]+
        | ProxyJump\ none
        | ControlPath\ none
        | ProxyCommand\ '/p'\ -IS\ '/h'\ through\ verified\ '/c'\ haven-hop-[a-z0-9-]+\ '\[%h\]:%p'
        | KnownHostsCommand\ "/p"\ -IS\ "/h"\ check\ verified\ %I\ %H\ %f\ %K\ "/k"
        | StrictHostKeyChecking\ yes
        | UserKnownHostsFile\ "/k"
        | GlobalKnownHostsFile\ /dev/null
        | IdentityFile\ "~/keys/gate\ 100%%\ mine"
        | IdentitiesOnly\ yes
        | (UpdateHostKeys|CheckHostIP|VerifyHostKeyDNS|ForwardAgent|ForwardX11)\ no
        | (ConnectTimeout|ServerAliveInterval|ServerAliveCountMax)\ [0-9]+
        | Include\ ~/\.ssh/config
    )
    """,
    re.VERBOSE,
)


def asked(folder: pathlib.Path, text: str, host: str) -> dict[str, str]:
    """What the real ssh makes of the configuration for one host; the last value of each keyword."""
    config = folder / "ssh_config"
    config.write_text(text)
    answer = subprocess.run(
        ["ssh", "-G", "-F", str(config), host], check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    return dict(line.partition(" ")[::2] for line in answer.stdout.splitlines())


def rendered(*machines: Machine, hops: list[Hop] | None = None, **options: str) -> str:
    # Without the user's own configuration, so that the outcome is the same on every computer.
    files = Files(known_hosts="/k/known hosts", helper="/k/100% h", config="/k/my config", python=("/p y/python",))
    return render(machines, HOPS if hops is None else hops, files=files, include_user_config=False, **options)


def proxy_command(hop: str, mode: str = "verified") -> str:
    """What ssh -G says of a ProxyCommand; it fills tokens in when it connects."""
    return f"'/p y/python' -IS '/k/100%% h' through {mode} '/k/my config' {hop} '[%h]:%p'"


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
    assert (machine["userknownhostsfile"], machine["globalknownhostsfile"]) == ("/k/known hosts", "/dev/null")
    assert machine["updatehostkeys"] == "false"
    gate = asked(tmp_path, text, hop_alias(HOPS, 0))
    assert gate["hostkeyalias"] == hop_alias(HOPS, 0)
    assert gate["userknownhostsfile"] == "/k/known hosts"


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
    assert machine["userknownhostsfile"] == "/k/known hosts.accepted /k/known hosts"
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
    text = render([MACHINE], HOPS, files=FILES)
    assert text.endswith("\n\nMatch all\n  Include ~/.ssh/config\n")


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


@settings(max_examples=400, deadline=None)
@given(machines=MACHINES)
def test_no_value_from_a_cloud_adds_a_line_or_a_word(machines: list[Machine]) -> None:
    text = render([*machines, MACHINE], HOPS, files=FILES)
    assert [line for line in text.split("\n") if not LINE.fullmatch(line)] == []
    assert text.isascii()


@settings(max_examples=60, deadline=None)
@given(machines=MACHINES)
def test_ssh_reads_the_file_whatever_a_cloud_says(
    tmp_path_factory: pytest.TempPathFactory, machines: list[Machine]
) -> None:
    others = [machine for machine in machines if machine.alias.lower() != "i-1"]
    text = rendered(*others, MACHINE)
    answer = asked(tmp_path_factory.getbasetemp(), text, "i-1")
    assert (answer["hostname"], answer["proxycommand"]) == ("10.0.0.5", proxy_command(hop_alias(HOPS, 1)))


@settings(max_examples=400, deadline=None)
@given(machines=MACHINES)
def test_every_line_of_known_hosts_is_one_name_and_one_key(machines: list[Machine]) -> None:
    lines = known_hosts(machines, HOPS).split("\n")
    assert lines[0] == f"{hop_alias(HOPS, 0)} {KEY} gate.example.org"
    one = re.compile(rf"[a-z0-9][a-z0-9._-]* {re.escape(KEY)}( [A-Za-z0-9][A-Za-z0-9._-]*)?")
    assert [line for line in lines[1:-1] if not one.fullmatch(line)] == []


def test_ssh_finds_the_recorded_keys(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "known_hosts"
    path.write_text(known_hosts([MACHINE, Machine("i-2", host_key="nonsense")], HOPS))

    def found(name: str) -> str:
        answer = subprocess.run(
            ["ssh-keygen", "-F", name, "-f", str(path)], check=False, capture_output=True, text=True
        )
        return answer.stdout.splitlines()[-1] if answer.stdout else ""

    assert found("i-1") == f"i-1 {OTHER_KEY} i-1"
    assert found(hop_alias(HOPS, 0)) == f"{hop_alias(HOPS, 0)} {KEY} gate.example.org"
    assert found("i-2") == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (KEY, KEY),
        (f" {KEY}  root@machine ", KEY),
        (f"{KEY}\n", None),
        (KEY.replace("ssh-ed25519", "ssh-rsa"), None),
        (f"@cert-authority * {KEY}", None),
        (KEY[:-2], None),
        (KEY + "!", None),
        ("ssh-ed25519", None),
        ("ssh-dss AAAA", None),
        ("", None),
        (None, None),
        (7, None),
    ],
)
def test_a_host_key_is_exactly_one_public_key(text: object, expected: str | None) -> None:
    assert public_key(text) == expected


def test_a_hop_may_be_known_by_who_signs_its_key(tmp_path: pathlib.Path) -> None:
    hops = hops_from([{"host": "gate.example.org", "host_key": f"@cert-authority {KEY}"}])
    gate = asked(tmp_path, rendered(MACHINE, hops=hops), hop_alias(hops, 0))
    assert (gate["hostkeyalias"], gate["stricthostkeychecking"]) == ("gate.example.org", "true")
    assert known_hosts([], hops) == f"@cert-authority gate.example.org {KEY} gate.example.org\n"


def test_a_hop_may_be_known_by_another_name_that_its_signer_has_written(tmp_path: pathlib.Path) -> None:
    hops = hops_from([{"host": "10.0.0.9", "host_key": f"@cert-authority gate.demo {KEY} me@here"}])
    gate = asked(tmp_path, rendered(MACHINE, hops=hops), hop_alias(hops, 0))
    assert (gate["hostname"], gate["hostkeyalias"]) == ("10.0.0.9", "gate.demo")
    assert known_hosts([], hops) == f"@cert-authority gate.demo {KEY} 10.0.0.9\n"


@pytest.mark.parametrize("name", ["*", "a,b", "-oX", "!a", "a\nb", "|1|a|b"])
def test_an_authority_vouches_for_one_plain_name(name: str) -> None:
    with pytest.raises(InvalidRequest, match="host_key of hop 1 is not"):
        hops_from([{"host": "10.0.0.9", "host_key": f"@cert-authority {name} {KEY}"}])


def test_hops_are_read_from_plain_data() -> None:
    data = [{"host": "[fd00::9]", "port": "2200"}, {"host": "b.example.org", "user": "x", "key": "", "host_key": None}]
    assert hops_from(data) == [Hop("fd00::9", port=2200), Hop("b.example.org", user="x")]
    assert hops_from(None) == hops_from([]) == []


@pytest.mark.parametrize(
    ("hop", "complaint"),
    [
        ({"host": "-oProxyCommand=x"}, "neither a host name nor an address"),
        ({"host": "a b"}, "neither"),
        ({"host": "fe80::1%eth0"}, "neither"),
        ({"host": "a\n  User b"}, "neither"),
        ({"host": "a", "user": "-l"}, "not a user name"),
        ({"host": "a", "user": "%r"}, "not a user name"),
        ({"host": "a", "port": "22a"}, "no valid port"),
        ({"host": "a", "port": 0}, "no valid port"),
        ({"host": "a", "port": "9" * 5000}, "no valid port"),
        ({"host": "a", "port": 70000}, "no valid port"),
        ({"host": "a", "key": 'a"b'}, "path of the key of hop 1"),
        ({"host": "a", "key": "${HOME}/x"}, "path of the key of hop 1"),
        ({"host": "a", "key": "none"}, "path of the key of hop 1"),
        ({"host": "a", "host_key": "ssh-ed25519 AAAA..."}, "not an OpenSSH public key"),
        ({"host": "a", "hostkey": "x"}, "unknown fields"),
        ({"user": "a"}, "at least a host"),
        ("gate.example.org", "at least a host"),
    ],
)
def test_a_hop_that_ssh_could_misread_is_refused_with_its_number(hop: object, complaint: str) -> None:
    with pytest.raises(InvalidRequest, match=complaint) as caught:
        hops_from([hop])
    assert "hop 1" in str(caught.value).lower()


@settings(max_examples=300, deadline=None)
@given(
    host=WORDS, user=st.none() | WORDS, key=st.none() | WORDS, host_key=st.none() | WORDS, port=st.integers() | WORDS
)
def test_hops_are_refused_or_rendered_as_plain_lines(
    host: str, user: str | None, key: str | None, host_key: str | None, port: int | str
) -> None:
    try:
        hops = hops_from([{"host": host, "user": user, "key": key, "host_key": host_key, "port": port}])
    except InvalidRequest:
        return
    lines = [line for line in render([], hops, files=FILES).split("\n") if "IdentityFile" not in line]
    assert [line for line in lines if not LINE.fullmatch(line)] == []


@pytest.mark.parametrize("path", ["", "none", "-x", 'a"b', "a\nb", "a\\b", "${X}/y", "a'b"])
def test_a_known_hosts_path_that_cannot_be_written_safely_is_refused(path: str) -> None:
    with pytest.raises(InvalidRequest, match="cannot be written to an ssh configuration"):
        render([], [], files=dataclasses.replace(FILES, known_hosts=path))


@pytest.mark.parametrize("part", ["known_hosts", "helper", "config"])
def test_no_path_breaks_out_of_the_command_that_ssh_runs(part: str) -> None:
    with pytest.raises(InvalidRequest, match="cannot be written to an ssh configuration"):
        render([MACHINE], HOPS, files=dataclasses.replace(FILES, **{part: "/k'; touch /tmp/pwned; '"}))
