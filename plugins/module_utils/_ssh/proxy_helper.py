# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ssh runs on the controller: the shared connection to a jump host, and words for a wrong host key.

A copy of this file lies beside each ssh configuration of ours, which names it in up to three places:

- ``ProxyCommand … through MODE CONFIG HOP DESTINATION`` carries one connection through the one that all share to this
  jump host. ``ControlMaster auto`` would not do: of twenty that start at once each finds no master and opens its own.
- ``ProxyCommand … direct DESTINATION`` connects without one, as ssh does by itself, but for the sentence below.
- ``KnownHostsCommand … check MODE PURPOSE HOST FINGERPRINT KEY FILE…`` vouches for nothing. Where the key that a
  machine shows is not the recorded one, it names the machine and both fingerprints, of which ssh says one, and fails,
  by which ssh ends the connection: ``-o StrictHostKeyChecking=no``, which ANSIBLE_HOST_KEY_CHECKING=False puts on the
  command line, cannot switch that off.

Where any of them fails, the time of the file FAILED beside this one is set, if there is one: an inventory asks its
cloud anew then, since what it has kept may be out of date.

Standard library only, run with ``-IS``: it depends on no environment, and starts quickly. It runs twice for each
connection, which for twenty machines at once is a good part of the whole: so what takes a while to load is loaded where
it is used, and of the library only what is written in C is used by all.
"""

from __future__ import annotations

import fcntl
import os
import signal
import stat
import sys
import time

# What type checkers take for true.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import FrameType
    from typing import Any, Optional

# The file in an inventory's folder whose time is that of the last failure.
FAILED = "failed"
# How it begins to tell of a wrong host key.
REFUSED = "haven.gpu refuses "
# Seconds that a connection to a jump host outlives the last one through it.
PERSIST = 60
# Seconds for one address of a machine; who runs ssh mostly waits for less.
_PATIENCE = 15
_TOLD = "haven.gpu: "
_FAILED = 255
_BY_APPLICATION = 11
_CERTIFICATE = b"-cert-v01@openssh.com"
_FOR_HOSTS = 2


# -- through a jump host


def through(mode: str, config: str, hop: str, destination: str) -> int:
    """Carry standard input and output to ``[host]:port`` behind the hop. Returns the exit status.

    ``config`` is what ssh reads for the hop, its own defaults where it is "-". ``mode`` says how unknown host keys are
    treated: who checks strictly never uses what somebody opened who does not.
    """
    _end_with_ssh()
    ssh = ["ssh"] if config == "-" else ["ssh", "-F", config]
    folder = _private_folder()
    if not folder:
        return _run([*ssh, "-o", "ControlPath=none", "-W", destination, hop])
    control = os.path.join(folder, _sha256(f"{mode} {hop}".encode()).hex()[:20])
    shared = [*ssh, "-o", f"ControlPath={control}"]
    status = _FAILED
    for _attempt in range(2):
        reason = "" if _is_open(control) else _open(shared, hop, control)
        if reason:
            return _refuse(reason)
        _leave_terminal()
        status = _run([*shared, "-o", "ControlMaster=no", "-W", destination, hop])
        # A jump host that was restarted shows only when it is used: nothing has been carried then, so try anew.
        if status == 0 or _is_open(control):
            break
    return _refuse(f"{_TOLD}the jump host {hop} opened no connection to {destination}.") if status else 0


def direct(destination: str) -> int:
    """Carry standard input and output to ``[host]:port``. Returns the exit status."""
    import _socket

    _end_with_ssh()
    host, _bracket, port = destination.removeprefix("[").rpartition("]:")
    reason = "no address"
    try:
        for family, kind, protocol, _name, address in _socket.getaddrinfo(host, int(port), 0, _socket.SOCK_STREAM):
            link = _socket.socket(family, kind, protocol)
            link.settimeout(_PATIENCE)
            try:
                link.connect(address)
            except OSError as error:
                reason = error.strerror or str(error)
                link.close()
            else:
                link.settimeout(None)
                return _carry(link)
    except OSError as error:
        reason = error.strerror or str(error)
    return _refuse(f"{_TOLD}{host} port {port} cannot be reached: {reason}.")


def _carry(link: Any) -> int:
    """Pass on in both directions until the server has no more to say."""
    import _socket
    import _thread

    def forth() -> None:
        _pour(0, link.fileno())
        try:
            link.shutdown(_socket.SHUT_WR)
        except OSError:  # the server has hung up
            return

    # Each waits for its own side: one that waits for both could have both wait for it.
    _thread.start_new_thread(forth, ())
    _pour(link.fileno(), 1)
    return 0


def _pour(source: int, sink: int) -> None:
    """Copy to the end, or until either side is gone."""
    try:
        while data := os.read(source, 1 << 16):
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(sink, rest) :]
    except OSError:
        return


def _end_with_ssh() -> None:
    """End in order when ssh ends us, which it does after each connection and when it has lost its patience."""

    def end(_signal: int, _frame: Optional[FrameType]) -> None:
        if _is_unheard():
            _note_failure()
        raise SystemExit(_FAILED)

    for each in (signal.SIGHUP, signal.SIGTERM):
        signal.signal(each, end)


def _is_unheard() -> bool:
    """Whether the first words of our own ssh (RFC 4253, 4.2) still wait to be carried: then nobody has answered."""
    try:
        os.set_blocking(0, False)
        return os.read(0, 4) == b"SSH-"
    except OSError:
        return False


def _private_folder() -> Optional[str]:
    """A folder of the user's own with a short path, which sockets need; None where somebody else took its name."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    parent = runtime if 0 < len(runtime) < 40 and os.path.isdir(runtime) else "/tmp"  # noqa: S108 -- see below
    folder = os.path.join(parent, f"haven-ssh-{os.getuid()}")
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        found = os.lstat(folder)
    except OSError:
        return None
    ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077
    return folder if ours else None


def _is_open(control: str) -> bool:
    """Whether a master listens there: what a dead one left refuses."""
    # What the module socket is made of, which takes as long to load as all else here.
    import _socket

    link = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        return link.connect_ex(control) == 0
    finally:
        link.close()


def _open(shared: Sequence[str], hop: str, control: str) -> str:
    """Open the connection that all share, unless somebody else just did. Returns why that cannot be, or nothing."""
    began = time.time()
    lock = os.open(f"{control}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _is_open(control):
            return ""
        reason = _failed_since(f"{control}.failed", began)
        if reason is None:
            reason = _start_master(shared, hop, control)
            if reason:
                _note(f"{control}.failed", reason)
        return reason
    finally:
        os.close(lock)


def _start_master(shared: Sequence[str], hop: str, control: str) -> str:
    """Start the master, in the background once it is logged in. Returns why not, or nothing."""
    import tempfile

    if os.path.lexists(control):
        os.unlink(control)
    options = ["ControlMaster=yes", f"ControlPersist={PERSIST}", "ClearAllForwardings=yes", "PermitLocalCommand=no"]
    arguments = [word for option in options for word in ("-o", option)]
    # A file: what stays in the background must not hold the pipe that our caller reads to its end. A terminal is for
    # people, who may have to touch a token now.
    with tempfile.TemporaryFile() as said:
        stderr = None if sys.stderr.isatty() else said.fileno()
        status = _run([*shared, *arguments, "-f", "-N", hop], quiet=True, stderr=stderr)
        said.seek(0)
        text = said.read().decode(errors="replace")
    if status == 0:
        _say(text.strip())
        return ""
    reason = told(text) or f"ssh ended with {status}"
    return reason if reason.startswith("haven.gpu") else f"{_TOLD}the jump host {hop} cannot be reached: {reason}"


def told(said: str) -> str:
    """What counts in ssh's output: our own words, also on an earlier hop's behalf; else the last line.

    No more than one line, of at most 500 printable characters.
    """
    lines = ["".join(filter(str.isprintable, line)).strip() for line in said.splitlines()]
    ours = [line[line.index(mark) :] for line in lines for mark in (REFUSED, _TOLD) if mark in line]
    return next(iter(ours or filter(None, reversed(lines))), "")[:500]


def _failed_since(path: str, began: float) -> Optional[str]:
    """Why somebody else failed while we waited for the lock: twenty must not wait for a dead jump host in turn."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read() if os.fstat(file.fileno()).st_mtime >= began else None
    except OSError:
        return None


def _note(path: str, text: str) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


def _refuse(reason: str) -> int:
    """Be the server that says why it disconnects (RFC 4253, 4.2, 6 and 11.1), and return the exit status.

    ssh shows that, while it throws away what a ProxyCommand writes to stderr where ControlPersist is set, as it is for
    Ansible.
    """
    import struct

    # First of all: ssh ends us as soon as it knows.
    _note_failure()
    text = reason.encode("ascii", "replace")[:400]
    payload = b"\x01" + struct.pack(">II", _BY_APPLICATION, len(text)) + text + struct.pack(">I", 0)
    padding = 8 - (5 + len(payload)) % 8 + 8
    packet = struct.pack(">IB", 1 + len(payload) + padding, padding) + payload + bytes(padding)
    # It hangs up when it has read this; before that it wants to tell us things.
    signal.alarm(5)
    try:
        for each in (0, 1):
            # What ran here may have left them otherwise.
            os.set_blocking(each, True)
        os.write(1, b"SSH-2.0-haven.gpu\r\n" + packet)
        while os.read(0, 65536):
            pass
    except OSError:  # it is gone
        pass
    return _FAILED


def _leave_terminal() -> None:
    """So that an interrupt there does not end a connection that others use."""
    try:
        os.setsid()
    except OSError:  # it leads a session already
        return


def _run(command: Sequence[str], *, quiet: bool = False, stderr: Optional[int] = None) -> int:
    """Run it to its end, and end it when we are ended. With ``quiet`` it has neither input nor output.

    ``stderr`` is a file descriptor. The system's own call: the module subprocess takes longer to load than this runs.
    """
    opened = [(os.POSIX_SPAWN_OPEN, each, os.devnull, os.O_RDWR, 0) for each in ((0, 1) if quiet else ())]
    given = [(os.POSIX_SPAWN_DUP2, stderr, 2)] if stderr is not None else []
    try:
        process = os.posix_spawnp(  # pylint: disable=ansible-bad-function
            command[0],
            list(command),
            os.environ,
            file_actions=[*opened, *given],
            # Python ignores these, and a program would inherit that.
            setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
        )
    except OSError as error:
        _say(f"{_TOLD}{command[0]}: {error.strerror}")
        return _FAILED
    status = None
    try:
        _pid, status = os.waitpid(process, 0)
        return os.waitstatus_to_exitcode(status)
    finally:
        if status is None:
            os.kill(process, signal.SIGTERM)


# -- words for a wrong host key


def check(mode: str, host: str, fingerprint: str, key: str, files: Sequence[str]) -> bool:
    """Whether the key is the known one, or in mode tofu the first one; says who shows a wrong one, and what it is."""
    entries = [entry for file in files for entry in _entries(file, host)]
    known = [entry.fingerprint for entry in entries if not entry.signs]
    signers = [entry.fingerprint for entry in entries if entry.signs]
    if fingerprint in known or (not entries and mode == "tofu"):
        return True
    if signers and _signer(key, host) in signers:
        return True
    _note_failure()
    name = next((entry.name for entry in entries if entry.name), "")
    who = f"{name} ({host})" if name and name != host else host
    why = "Somebody else answers at its address, or it was made anew without us" if entries else "Record it first"
    right = " or ".join([*known, *(f"one signed by {each}" for each in signers)]) or "none"
    _say(f"{REFUSED}{who}: it shows the host key {fingerprint}, and {right} is known. {why}.")
    return False


class _Entry:
    """A key that a host is known by, or whose signature it is known by, and the host's name from the comment."""

    def __init__(self, fingerprint: str, name: str, signs: bool) -> None:
        self.fingerprint = fingerprint
        self.name = name
        self.signs = signs


def _entries(path: str, host: str) -> Iterator[_Entry]:
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.readlines()
    except OSError:
        return
    for line in lines:
        words = [*line.split(), "", "", "", "", ""]
        signs = words[0] == "@cert-authority"
        names, _type, key, name = words[1:5] if signs else words[:4]
        if names.lower() == host.lower():
            yield _Entry(_fingerprint(_decoded(key)), name, signs)


def _signer(key: str, host: str) -> str:
    """The fingerprint of who signed this host certificate for the host; nothing where it is none, or not valid now.

    The format is OpenSSH's PROTOCOL.certkeys. ssh has checked the signature by then: it reads no certificate without.
    """
    import struct

    try:
        kind, rest = _cut(_decoded(key))
        parts = {b"ssh-ed25519": 1, b"ssh-rsa": 2}.get(kind.removesuffix(_CERTIFICATE), 2)
        for _nonce_and_key in range(1 + parts):
            _value, rest = _cut(rest)
        _serial, purpose = struct.unpack_from(">QI", rest)
        _key_id, rest = _cut(rest[12:])
        principals, rest = _cut(rest)
        after, before = struct.unpack_from(">QQ", rest)
        _options, rest = _cut(rest[16:])
        _extensions, rest = _cut(rest)
        _reserved, rest = _cut(rest)
        signer, _signature = _cut(rest)
        names = []
        while principals:
            principal, principals = _cut(principals)
            names.append(principal.decode(errors="replace"))
    except (struct.error, ValueError):
        return ""
    right = kind.endswith(_CERTIFICATE) and purpose == _FOR_HOSTS and host in names and after <= time.time() < before
    return _fingerprint(signer) if right else ""


def _cut(data: bytes) -> tuple[bytes, bytes]:
    """The string at the beginning (RFC 4251, 5), and what follows."""
    length = int.from_bytes(data[:4], "big")
    if len(data) < 4 + length:
        raise ValueError("cut short")
    return data[4 : 4 + length], data[4 + length :]


def _decoded(key: str) -> bytes:
    import binascii

    try:
        return binascii.a2b_base64(key)
    except binascii.Error:
        return b""


def _fingerprint(key: bytes) -> str:
    """As ssh writes it: the digest's base64 form without its padding."""
    import binascii

    return "SHA256:" + binascii.b2a_base64(_sha256(key), newline=False).decode().rstrip("=")


def _sha256(data: bytes) -> bytes:
    import hashlib

    return hashlib.sha256(data).digest()


def _note_failure() -> None:
    try:
        os.utime(os.path.join(os.path.dirname(os.path.abspath(__file__)), FAILED))
    except OSError:  # nobody asks for it
        return


def _say(text: str) -> None:
    if text:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


def main(arguments: Sequence[str]) -> int:
    verb, *rest = arguments
    if verb == "check":
        mode, purpose, host, fingerprint, key, *files = rest
        # Before it knows the key, ssh asks for the kinds of keys that are known.
        return 0 if purpose != "HOSTNAME" or check(mode, host, fingerprint, key, files) else 1
    return direct(*rest) if verb == "direct" else through(*rest)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))  # pylint: disable=ansible-bad-function
