# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A verified SSH connection to the last jump host that is kept open for many streams.

OpenSSH itself opens it (ssh_config(5), ControlMaster), so that agents, FIDO keys, and the user's own configuration are
used. Each stream is a channel of that connection, without another login on the jump host.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .._errors import HavenError, InvalidRequest, LoginRefused, Unreachable, Untrusted
from .._models import Hop
from . import files as _files
from .config import HopForward, Paths, hop_alias
from .proxy_helper import REFUSED, is_no_login, told

# Seconds after its last stream until a connection whose owner was killed closes by itself.
PERSIST = 30
# Seconds for each hop to answer and log us in.
LOGIN_TIMEOUT = 25.0


@dataclass(frozen=True)
class HeldConnection:
    """The connection. ``folder`` is private and deleted with it."""

    hops: tuple[Hop, ...]
    folder: str

    @property
    def log(self) -> str:
        """The path of ssh's log about the connection and its streams."""
        return os.path.join(self.folder, "log")

    def command(self, *arguments: str) -> list[str]:
        """An ssh command that goes through this connection."""
        config, control = Paths(self.folder).config, os.path.join(self.folder, "s")
        # The user's own configuration may differ, but reasons are read from the log.
        settings = ["BatchMode=yes", "LogLevel=INFO", "PermitLocalCommand=no", "RemoteCommand=none"]
        options = [word for setting in settings for word in ("-o", setting)]
        return [
            "ssh",
            "-F",
            config,
            "-S",
            control,
            *options,
            *arguments,
            hop_alias(self.hops, len(self.hops) - 1),
        ]

    def said(self, since: int = 0) -> str:
        """What ssh has written to the log after that many bytes."""
        with open(self.log, encoding="utf-8", errors="replace") as log:
            log.seek(since)
            return log.read()


@contextlib.contextmanager
def held(hops: Sequence[Hop], forwards: Sequence[tuple[str, str, int]] = ()) -> Iterator[HeldConnection]:
    """Hold a connection over these hops, outermost first, for the duration of the context.

    ``forwards`` are names of unix sockets in its folder, each with the host and the port that it is forwarded to from
    the last hop. Host keys are always checked strictly. Raises Unreachable, Untrusted, or InvalidRequest.
    """
    folder = _files.socket_folder()
    connection = HeldConnection(tuple(hops), folder)
    try:
        opened = [HopForward(os.path.join(folder, name), host, port) for name, host, port in forwards]
        paths = Paths.of_this_run(folder, ssh=_files.own_ssh())
        _files.write({connection.hops: ()}, paths, hop_forwards=opened)
        _log_in(connection)
        yield connection
    finally:
        _run(connection.command("-O", "exit"), connection, 5.0)
        shutil.rmtree(folder, ignore_errors=True)


def _log_in(connection: HeldConnection) -> None:
    # It goes to the background after the login on the last hop, which closes stderr, hence -E.
    # Each forward is an open file, and many systems have a default limit of 1024 or less.
    roomy = ["sh", "-c", 'ulimit -S -n 8192 2>/dev/null || ulimit -S -n "$(ulimit -H -n)"; exec "$@"', "sh"]
    background = ["-f", "-N", "-M", "-o", f"ControlPersist={PERSIST}", "-o", "ControlMaster=yes", "-E", connection.log]
    status = _run([*roomy, *connection.command(*background)], connection, LOGIN_TIMEOUT * len(connection.hops))
    if status != 0:
        raise _failure(connection, status)


def _run(command: Sequence[str], connection: HeldConnection, seconds: float) -> int:
    """Run ssh and return the exit status, or 124, like timeout(1), if it took too long."""
    # To a file, because a pipe would stay open as long as the connection. For an earlier hop, ssh has no -E.
    with open(connection.log, "a", encoding="utf-8") as log:
        try:
            done = subprocess.run(  # pylint: disable=ansible-bad-function
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=seconds, check=False
            )
        except subprocess.TimeoutExpired:
            return 124
        except FileNotFoundError as error:
            raise InvalidRequest("Jump hosts need the program ssh: install the OpenSSH client.") from error
    return done.returncode


def _failure(connection: HeldConnection, status: int) -> HavenError:
    """Why the connection failed, in a sentence that names the hop if ssh named it."""
    said = connection.said()
    last = told(said)
    if last.startswith(REFUSED):
        return Untrusted(f"{last.rstrip('.')}. Ask the jump host's operator before you change the host_key of the hop.")
    hops = connection.hops
    named = [hop for index, hop in enumerate(hops) if hop_alias(hops, index) in said]
    hop = named[0] if len(named) == 1 else hops[-1]
    where = f"The jump host {hop.host}"
    if "Host key verification failed" in said:
        return Untrusted(
            f"{where} shows a host key that is not known: set the hop's host_key, or add it to your own known_hosts."
        )
    if is_no_login(said):
        return LoginRefused(
            f"{where} refuses the login ({last.rstrip('.')}): check the hop's user and key, and whether the agent has "
            "the key. With many keys in the agent, set the hop's key."
        )
    last = "no answer in time" if status == 124 else (last or f"ssh ended with {status}").rstrip(".")
    return Unreachable(f"{where} cannot be reached ({last}): check the hops, their ports and the network.")
