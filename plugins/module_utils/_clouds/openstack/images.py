# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Images on OpenStack."""

from __future__ import annotations

import dataclasses
import fnmatch
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Optional

from ..._errors import InvalidRequest, NotFound
from ..._models import Image, ImageChoice
from . import errors, shapes
from .client import Connection, RefusedCall

# What to do about an image that is not active, by its status.
_WAIT = "wait until its upload has finished, or choose another one"
_NOT_ACTIVE = {
    "queued": _WAIT,
    "saving": _WAIT,
    "uploading": _WAIT,
    "importing": _WAIT,
    "deactivated": "its owner or the operator of the cloud has withdrawn it, so ask them, or choose another one",
}
# How many ids a message names at most.
_MOST_NAMED = 5


class Images:
    """Chooses one image."""

    def __init__(self, connection: Connection) -> None:
        self._os = connection

    def choose(self, choice: ImageChoice) -> Image:
        """The image with this id, or the newest active one with this name. Raises NotFound or InvalidRequest."""
        if choice.parameter:
            raise InvalidRequest("OpenStack has no image parameters: give the image's id or name.")
        found = [self._by_id(choice.id)] if choice.id else self._by_name(choice)
        active = [item for item in found if item.get("status", "active") == "active"]
        if not active:
            raise _not_active(found)
        newest = max(active, key=lambda item: (str(item.get("created_at", "")), str(item["id"])))
        image = shapes.image(newest)
        return image if choice.id else dataclasses.replace(image, min_disk_gib=_size(newest))

    def _by_id(self, image_id: str) -> Mapping[str, Any]:
        try:
            return self._os.attempt("GET", "image", f"/images/{errors.quoted(image_id)}")
        except RefusedCall as refused:
            if refused.status == 404:
                raise NotFound(f"There is no image {image_id} that this project can see: check the id.") from None
            raise refused.explain() from refused

    def _by_name(self, choice: ImageChoice) -> list[dict[str, Any]]:
        pattern = choice.name or ""
        # Without an owner, images that others offer to everybody (community) are left out, because anyone can give them
        # any name.
        found = self._listed(pattern, choice.owner, "all" if choice.owner else None)
        if not found:
            whose = f" and owned by {choice.owner}" if choice.owner else ""
            raise NotFound(
                f"No image that this project can see is called {pattern!r}{whose}: check the pattern and the owner."
                f"{self._others(pattern, choice.owner)}"
            )
        return found

    def _others(self, pattern: str, owner: Optional[str]) -> str:
        """A sentence about images of this name that have to be asked for in another way, if there are any."""
        offered = [] if owner else self._listed(pattern, None, "community")
        if offered:
            names = " or ".join(sorted({str(item.get("owner")) for item in offered})[:_MOST_NAMED])
            return f" There are community images of this name: if you trust their owner, give owner ({names})."
        hidden = self._listed(pattern, owner, None, hidden=True)
        if hidden:
            ids = " or ".join(str(item["id"]) for item in hidden[:_MOST_NAMED])
            return f" There are hidden images of this name, which are usually outdated: give the id ({ids})."
        return ""

    def _listed(
        self, pattern: str, owner: Optional[str], visibility: Optional[str], *, hidden: bool = False
    ) -> list[dict[str, Any]]:
        plain = not re.search(r"[*?]", pattern)
        # The service supports whole names only, no patterns.
        items = self._os.pages(
            "image", "/images", "images", name=pattern if plain else None, owner=owner, visibility=visibility,
            os_hidden="true" if hidden else None, sort="created_at:desc", limit=1000 if not plain else None,
        )  # fmt: skip
        literal = re.compile(fnmatch.translate(pattern.replace("[", "[[]")))
        return [item for item in items if literal.fullmatch(item.get("name") or "")]


def _not_active(items: Sequence[Mapping[str, Any]]) -> InvalidRequest:
    newest = max(items, key=lambda item: (str(item.get("created_at", "")), str(item["id"])))
    status = str(newest.get("status"))
    advice = _NOT_ACTIVE.get(status, "choose another one")
    return InvalidRequest(f"The image {newest.get('name')} ({newest['id']}) is {status} and cannot be used: {advice}.")


def _size(item: Mapping[str, Any]) -> int:
    """The size of a volume for the image, in GiB."""
    size = max(int(item.get("size") or 0), int(item.get("virtual_size") or 0))
    return max(int(item.get("min_disk") or 0), math.ceil(size / 2**30), 1)
