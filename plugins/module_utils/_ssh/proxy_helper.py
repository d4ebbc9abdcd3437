# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The helper that ssh runs on the controller, for shared connections to jump hosts and clear errors about host keys.

A copy of this file is next to each of our SSH configurations, which use it in up to three places:

- ``ProxyCommand … through MODE CONFIG HOP DESTINATION`` sends a connection through the shared connection to this jump
  host. ``ControlMaster auto`` would not work: twenty connections that start together all find no master, and each opens
  its own.
- ``ProxyCommand … direct DESTINATION`` connects without a jump host, like ssh itself, except for the error message.
- ``KnownHostsCommand … check MODE PURPOSE HOST FINGERPRINT KEY FILE…`` never adds a key. If a machine shows a key other
  than the recorded one, it names the machine and both fingerprints (ssh shows only one) and fails, so that ssh ends the
  connection. ``-o StrictHostKeyChecking=no``, which ANSIBLE_HOST_KEY_CHECKING=False puts on the command line, cannot
  disable that.

If any of them fails, it updates the time of the file FAILED next to this one, if that exists. An inventory then lists
its cloud again, because its cache may be outdated.

It uses only the standard library and runs with ``-IS``, so that it does not depend on the environment and starts
quickly. It runs twice for each connection, which matters with twenty machines at once. Therefore slow imports are made
where they are needed, and all other modules are written in C.
"""

from __future__ import annotations

import fcntl
import os
import signal
import stat
import sys
import time

# Type checkers treat this as true.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import FrameType
    from typing import Any, Optional

# The file in an inventory's folder that has the time of the last failure.
FAILED = "failed"
# The beginning of messages about a wrong host key.
REFUSED = "haven.gpu refuses "
# What sshd says, after it has shown its host key, to a user or keys that it does not let in.
NO_LOGIN = ("Permission denied (", "Too many authentication failures")
_UNUSED_KEY = ("sign_and_send_pubkey:", "Load key ")
# Seconds for which such a refusal by a jump host is remembered instead of tried again by the next process: sshd locks
# out an address with too many of them (PerSourcePenalties in sshd_config(5), which forgets one after 5 seconds).
REMEMBERED = 5.0
# Seconds that the shared connection stays open after the last connection through it.
PERSIST = 60
# Seconds for one address of a machine. Callers of ssh usually wait for less.
_PATIENCE = 15
_TOLD = "haven.gpu: "
# The beginning of messages about a jump host that cannot be passed.
HOP_FAILED = f"{_TOLD}the jump host "
_FAILED = 255
_BY_APPLICATION = 11
_CERTIFICATE = b"-cert-v01@openssh.com"
_FOR_HOSTS = 2


# -- through a jump host


def through(mode: str, config: str, hop: str, destination: str) -> int:
    """Connect standard input and output to ``[host]:port`` behind the hop, and return the exit status.

    ``config`` is the configuration for the hop, or "-" for ssh's defaults. ``mode`` says how unknown host keys are
    treated. A caller that checks strictly never uses a connection from one that does not.
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
        # A restart of the jump host is noticed only now. Nothing has been sent yet, so try again.
        if status == 0 or _is_open(control):
            break
    return _refuse(f"{HOP_FAILED}{hop} opened no connection to {destination}.") if status else 0


def direct(destination: str) -> int:
    """Connect standard input and output to ``[host]:port``, and return the exit status."""
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
    """Forward data in both directions until the server closes the connection."""
    import _socket
    import _thread

    def forth() -> None:
        _pour(0, link.fileno())
        try:
            link.shutdown(_socket.SHUT_WR)
        except OSError:  # the server has hung up
            return

    # Each thread waits for one side only, because waiting for both could block both.
    _thread.start_new_thread(forth, ())
    _pour(link.fileno(), 1)
    return 0


def _pour(source: int, sink: int) -> None:
    """Copy until the end, or until either side is closed."""
    try:
        while data := os.read(source, 1 << 16):
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(sink, rest) :]
    except OSError:
        return


def _end_with_ssh() -> None:
    """Exit properly when ssh terminates us, after each connection and after a timeout."""

    def end(_signal: int, _frame: Optional[FrameType]) -> None:
        if _is_unheard():
            _note_failure()
        raise SystemExit(_FAILED)

    for each in (signal.SIGHUP, signal.SIGTERM):
        signal.signal(each, end)


def _is_unheard() -> bool:
    """Whether the greeting of our own ssh (RFC 4253, 4.2) is still unread, so that there was no answer yet."""
    try:
        os.set_blocking(0, False)
        return os.read(0, 4) == b"SSH-"
    except OSError:
        return False


def _private_folder() -> Optional[str]:
    """A private folder with a short path, which sockets need, or None if the name belongs to somebody else."""
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
    """Whether a master is listening on the socket. The socket of a dead one refuses connections."""
    # The C part of the module socket, which takes as long to load as everything else here.
    import _socket

    link = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        return link.connect_ex(control) == 0
    finally:
        link.close()


def _open(shared: Sequence[str], hop: str, control: str) -> str:
    """Open the shared connection, unless another process just did. Return why that failed, or an empty string."""
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
    """Start the master, which goes to the background after the login. Return why that failed, or an empty string."""
    import tempfile

    if os.path.lexists(control):
        os.unlink(control)
    options = ["ControlMaster=yes", f"ControlPersist={PERSIST}", "ClearAllForwardings=yes", "PermitLocalCommand=no"]
    arguments = [word for option in options for word in ("-o", option)]
    # To a file, because the background process must not keep the pipe open that our caller reads. A terminal is left
    # alone for people who may have to touch a token now.
    with tempfile.TemporaryFile() as said:
        stderr = None if sys.stderr.isatty() else said.fileno()
        status = _run([*shared, *arguments, "-f", "-N", hop], quiet=True, stderr=stderr)
        said.seek(0)
        text = said.read().decode(errors="replace")
    if status == 0:
        _say(text.strip())
        return ""
    reason = told(text) or f"ssh ended with {status}"
    return reason if reason.startswith("haven.gpu") else f"{HOP_FAILED}{hop} cannot be reached: {reason}"


def told(said: str) -> str:
    """Return the relevant line of ssh's output: our own message, also from an earlier hop, or sshd's refusal of the
    login, otherwise the last line.

    At most 500 printable characters.
    """
    lines = ["".join(filter(str.isprintable, line)).strip() for line in said.splitlines()]
    ours = [line[line.index(mark) :] for line in lines for mark in (REFUSED, _TOLD) if mark in line]
    refusals = [line for line in lines if is_no_login(line)]
    # A key that could not be used, for instance because a token was not touched, is the reason for the refusal.
    unused = [f"{line} -- " for line in lines if refusals and line.startswith(_UNUSED_KEY)]
    refused = ["".join([*unused[-1:], *refusals[:1]])] if refusals else []
    return next(iter(ours or refused or filter(None, reversed(lines))), "")[:500]


def is_no_login(said: str) -> bool:
    """Whether sshd, which has shown the right host key, refuses the user or the keys."""
    return any(words in said for words in NO_LOGIN)


def _failed_since(path: str, began: float) -> Optional[str]:
    """Why another process failed while we waited for the lock, or was refused just before.

    Twenty must not wait for a dead jump host in turn, nor be refused one after the other.
    """
    try:
        with open(path, encoding="utf-8") as file:
            reason, noted = file.read(), os.fstat(file.fileno()).st_mtime
        return reason if noted >= began - (REMEMBERED if is_no_login(reason) else 0.0) else None
    except OSError:
        return None


def _note(path: str, text: str) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


def _refuse(reason: str) -> int:
    """Act as a server that disconnects with a reason (RFC 4253, 4.2, 6 and 11.1), and return the exit status.

    ssh shows that reason. It discards the stderr of a ProxyCommand if ControlPersist is set, as Ansible does.
    """
    import struct

    # First of all, because ssh terminates us as soon as it knows.
    _note_failure()
    text = reason.encode("ascii", "replace")[:400]
    payload = b"\x01" + struct.pack(">II", _BY_APPLICATION, len(text)) + text + struct.pack(">I", 0)
    padding = 8 - (5 + len(payload)) % 8 + 8
    packet = struct.pack(">IB", 1 + len(payload) + padding, padding) + payload + bytes(padding)
    # ssh hangs up when it has read this. Before that, it sends data.
    signal.alarm(5)
    try:
        for each in (0, 1):
            # They may have been changed here.
            os.set_blocking(each, True)
        os.write(1, b"SSH-2.0-haven.gpu\r\n" + packet)
        while os.read(0, 65536):
            pass
    except OSError:  # ssh has ended
        pass
    return _FAILED


def _leave_terminal() -> None:
    """Start a new session, so that an interrupt does not end a connection that others use."""
    try:
        os.setsid()
    except OSError:  # it already leads a session
        return


def _run(command: Sequence[str], *, quiet: bool = False, stderr: Optional[int] = None) -> int:
    """Run the program to its end, and terminate it if we are terminated. ``quiet``: without input and output.

    ``stderr`` is a file descriptor. Uses a system call, because the module subprocess takes longer to load than this.
    """
    opened = [(os.POSIX_SPAWN_OPEN, each, os.devnull, os.O_RDWR, 0) for each in ((0, 1) if quiet else ())]
    given = [(os.POSIX_SPAWN_DUP2, stderr, 2)] if stderr is not None else []
    try:
        process = os.posix_spawnp(  # pylint: disable=ansible-bad-function
            command[0],
            list(command),
            os.environ,
            file_actions=[*opened, *given],
            # Python ignores these signals, and the program would inherit that.
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
            _terminate(process)


def _terminate(process: int) -> None:
    """End a child, unless it has ended already: its number may then be another program's."""
    try:
        if os.waitpid(process, os.WNOHANG) == (0, 0):
            os.kill(process, signal.SIGTERM)
    except ChildProcessError:  # the wait that was interrupted had got its status
        return


# -- words for a wrong host key


def check(mode: str, host: str, fingerprint: str, key: str, files: Sequence[str]) -> bool:
    """Whether the key is known, or in mode tofu the first one. Otherwise prints the machine and both fingerprints."""
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
    why = (
        "Another machine answers at its address, or it was created again without haven.gpu"
        if entries
        else "Record it first"
    )
    right = " or ".join([*known, *(f"one signed by {each}" for each in signers)]) or "none"
    _say(f"{REFUSED}{who}: it shows the host key {fingerprint}, and {right} is known. {why}.")
    return False


class _Entry:
    """The key of a host, or of the authority that signs its certificate, and the host's name from the comment."""

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
    """The fingerprint of the signer of this host certificate, or '' if it is not a certificate or not valid now.

    The format is OpenSSH's PROTOCOL.certkeys. ssh has already checked the signature.
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
    """Return the string at the beginning (RFC 4251, 5), and the rest."""
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
    """The fingerprint as ssh writes it: the digest in base64 without padding."""
    import binascii

    return "SHA256:" + binascii.b2a_base64(_sha256(key), newline=False).decode().rstrip("=")


def _sha256(data: bytes) -> bytes:
    import hashlib

    return hashlib.sha256(data).digest()


def _note_failure() -> None:
    try:
        os.utime(os.path.join(os.path.dirname(os.path.abspath(__file__)), FAILED))
    except OSError:  # it is not wanted
        return


def _say(text: str) -> None:
    if text:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


def main(arguments: Sequence[str]) -> int:
    verb, *rest = arguments
    if verb == "check":
        mode, purpose, host, fingerprint, key, *files = rest
        # Before it knows the key, ssh asks for the known types of keys.
        return 0 if purpose != "HOSTNAME" or check(mode, host, fingerprint, key, files) else 1
    return direct(*rest) if verb == "direct" else through(*rest)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))  # pylint: disable=ansible-bad-function
