# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finds which of the user's public keys ssh can use on this computer, so that it tries these and no others.

An agent with six or eight keys would offer all of them, and sshd hangs up after MaxAuthTries, by default 6, and locks
out the address after some more (PerSourcePenalties).
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Optional

from .._errors import InvalidRequest
from .checks import public_key, public_keys, shown

# Seconds for the agent, which may be on another computer, to list its keys.
_AGENT_TIMEOUT = 5.0
_ENDS = ("", ".pub")
_DEFAULT_NAMES = ("id_ed25519", "id_ecdsa", "id_rsa", "id_ed25519_sk", "id_ecdsa_sk")


class Identity(NamedTuple):
    """A key that ssh can use: ``type base64``, and the file that ssh is given, or '' if only the agent has it."""

    public: str
    path: str = ""


def require_file(path: Optional[str], what: str) -> None:
    """Raise InvalidRequest if there is no such key file. The public key beside it is enough for an agent or a token."""
    if path and not public_keys(path) and not any(os.path.exists(os.path.expanduser(f"{path}{end}")) for end in _ENDS):
        raise InvalidRequest(
            f"{what} is {shown(path)}, and there is no such file: correct its path, or create the key."
        )


def usable(keys: Iterable[str]) -> tuple[Identity, ...]:
    """Return those of the public keys (``type base64``) that have a file in ~/.ssh, or that the agent has."""
    wanted = tuple(dict.fromkeys(keys))
    if not wanted:
        return ()
    files = dict(_files())
    # ssh finds the key in the agent by the public key beside the file, too.
    agent = () if all(each in files for each in wanted) else tuple(_in_agent())
    return tuple(Identity(each, files.get(each, "")) for each in wanted if each in files or each in agent)


def default_files() -> tuple[str, ...]:
    """The keys that ssh tries by itself (IdentityFile in ssh_config(5)), as far as they exist."""
    paths = (os.path.expanduser(f"~/.ssh/{name}") for name in _DEFAULT_NAMES)
    return tuple(path for path in paths if os.path.exists(path))


def _files() -> Iterator[tuple[str, str]]:
    """The public keys in ~/.ssh, each with the path of its private key, or of itself if that is kept elsewhere."""
    folder = os.path.expanduser("~/.ssh")
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(".pub"))
    except OSError:
        return
    for name in names:
        path = os.path.join(folder, name)
        try:
            with open(path, encoding="utf-8") as file:
                key = public_key(file.read(8192).strip())
        except (OSError, UnicodeDecodeError):
            continue
        private = path[: -len(".pub")]
        if key:
            yield key, private if os.path.exists(private) else path


def _in_agent() -> Iterator[str]:
    if not os.environ.get("SSH_AUTH_SOCK"):
        return
    try:
        done = subprocess.run(  # pylint: disable=ansible-bad-function
            ["ssh-add", "-L"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_AGENT_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return
    for line in done.stdout.splitlines():
        key = public_key(line.strip())
        if key:
            yield key
