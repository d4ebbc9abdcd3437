# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes a configuration as private files: known_hosts, the proxy helper, and the configuration that uses both."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence

from .._models import Hop
from . import config as _config
from . import identities as _identities
from .checks import VERIFIED, public_keys
from .config import ANY_HOST, NEWER, HopForward, Machine, OwnSsh, Paths

PRIVATE = 0o600
# Bytes.
_PART = 1 << 16
# ssh appends 17 characters to a socket's path while it creates it. Systems allow 104 or 108 bytes in total.
_FOR_SOCKETS = re.compile(r"/[A-Za-z0-9/._-]{0,58}")
_FORWARDS = ("localforward", "remoteforward", "dynamicforward")
# Seconds for ssh to read the user's own configuration, which may run programs.
_ASKED_S = 10
# Machines by their hops, outermost first.
ByHops = Mapping[tuple[Hop, ...], Sequence[Machine]]


def texts(
    machines: ByHops, paths: Paths, *, host_keys: str = VERIFIED, hop_forwards: Iterable[HopForward] = ()
) -> dict[str, str]:
    """Return the text of each file by its path, in an order in which files exist before others refer to them.
    Raises InvalidRequest.

    The arguments are :func:`config.render`'s.
    """
    groups = (machines or {(): ()}).items()
    keys = [hop.key for hops, _behind in groups for hop in hops]
    keys += [machine.key for _hops, behind in groups for machine in behind]
    usable = _identities.usable(each for text in dict.fromkeys(keys) for each in public_keys(text))
    # ssh finds a key in the agent by a file with the public key.
    made = {each.public: _public_key_file(paths, each.public) for each in usable if not each.path}
    identities = {each.public: each.path or made[each.public] for each in usable}
    defaults = _identities.default_files() if usable else ()
    paths = dataclasses.replace(paths, identities=identities, default_keys=defaults)
    known = [_config.known_hosts(behind, hops) for hops, behind in groups]
    configs = [
        _config.render(behind, hops, paths=paths, host_keys=host_keys, hop_forwards=hop_forwards)
        for hops, behind in groups
    ]
    public = {path: f"{key}\n" for key, path in made.items()}
    return {paths.known_hosts: _merged(known), paths.helper: _helper(), **public, paths.config: "\n".join(configs)}


def _public_key_file(paths: Paths, key: str) -> str:
    return os.path.join(paths.folder, f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.pub")


def write(machines: ByHops, paths: Paths, *, host_keys: str = VERIFIED, hop_forwards: Iterable[HopForward] = ()) -> str:
    """Write :func:`texts` to their folder, which is created if needed. Return the path of the configuration."""
    said = texts(machines, paths, host_keys=host_keys, hop_forwards=hop_forwards)
    private_folder(paths.folder)
    for path, text in said.items():
        write_private(path, text)
    return paths.config


def own_ssh(config: str = "") -> OwnSsh:
    """What this computer's ssh is like, with the user's own configuration, by default ssh's. Hosts of any name count.

    One that is yet to be written counts as an empty one. Where ssh cannot say, it is taken for the oldest one without a
    configuration.
    """
    if config and not os.path.exists(config):
        config = "none"  # ssh fails where it is given a file that is not there
    # A duration, because one is printed even if it is the default.
    tried = {**NEWER, "ChannelTimeout": "session=1d"}
    options = ["IgnoreUnknown=*", *(f"{name}={value}" for name, value in tried.items())]
    asked = ["ssh", *(["-F", config] if config else []), *(word for each in options for word in ("-o", each))]
    try:
        done = subprocess.run(  # pylint: disable=ansible-bad-function
            [*asked, "-G", ANY_HOST], stdin=subprocess.DEVNULL, capture_output=True, timeout=_ASKED_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return OwnSsh()
    said = {line.partition(b" ")[0].decode(errors="replace") for line in done.stdout.splitlines()}
    return OwnSsh(
        jump="proxyjump" in said,
        forwards=not said.isdisjoint(_FORWARDS),
        knows=tuple(name for name in NEWER if name.lower() in said),
    )


def _merged(known: Sequence[str]) -> str:
    """Merge several known_hosts files. Machines behind different hops may have some lines in common."""
    if len(known) == 1:
        return known[0]
    return "".join(dict.fromkeys(line for text in known for line in text.splitlines(keepends=True)))


def _helper() -> str:
    # It is only read, and only if a configuration is written.
    from . import proxy_helper

    return inspect.getsource(proxy_helper)


def private_folder(path: str) -> str:
    """Create the folder, or make it private. Return its path."""
    os.makedirs(path, mode=0o700, exist_ok=True)
    os.chmod(path, 0o700)
    return path


def socket_folder() -> str:
    """Create a private folder for unix sockets, and return its path.

    It is below the user's TMPDIR if sockets can be there: the path is short, and plain enough for ssh's options.
    """
    base = tempfile.gettempdir()
    return tempfile.mkdtemp(prefix="haven-", dir=base if _FOR_SOCKETS.fullmatch(base) else "/tmp")  # noqa: S108


def write_private(path: str, text: str) -> bool:
    """Write the text to the file, as a whole or not at all, readable only by its owner. Return whether it changed.

    Another run may write the same file at the same time. Readers see either the old or the new text.
    """
    content = text.encode()
    if _holds(path, content):
        return False
    # mkstemp creates files with mode 0600.
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".haven-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    return True


def _holds(path: str, content: bytes) -> bool:
    """Whether the file is private and has exactly this content. It is read in parts, because it can be large."""
    try:
        with open(path, "rb") as file:
            found = os.fstat(file.fileno())
            if found.st_mode & 0o777 != PRIVATE or found.st_size != len(content):
                return False
            starts = range(0, len(content), _PART)
            return all(file.read(_PART) == content[start : start + _PART] for start in starts)
    except FileNotFoundError:
        return False
