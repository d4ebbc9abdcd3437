# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tunnels that stay open in the background: local ports that are forwarded to unix sockets on a machine.

Each is a shell in its own session that starts ssh again whenever it ends, so that it survives the play and the
terminal. It needs only a POSIX shell and OpenSSH, on Linux or macOS.

A tunnel NAME has these files in a private folder:

  NAME.json   the request, the chosen ports, and the process group
  NAME.lock   locked by the shell (flock) while it is running, because a process ID alone proves nothing
  NAME.up     exists while ssh is connected and its forwards are open
  NAME.lost   exists after the end of the first attempt
  NAME.log    the output of ssh in its last attempt
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Optional

from .._errors import HavenError, InvalidRequest
from .._progress import progress
from .checks import require_alias, require_port, require_socket, require_user
from .config import Forward
from .files import own_ssh, private_folder, write_private
from .proxy_helper import told

_KINDS = ("up", "lost", "log", "lock", "json")
_EVERY_S = 0.1
_END_WITHIN_S = 10.0
_PORTS_TRIED = 100  # from the requested one upwards, then any free one

# $1: the path of the files without the suffix; then the command. An attempt that hangs is terminated, because waiting
# for dropped packets takes too long. An attempt that lasted does not count as a failure. After a refused login, the
# pause is long at once, because sshd locks out an address that is refused often.
_KEEPER = """\
log=$1.log lost=$1.lost up=$1.up pause=1
shift
trap 'rm -f "$up"; kill "$child" "$guard"; exit 0' TERM INT
trap '' HUP
while :; do
    began=$(date +%s)
    "$@" >"$log" 2>&1 &
    child=$!
    { sleep 45; [ -e "$up" ] || kill "$child"; } >/dev/null 2>&1 &
    guard=$!
    wait "$child"
    kill "$guard"
    rm -f "$up"
    : >"$lost"
    if [ $(($(date +%s) - began)) -gt 90 ]; then pause=1; fi
    if grep -q -e 'Permission denied (' -e 'Too many authentication failures' "$log"; then pause=60; fi
    sleep "$pause" &
    child=$!
    wait "$child"
    if [ "$pause" -lt 30 ]; then pause=$((pause * 2)); fi
done
"""


class TunnelError(HavenError):
    """A tunnel could not be opened or closed."""

    reason = "tunnel"


@dataclass(frozen=True)
class Wish:
    """A requested tunnel: the host (an alias in an SSH configuration), the user, and the preferred ports."""

    ssh_config: str
    host: str
    user: str
    forwards: tuple[Forward, ...]

    def __post_init__(self) -> None:
        require_alias(self.host, "The host of a tunnel")
        require_user(self.user, "The user of a tunnel")
        for forward in self.forwards:
            require_port(forward.port, "A forward of a tunnel")
            require_socket(forward.socket, "The socket of a forward")


@dataclass(frozen=True)
class Tunnel:
    """An existing tunnel. ``ports`` are the local ones, in the order of the request; ``group`` is its process group."""

    wish: Wish
    ports: tuple[int, ...]
    group: int = 0

    def forwards_as_dicts(self) -> list[dict[str, Any]]:
        """The documented return value: the request, the actual ports, and what uses the requested ones."""
        found = []
        for port, forward in zip(self.ports, self.wish.forwards):
            taken = {} if port == forward.port else {"taken_by": holder(forward.port)}
            found.append({"port": forward.port, "local_port": port, "socket": forward.socket, **taken})
        return found


class Tunnels:
    """All tunnels in a folder, which is created if needed."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def names(self) -> list[str]:
        """The names of all tunnels that were opened and not closed, running or not."""
        if not os.path.isdir(self._folder):
            return []
        return sorted(name[: -len(".json")] for name in os.listdir(self._folder) if name.endswith(".json"))

    def get(self, name: str) -> Optional[Tunnel]:
        """The tunnel of that name, if its shell is running. It may be between two attempts."""
        require_alias(name, "The name of a tunnel")
        return self._read(name) if self._lives(name) else None

    def is_up(self, name: str) -> bool:
        """Whether its ssh is connected."""
        return os.path.exists(self._path(name, "up"))

    def start(self, name: str, wish: Wish) -> Tunnel:
        """Choose ports and start the tunnel, without waiting for it. An earlier one of that name must be closed."""
        private_folder(self._folder)
        # Each port is assigned once: the next tunnel sees this one among the running ones.
        with self._locked(".ports"):
            others = [self._read(other) for other in self.names() if other != name and self._lives(other)]
            ports = _choose(wish.forwards, {port for other in others if other for port in other.ports})
            self._write(name, Tunnel(wish, ports))
            return self._launch(name, Tunnel(wish, ports))

    def await_up(self, name: str, within_s: float, *, at_first_attempt: bool) -> None:
        """Wait until it is connected. Raises TunnelError with the last message from ssh.

        at_first_attempt: one failure is final, for instance because a key is refused. Later failures are the network's.
        """
        deadline = time.monotonic() + within_s
        progress.begins(f"waits until the tunnel to {name} is open")
        while not self.is_up(name):
            if time.monotonic() > deadline or (at_first_attempt and os.path.exists(self._path(name, "lost"))):
                raise TunnelError(f"The tunnel to {name} is not open: {self._last_words(name)}")
            time.sleep(_EVERY_S)

    def close(self, name: str) -> None:
        """Stop the tunnel, if there is one, and delete its files."""
        tunnel = self._read(name)
        deadline = time.monotonic() + _END_WITHIN_S
        number = signal.SIGTERM
        while tunnel and tunnel.group and self._lives(name):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(tunnel.group, number)
            if time.monotonic() > deadline:
                raise TunnelError(f"The tunnel {name}, process group {tunnel.group}, does not end: look at it with ps.")
            time.sleep(_EVERY_S)
            number = signal.SIGKILL if time.monotonic() > deadline - _END_WITHIN_S / 2 else number
        for kind in _KINDS:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path(name, kind))

    def _launch(self, name: str, tunnel: Tunnel) -> Tunnel:
        lock = os.open(self._path(name, "lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            process = subprocess.Popen(  # pylint: disable=ansible-bad-function
                ["/bin/sh", "-c", _KEEPER, "haven-tunnel", os.path.join(self._folder, name), *_command(tunnel)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=self._folder,
                env={
                    **os.environ,
                    "HAVEN_TUNNEL_UP": self._path(name, "up"),
                    "SHELL": "/bin/sh",
                },  # ssh's LocalCommand is run by that
                pass_fds=[lock],
                start_new_session=True,
                umask=0o077,
            )
        except BlockingIOError:
            raise TunnelError(f"Another process is opening the tunnel {name} right now: try again.") from None
        finally:
            os.close(lock)
        started = Tunnel(tunnel.wish, tunnel.ports, process.pid)
        self._write(name, started)
        return started

    def _lives(self, name: str) -> bool:
        try:
            lock = os.open(self._path(name, "lock"), os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(lock)
        return False

    def _last_words(self, name: str) -> str:
        try:
            with open(self._path(name, "log"), encoding="utf-8", errors="replace") as log:
                return told(log.read()) or "ssh printed no message."
        except FileNotFoundError:
            return "ssh printed no message."

    def _read(self, name: str) -> Optional[Tunnel]:
        """The recorded tunnel, or None if there is none or the file was modified."""
        try:
            with open(self._path(name, "json"), encoding="utf-8") as file:
                noted: dict[str, Any] = json.load(file)
            wish = dict(noted["wish"])
            wish["forwards"] = tuple(Forward(**forward) for forward in wish["forwards"])
            return Tunnel(Wish(**wish), tuple(map(int, noted["ports"])), int(noted["group"]))
        except (FileNotFoundError, KeyError, TypeError, ValueError, InvalidRequest):
            return None

    def _write(self, name: str, tunnel: Tunnel) -> None:
        write_private(self._path(name, "json"), json.dumps(asdict(tunnel)))

    @contextlib.contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        lock = os.open(os.path.join(self._folder, name), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _path(self, name: str, kind: str) -> str:
        return os.path.join(self._folder, f"{name}.{kind}")


def project_folder(folder: str, project: str) -> str:
    """The folder of a project's tunnels. Raises InvalidRequest."""
    return os.path.join(folder, require_alias(project, "The project of a tunnel"))


def holder(port: int) -> str:
    """What listens on this port on the loopback addresses, as far as this user can see it."""
    try:
        asked = ["ss", "-Hltnp", f"sport = :{port}"]
        said = subprocess.run(  # pylint: disable=ansible-bad-function
            asked, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=5, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        said = ""
    found = re.search(r'users:\(\("([^"]+)",pid=(\d+)', said)
    return f"{found.group(1)} (process {found.group(2)})" if found else "another program"


def _command(tunnel: Tunnel) -> list[str]:
    command = ["ssh", "-F", tunnel.wish.ssh_config, "-N", "-T", "-S", "none", "-l", tunnel.wish.user]
    # Forwards for all hosts, in the user's own configuration, fail while another ssh has their ports. ssh cannot leave
    # out only those, and our own ports were free a moment ago.
    strict = "no" if own_ssh().forwards else "yes"
    for option in (
        "BatchMode=yes",
        f"ExitOnForwardFailure={strict}",
        "GatewayPorts=no",
        "PermitLocalCommand=yes",
        'LocalCommand=: >"$HAVEN_TUNNEL_UP"',
        "ServerAliveInterval=15",
        "ServerAliveCountMax=3",
    ):
        command += ["-o", option]
    for port, forward in zip(tunnel.ports, tunnel.wish.forwards):
        command += ["-L", f"localhost:{port}:{forward.socket}"]
    return [*command, "--", tunnel.wish.host]


def _choose(forwards: Collection[Forward], taken: set[int]) -> tuple[int, ...]:
    """Choose a free port for each: the requested one, the next after it, or any. taken: assigned to other tunnels."""
    chosen: list[int] = []
    for forward in forwards:
        for port in [*range(forward.port, min(forward.port + _PORTS_TRIED, 65536)), 0]:
            if port in taken or port in chosen:
                continue
            free = _free(port)
            if free:
                chosen.append(free)
                break
        else:
            raise TunnelError("There is no free port on this computer's loopback addresses.")
    return tuple(chosen)


def _free(port: int) -> int:
    """Return the port if it is free on 127.0.0.1 and, if this computer has IPv6, on ::1; otherwise 0.

    A browser may use either for localhost. Port 0 means any free port.
    """
    with contextlib.ExitStack() as held:
        for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            try:
                trial = held.enter_context(socket.socket(family))
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    trial.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                trial.bind((address, port))
            except OSError as error:
                if family == socket.AF_INET6 and error.errno != errno.EADDRINUSE:
                    continue  # no IPv6 here
                return 0
            port = trial.getsockname()[1]
    return port
