# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks that the files with private keys exist and fit, without a passphrase or a touch."""

from __future__ import annotations

import base64
import binascii
import os
import struct
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Optional

from .._errors import InvalidRequest
from .._findings import ok, unknown, wrong
from .._models import Finding
from .._ssh.checks import public_key, public_keys

_MAGIC = b"openssh-key-v1\0"
_BEGIN = "-----BEGIN OPENSSH PRIVATE KEY-----"
_SECONDS = 5.0
_DEFAULT_FILES = ("id_ed25519.pub", "id_rsa.pub", "id_ecdsa.pub", "id_ed25519_sk.pub", "id_ecdsa_sk.pub")


@dataclass(frozen=True)
class KeyFile:
    """A private key. ``public`` is its public half, as far as it can be read, and ``locked`` says that it has a
    passphrase."""

    path: str
    public: Optional[str]
    locked: bool

    @property
    def wants_touch(self) -> bool:
        return (self.public or "").startswith("sk-")


def is_path(key: Optional[str]) -> bool:
    """Whether it is the path of a private key. It can also be lines of public keys, for which the agent or
    the default files have."""
    return bool(key) and not public_keys(key)


def wants_touch(key: Optional[str]) -> bool:
    """Whether ssh would wait for somebody to touch a security key. Raises InvalidRequest for a file."""
    if not key:
        return False
    lines = public_keys(key)
    return all(line.startswith("sk-") for line in lines) if lines else read(key).wants_touch


def read(path: str) -> KeyFile:
    """Read the public half of a private key. Raises InvalidRequest if ssh would not use the file."""
    file = os.path.expanduser(path)
    try:
        found = os.stat(file)
        with open(file, encoding="ascii", errors="replace") as opened:
            text = opened.read(1 << 16)
    except IsADirectoryError as error:
        raise InvalidRequest(f"{path} is a folder: give the path of a private key.") from error
    except FileNotFoundError as error:
        raise InvalidRequest(f"The file {path} does not exist: give the path of a private key.") from error
    except OSError as error:
        raise InvalidRequest(f"The file {path} cannot be read ({error.strerror}): check its owner and mode.") from error
    if public_key(text.strip()):
        raise InvalidRequest(f"{path} is a public key: give the path of its private key, which mostly lacks the .pub.")
    if "PRIVATE KEY-----" not in text:
        raise InvalidRequest(f"{path} is not a private key: give the path of one, such as ~/.ssh/id_ed25519.")
    if found.st_uid == os.getuid() and found.st_mode & 0o077:
        mode = f"{found.st_mode & 0o777:04o}"
        raise InvalidRequest(f"{path} can be read by others (mode {mode}), so ssh ignores it: run chmod 600 {path}.")
    if text.lstrip().startswith(_BEGIN):
        return _openssh(path, text)
    return _by_ssh_keygen(path, file)


def _openssh(path: str, text: str) -> KeyFile:
    """The public half is not encrypted (openssh's PROTOCOL.key)."""
    body = "".join(line.strip() for line in text.strip().splitlines()[1:-1])
    try:
        data = base64.b64decode(body, validate=True)
        if not data.startswith(_MAGIC):
            raise ValueError("another format")
        cipher, rest = _cut(data[len(_MAGIC) :])
        _kdf, rest = _cut(rest)
        _options, rest = _cut(rest)
        blob, _rest = _cut(rest[4:])
        kind, _rest = _cut(blob)
    except (binascii.Error, ValueError, struct.error) as error:
        raise InvalidRequest(f"{path} is damaged: copy the private key again, with its last line.") from error
    public = f"{kind.decode('ascii', 'replace')} {base64.b64encode(blob).decode()}"
    return KeyFile(path, public, cipher != b"none")


def _cut(data: bytes) -> tuple[bytes, bytes]:
    """The string at the beginning (RFC 4251, 5), and the rest."""
    (length,) = struct.unpack(">I", data[:4])
    if len(data) < 4 + length:
        raise ValueError("cut short")
    return data[4 : 4 + length], data[4 + length :]


def _by_ssh_keygen(path: str, file: str) -> KeyFile:
    """Older formats. Their public half is encrypted with the rest."""
    status, said = _run(["ssh-keygen", "-y", "-P", "", "-f", file])
    return KeyFile(path, public_key(" ".join(said.split()[:2])) if status == 0 else None, status != 0)


def agent_keys() -> frozenset[str]:
    """The public keys of the agent, as far as there is one."""
    _status, said = _run(["ssh-add", "-L"])
    return frozenset(filter(None, (public_key(" ".join(line.split()[:2])) for line in said.splitlines())))


def _run(command: list[str]) -> tuple[int, str]:
    try:
        # run_command belongs to AnsibleModule and has no timeout.
        done = subprocess.run(  # pylint: disable=ansible-bad-function
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return 127, ""
    return done.returncode, done.stdout


def check(paths: Iterable[tuple[str, str]], private_key: Optional[str], public: Optional[str]) -> list[Finding]:
    """Check the files, each with what it is for. ``public`` is the key that the instances get, if that is known."""
    agent = agent_keys()
    findings = [_file(about, path, agent) for about, path in paths]
    if private_key:
        findings.append(_fits(private_key, public, agent))
    elif public:
        findings.append(_somewhere(public, agent))
    return findings


def _file(about: str, path: str, agent: frozenset[str]) -> Finding:
    try:
        key = read(path)
    except InvalidRequest as error:
        return wrong(about, error)
    if key.locked and (key.public is None or key.public not in agent):
        if key.public is None:
            return unknown(about, f"{path} has a passphrase, so it cannot be tried without you")
        return wrong(about, f"{path} has a passphrase, and the SSH agent does not have the key: run ssh-add {path}.")
    return ok(about, f"{path}, which wants a touch" if key.wants_touch else path)


def _fits(path: str, public: Optional[str], agent: frozenset[str]) -> Finding:
    about = "private key of the instances"
    found = _file(about, path, agent)
    if found.verdict == "ok" and public and read(path).public not in (None, public):
        return wrong(
            about,
            f"{path} does not fit the public key of the instances: set haven_public_key to the text of {path}.pub,"
            " or haven_private_key to the file that fits the first of the first user's ssh_keys.",
        )
    return found


def _somewhere(public: str, agent: frozenset[str]) -> Finding:
    """Whether the key that ssh needs is in the agent or one of the files that it tries by itself."""
    about = "private key of the instances"
    if public in agent:
        return ok(about, "the SSH agent has it")
    for name in _DEFAULT_FILES:
        file = os.path.expanduser(f"~/.ssh/{name}")
        try:
            with open(file, encoding="utf-8", errors="replace") as opened:
                if public_key(" ".join(opened.read(8192).split()[:2])) == public:
                    return _file(about, file.removesuffix(".pub"), agent)
        except OSError:
            continue
    return unknown(about, "neither the SSH agent nor the default files have it: ssh may need haven_private_key")
