# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What users like for all their hosts, in a `Host *` of their own, changes no connection that a program makes."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import shutil
import subprocess

import pytest

from ansible_collections.haven.gpu.plugins.module_utils._ssh.config import (
    Machine,
    OwnSsh,
    Paths,
    hop_alias,
    render,
)
from ansible_collections.haven.gpu.plugins.module_utils._ssh.files import own_ssh

from .readings import HOPS as READ_HOPS
from .readings import KEY, MACHINE, asked

# What is not ours to know is the user's: keys, and the host keys of hops.
HOPS = [dataclasses.replace(hop, key="/k/key", host_key=KEY) for hop in READ_HOPS]
MACHINES = [dataclasses.replace(MACHINE, key="/k/key")]
HOSTS = [MACHINE.alias, hop_alias(HOPS, 0), hop_alias(HOPS, 1)]
HOSTILE = [
    "ControlPath ~/.ssh/cm-%C",
    "ProxyJump bastion.example.org",
    "RequestTTY force",
    "RemoteCommand tmux new -A",
    "LogLevel QUIET",
    "LogLevel DEBUG3",
    "StrictHostKeyChecking no",
    "UserKnownHostsFile /dev/null",
    "KnownHostsCommand /bin/false",
    "HashKnownHosts yes",
    "UpdateHostKeys ask",
    "ForwardAgent yes",
    "ForwardX11 yes",
    "ClearAllForwardings yes",
    "ExitOnForwardFailure yes",
    "PermitLocalCommand yes",
    "VisualHostKey yes",
    "CanonicalizeHostname always",
    "PubkeyAuthentication no",
    "ProxyUseFdpass yes",
    "ConnectTimeout 1",
    "ServerAliveInterval 300",
    "SessionType none",
    "StdinNull yes",
    # ssh refuses it where there is no command.
    "ForkAfterAuthentication yes\n  SessionType none",
    "LogVerbose *",
    "FingerprintHash md5",
    "GatewayPorts yes",
    "Tunnel yes",
    "PreferredAuthentications password",
    "AddKeysToAgent ask",
    "HostName elsewhere.example.org",
    "Port 2200",
]
# Those of NEWER that the ssh of this computer knows, as it says itself.
KNOWN = own_ssh("none").knows
HOSTILE += ["ChannelTimeout session=5m"] if "ChannelTimeout" in KNOWN else []
# Keywords that come to nothing without another one, which is never the user's.
IDLE = {"controlmaster", "controlpersist"}


def with_own(folder: pathlib.Path, own: str) -> str:
    """The configuration of a program, and these lines in place of the user's own file."""
    file = folder / "own config"
    file.write_text(own)
    paths = Paths(str(folder), ssh=own_ssh(str(file)))
    return render(MACHINES, HOPS, paths=paths).replace("~/.ssh/config", f'"{file}"')


@pytest.mark.parametrize("line", HOSTILE)
def test_a_setting_for_all_hosts_changes_nothing(tmp_path: pathlib.Path, line: str) -> None:
    tidy = {host: asked(tmp_path, with_own(tmp_path, ""), host) for host in HOSTS}
    found = {host: asked(tmp_path, with_own(tmp_path, f"Host *\n  {line}\n"), host) for host in HOSTS}
    assert found == tidy


@pytest.mark.parametrize("line", HOSTILE)
def test_a_setting_for_all_hosts_does_not_reach_the_hops_of_the_users_own_ssh(
    tmp_path: pathlib.Path, line: str
) -> None:
    """What they like when they log in to a machine themselves is theirs."""

    def found(own: str) -> list[dict[str, str]]:
        file = tmp_path / "own config"
        file.write_text(own)
        paths = Paths(str(tmp_path), included_by="/h/config", ssh=own_ssh(str(file)))
        text = f"{render(MACHINES, HOPS, paths=paths)}\nMatch all\n{own}"
        return [asked(tmp_path, text, host) for host in HOSTS[1:]]

    assert found(f"Host *\n  {line}\n") == found("")


def test_a_machine_in_the_users_own_configuration_is_known_by_the_same_fingerprint(tmp_path: pathlib.Path) -> None:
    paths = Paths(str(tmp_path), included_by="/h/config")
    text = f"{render(MACHINES, HOPS, paths=paths)}\nMatch all\n  FingerprintHash md5\n"
    assert asked(tmp_path, text, MACHINE.alias)["fingerprinthash"] == "SHA256"


@pytest.mark.parametrize("line", HOSTILE)
def test_each_of_them_does_something_where_nobody_is_before_it(tmp_path: pathlib.Path, line: str) -> None:
    """Or the test above would prove nothing."""
    elsewhere = "own.example.org"
    assert asked(tmp_path, f"Host *\n  {line}\n", elsewhere) != asked(tmp_path, "", elsewhere)


def test_connections_are_shared_by_us_alone(tmp_path: pathlib.Path) -> None:
    lines = "Host *\n  ControlMaster auto\n  ControlPath ~/.ssh/cm-%C\n  ControlPersist 10m\n"
    tidy, found = (asked(tmp_path, with_own(tmp_path, own), MACHINE.alias) for own in ("", lines))
    assert {key for key in tidy | found if tidy.get(key) != found.get(key)} == IDLE
    assert "controlpath" not in found


def test_the_key_that_is_ours_is_the_first(tmp_path: pathlib.Path) -> None:
    text = with_own(tmp_path, "Host *\n  IdentityFile ~/.ssh/other\n")
    (tmp_path / "ssh_config").write_text(text)
    blocks = text.partition(f"Host {MACHINE.alias}\n")[2].partition("\n\n")[0]
    assert 'IdentityFile "/k/key"' in blocks
    assert "IdentitiesOnly yes" in blocks


def test_a_proxy_command_that_leads_out_of_the_users_network_stays(tmp_path: pathlib.Path) -> None:
    text = with_own(tmp_path, "Host *\n  ProxyCommand connect -H proxy:3128 %h %p\n")
    assert asked(tmp_path, text, HOSTS[1])["proxycommand"] == "connect -H proxy:3128 %h %p"


def test_a_machine_without_hops_goes_the_way_of_the_user(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "own"
    file.write_text("Host *\n  ProxyJump bastion.example.org\n")
    text = render([Machine("i-1", address="198.51.100.5")], (), paths=Paths(str(tmp_path), ssh=OwnSsh(jump=True)))
    assert asked(tmp_path, text.replace("~/.ssh/config", str(file)), "i-1")["proxyjump"] == "bastion.example.org"


@pytest.mark.parametrize(
    ("own", "has"),
    [
        ("Host *\n  ProxyJump a.example.org\n", True),
        ("Match all\n  ProxyJump a.example.org\n", True),
        ("Host * !a.example.org\n  ProxyJump a.example.org\n", True),
        ("Host *\n  ProxyJump none\n", False),
        ("Host *.lab.example.org\n  ProxyJump a.example.org\n", False),
        ("Host *\n  ProxyCommand nc %h %p\n", False),
        ("NoSuchKeyword yes\n", False),
        ("", False),
    ],
)
def test_a_jump_host_for_everything_is_noticed(tmp_path: pathlib.Path, own: str, has: bool) -> None:
    file = tmp_path / "config"
    file.write_text(own)
    assert own_ssh(str(file)).jump is has


@pytest.mark.parametrize(
    ("own", "has"),
    [
        ("Host *\n  DynamicForward 1080\n", True),
        ("Host *\n  LocalForward 8080 intranet.example.org:80\n", True),
        ("Host *\n  RemoteForward 52698 localhost:52698\n", True),
        ("Host *\n  DynamicForward 1080\n  ClearAllForwardings yes\n", False),
        ("Host box\n  DynamicForward 1080\n", False),
    ],
)
def test_ports_to_forward_for_everything_are_noticed(tmp_path: pathlib.Path, own: str, has: bool) -> None:
    file = tmp_path / "config"
    file.write_text(own)
    assert own_ssh(str(file)).forwards is has


def test_where_there_is_no_ssh_nobody_has_a_jump_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert own_ssh() == OwnSsh()


def test_a_configuration_that_is_yet_to_be_written_counts_as_an_empty_one(tmp_path: pathlib.Path) -> None:
    """Or the first run would write another configuration than the second one."""
    file = tmp_path / "config"
    missing = own_ssh(str(file))
    file.touch()
    assert missing == own_ssh(str(file)) == own_ssh("none")
    assert missing.knows


OLD = """\
#!/bin/sh
# The client of OpenSSH 8.5, as far as new keywords go.
for word; do
  case $word in
    -F) config=next ;;
    *) [ "$config" = next ] && config=$word ;;
  esac
done
if grep -qiE "^ *(sessiontype|stdinnull|forkafterauthentication|channeltimeout)" "$config"; then
  echo "Bad configuration option" >&2
  exit 255
fi
{ssh} "$@" | grep -vE "^(sessiontype|stdinnull|forkafterauthentication|channeltimeout) "
"""


def test_an_older_ssh_is_given_no_keyword_that_it_does_not_know(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bin/ssh"
    program.parent.mkdir()
    program.write_text(OLD.replace("{ssh}", str(shutil.which("ssh"))))
    program.chmod(0o755)
    new = with_own(tmp_path, "")
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    file = tmp_path / "own"
    file.write_text("")
    assert own_ssh(str(file)) == OwnSsh()
    assert asked(tmp_path, with_own(tmp_path, ""), MACHINE.alias)["hostname"] == "10.0.0.5"
    with pytest.raises(subprocess.CalledProcessError):
        asked(tmp_path, new, MACHINE.alias)


def test_a_keyword_that_the_users_configuration_lets_ssh_ignore_changes_nothing(tmp_path: pathlib.Path) -> None:
    """One file for a Mac and for Linux."""
    file = tmp_path / "own"
    file.write_text("IgnoreUnknown UseKeychain\nHost *\n  UseKeychain yes\n  ProxyJump a.example.org\n")
    assert own_ssh(str(file)) == OwnSsh(jump=True, knows=KNOWN)
    assert asked(tmp_path, with_own(tmp_path, file.read_text()), MACHINE.alias)["hostname"] == "10.0.0.5"
