# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which image a name means, and what is said where it means none."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.haven.gpu.plugins.module_utils._clouds.openstack.images import Images
from ansible_collections.haven.gpu.plugins.module_utils._errors import HavenError
from ansible_collections.haven.gpu.plugins.module_utils._models import ImageChoice


def image(number: int, **more: Any) -> dict[str, Any]:
    return {"id": f"id-{number}", "name": "ubuntu", "status": "active", "created_at": f"2026-0{number}-01", **more}


class Glance:
    """Images, listed as glance lists them: without those of others (community) and hidden ones, unless asked for."""

    def __init__(self, *images: dict[str, Any]) -> None:
        self._images = images

    def pages(self, _service: str, _path: str, _key: str, **query: Any) -> list[dict[str, Any]]:
        seen = {"all": ("public", "community"), "community": ("community",), None: ("public",)}[query["visibility"]]
        return [
            each
            for each in self._images
            if each.get("visibility", "public") in seen
            and query["owner"] in (None, each.get("owner"))
            and bool(each.get("os_hidden")) is (query["os_hidden"] == "true")
        ]


def chosen(choice: ImageChoice, *images: dict[str, Any]) -> str:
    """The id of the image, or what is said."""
    try:
        return Images(Glance(*images)).choose(choice).id  # type: ignore[arg-type]
    except HavenError as error:
        return f"{error.reason}: {error}"


@pytest.mark.parametrize(
    ("images", "owner", "said"),
    [
        ((image(1, owner="a"), image(2, owner="b")), None, "id-2"),
        ((image(1, owner="a"), image(2, owner="b")), "a", "id-1"),
        # A newer one that is not there yet is passed over.
        ((image(1), image(2, status="queued")), None, "id-1"),
        ((image(1, status="deactivated"),), None, "invalid_request: The image ubuntu (id-1) is deactivated"),
        ((image(1, status="importing"),), None, "upload"),
        ((image(1, status="killed"),), None, "choose another one"),
        ((image(1), image(2, visibility="community", owner="b")), None, "id-1"),
        ((image(1), image(2, visibility="community", owner="b")), "b", "id-2"),
        ((image(2, visibility="community", owner="b"),), None, "give owner (b)"),
        (
            (image(2, os_hidden=True),),
            None,
            "hidden images of this name, which are usually outdated: give the id (id-2)",
        ),
        ((), None, "not_found: No image"),
        ((image(1, name="ubuntu\x1b[2J\n\u202e", status="queued"),), None, "ubuntu\\x1b[2J\\n\\u202e (id-1) is queued"),
    ],
)
def test_which_image_a_name_means(images: tuple[dict[str, Any], ...], owner: str | None, said: str) -> None:
    assert said in chosen(ImageChoice(name="ubuntu*", owner=owner), *images)
