# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The OpenSSH client configuration for hops and machines, with their host keys. Pure; :mod:`files` writes the files.

``ssh -J`` passes neither keys nor known_hosts to a hop, and ``-o`` options do not apply to it, but a file given with
``-F`` does. So the inventory, the ``instance`` module, and the user's own configuration all use this text. Next to it
is :mod:`proxy_helper`, through which all machines share one connection to each hop, and which refuses a wrong key.

There are two kinds of values. Those from the *user* (hops, paths, key files) are checked and raise InvalidRequest.
Those from a *cloud* (ids, addresses, users and keys from tags) are untrusted: a value that is not clearly valid is left
out, with a comment, so that one machine can neither break nor influence the others.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Optional

from .._models import Hop
from .checks import (
    KEY_TYPES,
    TOFU,
    VERIFIED,
    authority,
    hops_from,
    is_address,
    is_alias,
    is_user,
    public_key,
    public_keys,
    require_checking,
    require_path,
    require_port,
    require_socket,
    shown,
)

_HOP = "haven-hop-"
# Before the user's own settings, because ssh uses the first of several values. People like these for all their hosts,
# and programs cannot work with them: a terminal that changes what is sent, a command in place of ours, messages left
# out or mixed with others, forwards that must not fail or are not opened, ports that are open to the whole network,
# host names that cannot be read, fingerprints of another kind, logins that a program cannot make, questions that it
# cannot answer, a proxy that hands over a file descriptor. PreferredAuthentications is ssh's default.
_FOR_PROGRAMS = (
    "RequestTTY auto",
    "RemoteCommand none",
    "PermitLocalCommand no",
    "LogLevel INFO",
    "LogVerbose none",
    "VisualHostKey no",
    "FingerprintHash sha256",
    "ClearAllForwardings no",
    "ExitOnForwardFailure no",
    "GatewayPorts no",
    "Tunnel no",
    "CanonicalizeHostname no",
    "HashKnownHosts no",
    "PubkeyAuthentication yes",
    "PreferredAuthentications gssapi-with-mic,hostbased,publickey,keyboard-interactive,password",
    "AddKeysToAgent no",
    "ProxyUseFdpass no",
)
# The same, for keywords that are newer than the oldest OpenSSH that we support, 8.5, which would refuse the whole file:
# the first three came with 8.7, the last with 9.6 (https://www.openssh.com/releasenotes.html). Without them, commands
# are not run, their input is empty, ssh goes to the background, and what is quiet for a while ends.
NEWER = {
    "SessionType": "default",
    "StdinNull": "no",
    "ForkAfterAuthentication": "no",
    "ChannelTimeout": "none",
}
# A name that nobody's configuration gives a block of its own.
ANY_HOST = f"{_HOP}any"
NO_ADDRESS = "this-machine-has-no-usable-address.invalid"


@dataclass(frozen=True)
class OwnSsh:
    """The ssh of this computer and its user. With ``jump``, the user's own configuration has a ProxyJump for all hosts,
    which the first hop does not use: the hops are the whole way. A ProxyCommand is left alone, because it may be the
    only way out of the user's network. With ``forwards``, it has ports to forward for all hosts. ``knows`` are the
    keywords of NEWER that this ssh knows."""

    jump: bool = False
    forwards: bool = False
    knows: tuple[str, ...] = ()

    @property
    def for_programs(self) -> list[str]:
        """The lines that make it usable for programs, whatever the user sets for all hosts."""
        return [*_FOR_PROGRAMS, *(f"{name} {value}" for name, value in NEWER.items() if name in self.knows)]


@dataclass(frozen=True)
class Paths:
    """The paths of one configuration's files, in ``folder``, an absolute path.

    ``included_by`` is the configuration that ssh is started with if that includes this one. It is also read for the
    hops. It is empty for ssh's own default. ``python`` is the command that runs the helper, with an absolute path.
    With ``notes``, the helper makes all connections, and records failures in a file next to it. ``ssh`` is what reads
    the configuration. ``identities`` are the files to give to ssh for public keys (``type base64``) that hops and
    machines have instead of a key file, and ``default_keys`` the files that a hop may need after those, because its
    operator may know another key.
    """

    folder: str
    included_by: Optional[str] = None
    python: tuple[str, ...] = ("/usr/bin/env", "python3")
    notes: bool = False
    ssh: OwnSsh = OwnSsh()
    identities: Mapping[str, str] = field(default_factory=dict, compare=False)
    default_keys: tuple[str, ...] = ()

    @classmethod
    def of_this_run(cls, folder: str, *, ssh: OwnSsh = OwnSsh(), notes: bool = False) -> Paths:
        """The paths of a configuration that is used with ``-F`` on this controller, with the current Python."""
        return cls(folder, python=(sys.executable,) if sys.executable else cls.python, notes=notes, ssh=ssh)

    @property
    def config(self) -> str:
        return os.path.join(self.folder, "config")

    @property
    def known_hosts(self) -> str:
        return os.path.join(self.folder, "known_hosts")

    @property
    def helper(self) -> str:
        return os.path.join(self.folder, "proxy_helper.py")

    @property
    def read_for_hops(self) -> str:
        """The configuration that ssh reads for the hops, or '' for its own default."""
        return self.config if self.included_by is None else self.included_by


@dataclass(frozen=True)
class Forward:
    """A port on this computer's loopback addresses, forwarded to a unix socket on the machine. From the user."""

    port: int
    socket: str


class HopForward(NamedTuple):
    """A unix socket on this computer, with an absolute path, forwarded from the last hop to this host and port."""

    socket: str
    host: str
    port: int


@dataclass(frozen=True)
class Machine:
    """One machine as ssh sees it.

    ``alias`` is what one types after ``ssh``. ``identity`` is what its host key is stored under: the instance id, so
    that a new address or name changes nothing, or the alias if it is empty. ``name`` is its name in messages. With an
    ``authority``, a public key, the machine must show a certificate by that signer for its identity, and ``host_key``
    is ignored. ``key`` (a path on the controller, or lines of public keys), ``authority``, ``port``, and ``forwards``
    are from the user; everything else may come from a cloud. Every connection opens the ``forwards``, so they belong
    only in the user's own configuration.
    With ``own_config``, the alias is in the user's own configuration, which provides what is not given here: address,
    user, keys, and the host key to trust. ``depth`` is the number of hops to it, or None for all, because a hop can be
    one of the machines.
    """

    alias: str
    address: Optional[str] = None
    user: Optional[str] = None
    host_key: Optional[str] = None
    key: Optional[str] = None
    port: int = 22
    identity: str = ""
    name: str = ""
    authority: Optional[str] = None
    forwards: tuple[Forward, ...] = ()
    own_config: bool = False
    depth: Optional[int] = None

    @property
    def filed_under(self) -> str:
        return self.identity or self.alias


def hop_alias(hops: Sequence[Hop], index: int) -> str:
    """The Host name of a hop. It is readable, and depends on the hops before it."""
    chain = "\n".join(repr(hop) for hop in hops[: index + 1])
    readable = re.sub(r"[^a-z0-9]+", "-", hops[index].host.lower()).strip("-")[:40]
    return f"{_HOP}{readable}-{hashlib.sha256(chain.encode()).hexdigest()[:10]}"


def render(
    machines: Iterable[Machine],
    hops: Sequence[Hop],
    *,
    paths: Paths,
    host_keys: str = VERIFIED,
    hop_forwards: Iterable[HopForward] = (),
) -> str:
    """Return the SSH configuration for these machines behind these hops (outermost first; none means direct).

    With ``host_keys="tofu"``, an unknown key is accepted and written to ``<known_hosts>.accepted``, which is never
    overwritten here. If the text is used with ``-F``, the user's own settings apply wherever it sets nothing.
    ``hop_forwards`` are opened by every connection to the last hop, which must exist.
    """
    hops = hops_from(hops)
    aliases = [hop_alias(hops, index) for index in range(len(hops))]
    common = _Common.of(aliases, paths, require_checking(host_keys))
    blocks = ["# Made by haven.gpu: changes are overwritten."]
    for index, (alias, hop) in enumerate(zip(aliases, hops)):
        forwards = map(_hop_forward, hop_forwards) if index == len(hops) - 1 else ()
        way = common.proxy_commands[:index][-1:] or (["ProxyJump none"] if paths.ssh.jump else [])
        # Only programs connect to hops, in whichever configuration.
        programs = () if paths.included_by is None else paths.ssh.for_programs
        lines = [*_hop(hop, alias, index, common), *way, *programs, *forwards]
        blocks.append(_block(alias, lines))
    blocks += _machines(machines, set(aliases), common)
    if paths.included_by is None:
        # Without "Match all", the Include would belong to the last Host.
        blocks.append("\n  ".join(["Match all", *paths.ssh.for_programs, "Include ~/.ssh/config"]))
    if paths.notes:
        # To record which machine does not answer. At the end, because ssh uses the first of several values.
        blocks.append(_block(f"* !{_HOP}*", [_direct(paths)]))
    # Not concatenated with the rest, which is megabytes long for thousands of machines.
    blocks[-1] += "\n"
    return "\n\n".join(blocks)


@dataclass(frozen=True)
class _Common:
    """The lines that many hosts have: how a key is checked, which keys are ours to know, and the ProxyCommand through
    each of the hops; ``nowhere`` is that of a machine without an address. ``identities`` and ``default_keys`` are those
    of the Paths."""

    checking: str
    trusted: list[str]
    proxy_commands: list[str]
    nowhere: str
    identities: Mapping[str, str]
    default_keys: tuple[str, ...]

    @classmethod
    def of(cls, hops: Sequence[str], paths: Paths, host_keys: str) -> _Common:
        known = [_quoted(paths.known_hosts, "The path of known_hosts")]
        if host_keys == TOFU:
            # ssh writes accepted keys to the first file. Ours is rewritten and would lose them.
            known.insert(0, _quoted(f"{paths.known_hosts}.accepted", "The path of known_hosts"))
        return cls(
            checking=f"StrictHostKeyChecking {'accept-new' if host_keys == TOFU else 'yes'}",
            trusted=[
                f"UserKnownHostsFile {' '.join(known)}",
                "GlobalKnownHostsFile /dev/null",
                "UpdateHostKeys no",
                # The helper is given the fingerprint, and compares it.
                "FingerprintHash sha256",
                f"KnownHostsCommand {_run_by_ssh(paths)} check {host_keys} %I %H %f %K {' '.join(known)}",
            ],
            proxy_commands=[_through(hop, paths, host_keys) for hop in hops],
            nowhere=_direct(paths) if paths.notes else "ProxyJump none",
            identities=paths.identities,
            default_keys=paths.default_keys,
        )

    def key_files(self, key: Optional[str]) -> list[str]:
        """The files to give to ssh for a key, which is a path or public keys. Without any, ssh tries all keys."""
        known = public_keys(key)
        if known:
            return [self.identities[each] for each in known if each in self.identities]
        return [key] if key else []


def _hop(hop: Hop, alias: str, index: int, common: _Common) -> list[str]:
    """The lines of the hop itself."""
    lines = [f"HostName {hop.host}", f"Port {hop.port}", common.checking]
    if hop.host_key:
        # A certificate is valid for the host that it names.
        signer = authority(hop.host_key)
        known_as = signer.name or hop.host if signer else alias
        lines += [f"HostKeyAlias {known_as}", *_kind(hop.host_key), *common.trusted]
    keys = common.key_files(hop.key)
    more = common.default_keys if keys and keys != [hop.key] else ()
    return lines + _settings(hop.user, list(dict.fromkeys([*keys, *more])), f"hop {index + 1}")


def _machines(machines: Iterable[Machine], taken: set[str], common: _Common) -> Iterator[str]:
    """The blocks of the machines. ``taken`` are the names of the hops, which a machine cannot have."""
    for machine in machines:
        alias = machine.alias.lower() if is_alias(machine.alias) else ""
        if not alias or alias in taken or not is_alias(machine.filed_under):
            yield f"# Left out, the name cannot be used: {shown(machine.alias)}"
            continue
        taken.add(alias)
        # The key of a machine in the user's own configuration may be in the user's own known_hosts.
        kind = _kind(None if machine.authority else machine.host_key)
        trusted = [] if machine.own_config and not machine.host_key else [*kind, *common.trusted]
        proxy_command = common.proxy_commands[: machine.depth][-1:]
        yield _block(machine.alias, [*_machine(machine, proxy_command, common), common.checking, *trusted])


def known_hosts(machines: Iterable[Machine], hops: Sequence[Hop]) -> str:
    """The known_hosts file for :func:`render`: a line for each known key, with a readable name."""
    hops = hops_from(hops)
    keys: dict[str, str] = {}
    for index, hop in enumerate(hops):
        key, signer = public_key(hop.host_key), authority(hop.host_key)
        if key:
            keys[hop_alias(hops, index)] = f"{key} {hop.host}"
        elif signer:
            keys[f"@cert-authority {signer.name or hop.host}"] = f"{signer.key} {hop.host}"
    for machine in machines:
        key = machine.authority or public_key(machine.host_key)
        if key and is_alias(machine.filed_under):
            name = machine.name or machine.alias
            marker = "@cert-authority " if machine.authority else ""
            known = f"{key} {name}" if is_alias(name) else key
            keys.setdefault(f"{marker}{machine.filed_under.lower()}", known)
    return "".join(f"{name} {key}\n" for name, key in keys.items())


def _kind(host_key: Optional[str]) -> list[str]:
    """The line that makes ssh request the known type of key. Otherwise it would run the helper to find out."""
    kind = (host_key or "").partition(" ")[0]
    if kind not in KEY_TYPES:
        return []
    # RSA keys are used with newer digests than their name says.
    return [f"HostKeyAlgorithms ^{'rsa-sha2-512,rsa-sha2-256' if kind == 'ssh-rsa' else kind}"]


def _through(hop: str, paths: Paths, host_keys: str) -> str:
    """The ProxyCommand for machines behind this hop."""
    read = paths.read_for_hops
    config = f"'{_escaped(read, 'The path of the ssh configuration')}'" if read else "-"
    return f"{_proxy_command(paths)} through {host_keys} {config} {hop} '[%h]:%p'"


def _direct(paths: Paths) -> str:
    """The ProxyCommand without a hop."""
    return f"{_proxy_command(paths)} direct '[%h]:%p'"


def _proxy_command(paths: Paths) -> str:
    """The beginning of a line that lets the helper connect. A shell runs it, where double quotes are not enough."""
    command = _run_by_ssh(paths).replace('"', "'")
    return f"ProxyCommand {command}"


def _run_by_ssh(paths: Paths) -> str:
    words = [_quoted(word, "The path of Python") for word in paths.python]
    return f"{' '.join(words)} -IS {_quoted(paths.helper, 'The path of the proxy helper')}"


def _machine(machine: Machine, proxy_command: list[str], common: _Common) -> list[str]:
    """The lines of the machine itself. One without an address has no use for the ``proxy_command``."""
    lines = []
    if machine.own_config:
        lines += proxy_command
    elif is_address(machine.address):
        lines += [f"HostName {machine.address}", *proxy_command]
    else:
        # Without this line, ssh would look up the alias in DNS and connect to the result.
        lines += [f"HostName {NO_ADDRESS}", common.nowhere]
    user = machine.user
    if user is not None and not is_user(user):
        lines.append(f"# Left out, not a user name: {shown(user)}")
        user = None
    if machine.host_key is not None and public_key(machine.host_key) is None:
        lines.append(f"# Left out, not a host key: {shown(machine.host_key)}")
    if not machine.own_config or machine.port != 22:
        lines.append(f"Port {require_port(machine.port, machine.alias)}")
    if not machine.own_config or machine.host_key:
        lines.append(f"HostKeyAlias {machine.filed_under}")
    settings = _settings(user, common.key_files(machine.key), machine.alias)
    return lines + settings + [_forward(forward) for forward in machine.forwards]


def _settings(user: Optional[str], keys: Sequence[str], where: str) -> list[str]:
    lines = [f"User {user}"] if user else []
    if keys:
        # Without a file, all keys in the agent and the default files are tried, including FIDO keys. With a file, an
        # agent that has the key still signs, with or without a passphrase, because ssh finds it by its public key.
        lines += [f"IdentityFile {_quoted(key, f'The path of the key of {where}')}" for key in keys]
        lines.append("IdentitiesOnly yes")
    return [
        *lines,
        # We share connections, and so does Ansible by the machine's id. A user's own path may use the address.
        "ControlPath none",
        "CheckHostIP no",
        "VerifyHostKeyDNS no",
        "ForwardAgent no",
        "ForwardX11 no",
        "ConnectTimeout 15",
        "ServerAliveInterval 15",
        "ServerAliveCountMax 3",
    ]


def _forward(forward: Forward) -> str:
    socket = require_socket(forward.socket, "The socket to forward to")
    port = require_port(forward.port, "The forward")
    # "localhost" keeps it on the loopback addresses even if the user's own configuration sets GatewayPorts.
    return f"LocalForward localhost:{port} {socket}"


def _hop_forward(forward: HopForward) -> str:
    return f"LocalForward {forward.socket} [{forward.host}]:{forward.port}"


def _block(alias: str, lines: Iterable[str]) -> str:
    return "\n".join([f"Host {alias}", *(f"  {line}" for line in lines)])


def _quoted(path: str, what: str) -> str:
    """Return the path as one word of ssh_config. Raises InvalidRequest if that is impossible."""
    return f'"{_escaped(path, what)}"'


def _escaped(path: str, what: str) -> str:
    """Return the path with its tokens escaped."""
    return require_path(path, what).replace("%", "%%")
