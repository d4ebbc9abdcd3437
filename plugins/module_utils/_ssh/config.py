# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hops and trust as one OpenSSH client configuration. Pure: text in, text out.

``ssh -J`` hands a hop neither key nor known_hosts, and ``-o`` options do not reach it at all; a file given with ``-F``
reaches every hop. So the inventory, the ``instance`` module and the user's own configuration all use this text. Beside
it lies :mod:`proxy_helper`, by which all machines share one connection to each hop, and which refuses a wrong key.

Two kinds of values go in. What the *user* wrote (hops, paths, key files) is checked and raises InvalidRequest. What a
*cloud* said (ids, addresses, users and keys from tags) is untrusted: a value that is not plainly what it should be is
left out and a comment names the field, so that one strange machine never breaks, and never steers, the others.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import inspect
import ipaddress
import re
import struct
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Optional

from .._errors import InvalidRequest
from .._models import Hop

__all__ = ["Files", "Forward", "Hop", "Machine", "helper", "hop_alias", "hops_from", "known_hosts", "render"]

VERIFIED = "verified"
TOFU = "tofu"
HELPER = "proxy_helper.py"
_HOP = "haven-hop-"
NO_ADDRESS = "this-machine-has-no-usable-address.invalid"

# Patterns are matched with fullmatch; none admits a blank, a quote, a token (%), a pattern character or a leading "-".
_ALIAS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_NAME = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9])?\.?")
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9._@-]{0,63}")
_SOCKET = re.compile(r"/[A-Za-z0-9._/-]{1,100}")
# A control character ends the line, a quote or a backslash the word, and "${" cannot be escaped in ssh_config.
_UNSAFE_IN_PATH = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029\"'\\]|\$\{")
_KEY_TYPES = frozenset(
    [
        "ssh-ed25519",
        "ssh-rsa",
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp384",
        "ecdsa-sha2-nistp521",
        "sk-ssh-ed25519@openssh.com",
        "sk-ecdsa-sha2-nistp256@openssh.com",
    ]
)
_HOP_FIELDS = frozenset(["host", "port", "user", "key", "host_key", "inside_address"])


@dataclass(frozen=True)
class Files:
    """Where the parts of one configuration lie, as absolute paths.

    ``known_hosts`` has :func:`known_hosts`' text, ``helper`` has :func:`helper`'s, which ``python`` runs: words, the
    first an absolute path. ``config`` is what ssh reads for the hops: this configuration or one that includes it;
    empty for ssh's own default. With ``notes`` the helper makes all connections, and notes beside it when one fails.
    """

    known_hosts: str
    helper: str
    config: str = ""
    python: tuple[str, ...] = ("/usr/bin/env", "python3")
    notes: bool = False

    @classmethod
    def in_folder(cls, folder: str) -> Files:
        """The parts of a configuration that is used with ``-F`` on this controller, and by whom it is run."""
        return cls(
            known_hosts=f"{folder}/known_hosts",
            helper=f"{folder}/{HELPER}",
            config=f"{folder}/ssh_config",
            python=(sys.executable,) if sys.executable else cls.python,
        )


@dataclass(frozen=True)
class Forward:
    """A port on this computer's loopback addresses that leads to a unix socket on the machine. From the user."""

    port: int
    socket: str


@dataclass(frozen=True)
class Machine:
    """One machine as ssh sees it.

    ``alias`` is what one types after ``ssh``; ``identity`` is what its host key is filed under (the instance id, so
    that a new address or name changes nothing), the alias where it is empty; ``name`` is what people call it, for
    messages. With an ``authority``, a public key, the machine is known by a certificate of that signer for its
    identity, and ``host_key`` counts for nothing. ``key`` (a path on the controller), ``authority``, ``port`` and
    ``forwards`` are the user's; all else may come from a cloud. ``forwards`` are opened by every connection, so they
    belong in the user's own configuration only.
    With ``own_config`` the alias is one of the user's own configuration, which says what is not said here: address,
    user, keys, and which host key to trust. ``depth`` is how many of the hops lead to it, None for all: a hop may be
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


def is_alias(text: object) -> bool:
    """Whether ssh takes the text as one plain name, in a command line and in a Host line."""
    return isinstance(text, str) and _ALIAS.fullmatch(text) is not None


def is_socket(text: object) -> bool:
    """Whether the text is a plain absolute path, as of a unix socket on a machine."""
    return isinstance(text, str) and _SOCKET.fullmatch(text) is not None


def is_user(text: object) -> bool:
    return isinstance(text, str) and _USER.fullmatch(text) is not None


def is_address(text: object) -> bool:
    """Whether the text is an IPv4 or IPv6 address (without a zone) or a host name."""
    if not isinstance(text, str):
        return False
    if _NAME.fullmatch(text):
        return True
    try:
        return "%" not in text and ipaddress.ip_address(text).version == 6
    except ValueError:
        return False


def _is_ip_address(text: str) -> bool:
    try:
        return bool(ipaddress.ip_address(text))
    except ValueError:
        return False


def public_key(text: object) -> Optional[str]:
    """``type base64`` of an OpenSSH public key without its comment, or None where the text is not exactly one.

    The type is compared with the one inside the blob (RFC 4253, 6.6), so that neither can lie about the other.
    """
    if not isinstance(text, str) or len(text) > 4096 or not text.isprintable():
        return None
    words = text.split()
    if len(words) < 2 or words[0] not in _KEY_TYPES:
        return None
    try:
        blob = base64.b64decode(words[1], validate=True)
    except (binascii.Error, ValueError):
        return None
    name = words[0].encode()
    head = struct.pack(">I", len(name)) + name
    if not blob.startswith(head) or len(blob) <= len(head):
        return None
    return f"{words[0]} {words[1]}"


class Authority(NamedTuple):
    """A signer's public key, and the name that its certificate must hold: empty for the host's own."""

    key: str
    name: str = ""

    @property
    def line(self) -> str:
        """As it stands where a host key may stand."""
        return " ".join(filter(None, ("@cert-authority", self.name, self.key)))


def authority(text: object) -> Optional[Authority]:
    """What ``@cert-authority [name] type base64`` says; None where it is none."""
    marker, _blank, rest = text.strip().partition(" ") if isinstance(text, str) else ("", "", "")
    name, _blank, key = rest.strip().partition(" ")
    if name in _KEY_TYPES:
        name, key = "", rest
    signer = public_key(key.strip())
    return Authority(signer, name) if marker == "@cert-authority" and signer and (not name or is_alias(name)) else None


def principal(name: str, project: str) -> str:
    """What a machine's certificate names it by: known before it is made, and nobody else's."""
    return f"{name}.{project}".lower()


def hops_from(value: object) -> list[Hop]:
    """The hops of an option or variable: a list of dictionaries with host, port, user, key and host_key.

    Raises InvalidRequest for anything that ssh could take for something else.
    """
    if value is None or value == "":
        return []
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise InvalidRequest("The hops must be a list of dictionaries with host, port, user, key and host_key.")
    return [_hop_from(item, number) for number, item in enumerate(value, start=1)]


def _hop_from(item: object, number: int) -> Hop:
    if isinstance(item, Hop):
        _check_hop(item, number)
        return item
    if not isinstance(item, Mapping) or not item.get("host"):
        raise InvalidRequest(f"Hop {number} must be a dictionary with at least a host.")
    unknown = sorted(str(name) for name in item if name not in _HOP_FIELDS)
    if unknown:
        raise InvalidRequest(f"Hop {number} has unknown fields ({', '.join(unknown)}): use {_listed(_HOP_FIELDS)}.")
    fields: dict[str, Any] = {name: str(item[name]).strip() for name in _HOP_FIELDS if item.get(name) not in (None, "")}
    if fields["host"].startswith("[") and fields["host"].endswith("]"):
        fields["host"] = fields["host"][1:-1]
    fields["port"] = _port(fields.get("port", 22), f"Hop {number}")
    hop = Hop(**fields)
    _check_hop(hop, number)
    return hop


def _check_hop(hop: Hop, number: int) -> None:
    if not is_address(hop.host):
        raise InvalidRequest(f"The host of hop {number} is neither a host name nor an address: {_shown(hop.host)}.")
    if hop.user is not None:
        require_user(hop.user, f"hop {number}")
    if hop.host_key is not None and public_key(hop.host_key) is None and authority(hop.host_key) is None:
        raise InvalidRequest(
            f"The host_key of hop {number} is not an OpenSSH public key such as 'ssh-ed25519 AAAA…': read it on that"
            " host from /etc/ssh/ssh_host_ed25519_key.pub, or say @cert-authority and the key of who signs such keys."
        )
    if hop.key is not None:
        quoted_path(hop.key, f"the key of hop {number}")
    if hop.inside_address is not None and not _is_ip_address(hop.inside_address):
        raise InvalidRequest(
            f"The inside_address of hop {number} is no IP address: {_shown(hop.inside_address)}; give the one that the "
            "instances see."
        )
    _port(hop.port, f"Hop {number}")


def require_user(user: str, where: str) -> str:
    """The user name, or InvalidRequest where it is none that a shell or ssh takes as such."""
    if not is_user(user):
        raise InvalidRequest(f"The user of {where} is not a user name: {_shown(user)}.")
    return user


def quoted_path(path: str, what: str) -> str:
    """The path as one word of ssh_config with its tokens escaped. Raises InvalidRequest where that is impossible."""
    return f'"{_checked_path(path, what)}"'


def _checked_path(path: str, what: str) -> str:
    if not path or path.startswith("-") or path.lower() == "none" or _UNSAFE_IN_PATH.search(path):
        raise InvalidRequest(
            f"The path of {what} cannot be written to an ssh configuration: {_shown(path)}; avoid quotes, backslashes,"
            " ${ and control characters."
        )
    return path.replace("%", "%%")


def hop_alias(hops: Sequence[Hop], index: int) -> str:
    """The Host name of a hop: readable, and different where other hops lead to it."""
    chain = "\n".join(repr(hop) for hop in hops[: index + 1])
    readable = re.sub(r"[^a-z0-9]+", "-", hops[index].host.lower()).strip("-")[:40]
    return f"{_HOP}{readable}-{hashlib.sha256(chain.encode()).hexdigest()[:10]}"


def render(
    machines: Iterable[Machine],
    hops: Sequence[Hop],
    *,
    files: Files,
    host_keys: str = VERIFIED,
    include_user_config: bool = True,
) -> str:
    """The ssh configuration for these machines behind these hops (outermost first, none: direct).

    With ``host_keys="tofu"`` a key that is not known is accepted and written to ``<known_hosts>.accepted``, which
    nothing here overwrites. ``include_user_config`` is for a file used with ``-F``: the user's own settings fill in
    what this text leaves open.
    """
    hops = hops_from(hops)
    if host_keys not in (VERIFIED, TOFU):
        raise InvalidRequest(f"host_keys must be verified or tofu, not {_shown(host_keys)}.")
    trust = [quoted_path(files.known_hosts, "known_hosts")]
    if host_keys == TOFU:
        # ssh writes what it accepts to the first file; ours is rewritten and would forget.
        trust.insert(0, quoted_path(f"{files.known_hosts}.accepted", "known_hosts"))
    checking = f"StrictHostKeyChecking {'accept-new' if host_keys == TOFU else 'yes'}"
    ours = [
        f"UserKnownHostsFile {' '.join(trust)}",
        "GlobalKnownHostsFile /dev/null",
        "UpdateHostKeys no",
        f"KnownHostsCommand {_run_by_ssh(files)} check {host_keys} %I %H %f %K {' '.join(trust)}",
    ]
    proxy_commands = [_through(hop_alias(hops, index), files, host_keys) for index in range(len(hops))]

    blocks = ["# Made by haven.gpu: changes are overwritten."]
    for index, hop in enumerate(hops):
        alias = hop_alias(hops, index)
        lines = [f"HostName {hop.host}", f"Port {hop.port}", checking]
        if hop.host_key:
            # A certificate is for the host that it names.
            signer = authority(hop.host_key)
            lines += [f"HostKeyAlias {signer.name or hop.host if signer else alias}", *_kind(hop.host_key), *ours]
        lines += _common(hop.user, hop.key, f"hop {index + 1}")
        if index:
            lines.append(proxy_commands[index - 1])
        blocks.append(_block(alias, lines))
    direct = f"{_proxy_command(files)} direct '[%h]:%p'"
    nowhere = direct if files.notes else "ProxyJump none"
    taken = {hop_alias(hops, index) for index in range(len(hops))}
    for machine in machines:
        alias = machine.alias.lower() if is_alias(machine.alias) else ""
        if not alias or alias in taken or not is_alias(machine.filed_under):
            blocks.append(f"# Left out, the name cannot be used: {_shown(machine.alias)}")
            continue
        taken.add(alias)
        # The key of a machine of the user's own configuration may be in the user's own known_hosts.
        kind = _kind(None if machine.authority else machine.host_key)
        trusted = [] if machine.own_config and not machine.host_key else [*kind, *ours]
        proxy_command = proxy_commands[: machine.depth][-1:]
        blocks.append(_block(machine.alias, [*_machine(machine, proxy_command, nowhere), checking, *trusted]))
    if include_user_config:
        # Without "Match all" the Include would belong to the last Host.
        blocks.append("Match all\n  Include ~/.ssh/config")
    if files.notes:
        # To notice which machine does not answer. The last, because of several values ssh takes the first.
        blocks.append(_block(f"* !{_HOP}*", [direct]))
    # Not added to the whole, which has megabytes where the machines are thousands.
    blocks[-1] += "\n"
    return "\n\n".join(blocks)


def known_hosts(machines: Iterable[Machine], hops: Sequence[Hop]) -> str:
    """The known_hosts file that belongs to :func:`render`: a line for each known key, with a name for people."""
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


def helper() -> str:
    """The text of the helper that belongs to :func:`render`."""
    # It is read, not used, and only where a configuration is written.
    from . import proxy_helper

    return inspect.getsource(proxy_helper)


def _kind(host_key: Optional[str]) -> list[str]:
    """The line by which ssh asks for the kind of key that is known; else it would run the helper to find out."""
    kind = (host_key or "").partition(" ")[0]
    if kind not in _KEY_TYPES:
        return []
    # RSA keys are used with newer digests than the one they are called after.
    return [f"HostKeyAlgorithms ^{'rsa-sha2-512,rsa-sha2-256' if kind == 'ssh-rsa' else kind}"]


def _through(hop: str, files: Files, host_keys: str) -> str:
    """The ProxyCommand for what lies behind this hop."""
    config = f"'{_checked_path(files.config, 'the ssh configuration')}'" if files.config else "-"
    return f"{_proxy_command(files)} through {host_keys} {config} {hop} '[%h]:%p'"


def _proxy_command(files: Files) -> str:
    """The beginning of a line that has the helper connect. A shell runs it, where double quotes would do less."""
    command = _run_by_ssh(files).replace('"', "'")
    return f"ProxyCommand {command}"


def _run_by_ssh(files: Files) -> str:
    words = [quoted_path(word, "Python") for word in files.python]
    return f"{' '.join(words)} -IS {quoted_path(files.helper, 'the helper')}"


def _machine(machine: Machine, proxy_command: list[str], nowhere: str) -> list[str]:
    """The lines about the machine alone. One without address has ``nowhere`` instead of the ``proxy_command``."""
    lines = []
    if machine.own_config:
        lines += proxy_command
    elif is_address(machine.address):
        lines += [f"HostName {machine.address}", *proxy_command]
    else:
        # Without this line ssh would look the alias up in DNS and go wherever that leads.
        lines += [f"HostName {NO_ADDRESS}", nowhere]
    user = machine.user
    if user is not None and not is_user(user):
        lines.append(f"# Left out, not a user name: {_shown(user)}")
        user = None
    if machine.host_key is not None and public_key(machine.host_key) is None:
        lines.append(f"# Left out, not a host key: {_shown(machine.host_key)}")
    if not machine.own_config or machine.port != 22:
        lines.append(f"Port {_port(machine.port, machine.alias)}")
    if not machine.own_config or machine.host_key:
        lines.append(f"HostKeyAlias {machine.filed_under}")
    return lines + _common(user, machine.key, machine.alias) + [_forward(forward) for forward in machine.forwards]


def _common(user: Optional[str], key: Optional[str], where: str) -> list[str]:
    lines = [f"User {user}"] if user else []
    if key:
        # Without a file every key of the agent and the default files are tried, FIDO keys included. With one, an agent
        # that holds it still signs, passphrase or not: ssh finds it by its public half.
        lines += [f"IdentityFile {quoted_path(key, f'the key of {where}')}", "IdentitiesOnly yes"]
    return [
        *lines,
        # Connections are shared by us, and by Ansible under the machine's id; a user's own path may go by address.
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
    if not is_socket(forward.socket):
        raise InvalidRequest(f"The socket to forward to must be a plain absolute path, not {_shown(forward.socket)}.")
    port = _port(forward.port, "The forward")
    # "localhost" keeps it on the loopback addresses even where the user's own configuration has GatewayPorts.
    return f"LocalForward localhost:{port} {forward.socket}"


def _block(alias: str, lines: Iterable[str]) -> str:
    return "\n".join([f"Host {alias}", *(f"  {line}" for line in lines)])


def _port(value: Any, where: str) -> int:
    text = str(value)
    if not (re.fullmatch(r"[0-9]{1,5}", text) and 0 < int(text) < 65536):
        raise InvalidRequest(f"{where} has no valid port: {_shown(value)}.")
    return int(text)


def _shown(value: object) -> str:
    """The value as it may stand in a comment or message: one line of plain ASCII, shortened."""
    return ascii(value)[:60]


def _listed(words: Iterable[str]) -> str:
    return ", ".join(sorted(words))
