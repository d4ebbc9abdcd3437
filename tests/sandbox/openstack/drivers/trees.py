# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an image of the sandbox holds: one line that names the tree of files its servers start from.

The trees themselves are the supervisor's: Debian's (images.py), and the snapshots it was told to keep.
"""

from __future__ import annotations

_PREFIX = b"haven-sandbox-tree: "
_SNAPSHOT = "image-"


def content(tree: str) -> bytes:
    """The bytes of an image."""
    return _PREFIX + tree.encode("ascii") + b"\n"


def tree_of(data: bytes) -> str:
    """The tree that an image names; ValueError when it names none."""
    if not data.startswith(_PREFIX):
        raise ValueError("this is no image of the sandbox: its content does not begin with 'haven-sandbox-tree: '")
    return data.removeprefix(_PREFIX).decode("ascii").strip()


def of_snapshot(image_id: str) -> str:
    """What the supervisor calls the tree of a snapshot."""
    return _SNAPSHOT + image_id


def image_of_snapshot(tree: str) -> str:
    """The image a snapshot's tree belongs to; '' when the tree is no snapshot."""
    return tree.removeprefix(_SNAPSHOT) if tree.startswith(_SNAPSHOT) else ""
