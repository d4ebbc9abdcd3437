# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lines of authorized_keys. Those between our two markers are ours; all others are the user's. Pure."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from typing import Optional

from .._errors import InvalidRequest

BEGIN = "# BEGIN haven.gpu: these keys come from ssh_keys of the playbook"
END = "# END haven.gpu"
# Options may precede the type, and a comment may follow the key.
_KEY = re.compile(r"(?:^|\s)((?:sk-)?(?:ssh|ecdsa)-[a-z0-9-]+(?:@openssh\.com)?)\s+([A-Za-z0-9+/]{16,}=*)(?=\s|$)")


def key_of(line: str) -> Optional[str]:
    """Return the key in a line as ``type base64``, without options and comment, or None."""
    found = _KEY.search(line)
    if not found or line.lstrip().startswith("#"):
        return None
    try:
        inside = base64.b64decode(found[2], validate=True)
    except (binascii.Error, ValueError):
        return None
    # The key data begins with the length and the name of its type.
    return f"{found[1]} {found[2]}" if inside[4 : 4 + len(found[1])] == found[1].encode() else None


def keys_in(text: str) -> set[str]:
    return {key for line in text.splitlines() if (key := key_of(line))}


def read_keys(texts: Iterable[str], what: str) -> tuple[str, ...]:
    """Return the key lines in the user's texts, each with one or more lines. Raises InvalidRequest."""
    lines = [line.strip() for text in texts for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    for line in lines:
        if not key_of(line):
            raise InvalidRequest(
                f"{what}: {ascii(line)[:60]}is not an OpenSSH public key: give the line of a file such as "
                "~/.ssh/id_ed25519.pub."
            )
    return tuple(dict.fromkeys(lines))


def with_keys(text: str, wanted: Iterable[str]) -> str:
    """Return the file with our block updated and all other lines unchanged. A key that the user also has is theirs."""
    own, block = _parts(text)
    there = keys_in("\n".join(own))
    new = [line for line in wanted if key_of(line) not in there]
    new = [BEGIN, *new, END] if new else []
    # Unchanged if there is nothing to do, whatever its line ends are.
    return text if new == block else "".join(f"{line}\n" for line in own + new)


def _parts(text: str) -> tuple[list[str], list[str]]:
    """Return the user's lines, and the lines of our block with its markers."""
    lines = text.split("\n") if text else []
    lines = lines[:-1] if lines and not lines[-1] else lines
    if BEGIN not in lines:
        return lines, []
    begin = lines.index(BEGIN)
    # If the user has removed the end marker, what follows belongs to the user.
    end = lines.index(END, begin) if END in lines[begin:] else begin
    return lines[:begin] + lines[end + 1 :], lines[begin : end + 1]
