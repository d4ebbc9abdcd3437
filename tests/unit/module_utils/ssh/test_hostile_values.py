# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Nothing that a cloud says adds a line or a word to the ssh configuration and to known_hosts."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.haven.gpu.plugins.module_utils._errors import InvalidRequest
from ansible_collections.haven.gpu.plugins.module_utils._ssh.checks import hops_from
from ansible_collections.haven.gpu.plugins.module_utils._ssh.config import (
    Machine,
    Paths,
    hop_alias,
    known_hosts,
    render,
)
from tests.unit.module_utils.ssh.readings import HOPS, KEY, MACHINE, asked, proxy_command, rendered

PATHS = Paths("/k", included_by="/c", python=("/p",))
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
    | \ \ (
        \#[\ -~]*
        | HostName\ [A-Za-z0-9_][A-Za-z0-9._-]* | HostName\ [0-9a-f:.]+
        | HostKeyAlias\ [A-Za-z0-9][A-Za-z0-9._-]*
        | HostKeyAlgorithms\ \^[a-z0-9@.,-]+
        | User\ [A-Za-z_][A-Za-z0-9._@-]*
        | Port\ [0-9]+
        | ProxyJump\ none
        | ControlPath\ none
        | ProxyCommand\ '/p'\ -IS\ '/k/proxy_helper\.py'\ through\ verified\ '/c'\ haven-hop-[a-z0-9-]+\ '\[%h\]:%p'
        | KnownHostsCommand\ "/p"\ -IS\ "/k/proxy_helper\.py"\ check\ verified\ %I\ %H\ %f\ %K\ "/k/known_hosts"
        | StrictHostKeyChecking\ yes
        | UserKnownHostsFile\ "/k/known_hosts"
        | GlobalKnownHostsFile\ /dev/null
        | IdentityFile\ "~/keys/gate\ 100%%\ mine"
        | IdentitiesOnly\ yes
        | RequestTTY\ auto | RemoteCommand\ none | LogLevel\ INFO | PubkeyAuthentication\ yes
        | (PermitLocalCommand|VisualHostKey|ClearAllForwardings|ExitOnForwardFailure|GatewayPorts|Tunnel)\ no
        | (CanonicalizeHostname|HashKnownHosts|ProxyUseFdpass|AddKeysToAgent)\ no
        | LogVerbose\ none | FingerprintHash\ sha256 | PreferredAuthentications\ [a-z,-]+
        | (UpdateHostKeys|CheckHostIP|VerifyHostKeyDNS|ForwardAgent|ForwardX11)\ no
        | (ConnectTimeout|ServerAliveInterval|ServerAliveCountMax)\ [0-9]+
    )
    """,
    re.VERBOSE,
)


@settings(max_examples=400, deadline=None)
@given(machines=MACHINES)
def test_no_value_from_a_cloud_adds_a_line_or_a_word(machines: list[Machine]) -> None:
    text = render([*machines, MACHINE], HOPS, paths=PATHS)
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
    lines = [line for line in render([], hops, paths=PATHS).split("\n") if "IdentityFile" not in line]
    assert [line for line in lines if not LINE.fullmatch(line)] == []
