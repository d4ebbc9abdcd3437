# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Volumes on OpenStack. All are made by cinder itself, since those nova makes carry no metadata."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .._errors import CloudFailure, InvalidRequest, Refused, TimedOut
from .._models import TAG_NAME, TAG_PROJECT, Image, Resource, Spec, VolumeSpec
from .._wait import together
from . import _openstack_shapes as shapes
from ._openstack_client import Connection, RefusedCall

# Seconds: a volume is made within this, the copy of an image included.
READY_TIMEOUT = 600.0
# GiB a boot volume has at least when nobody says how many and the image does not either.
_MOST_PAUSE = 2.0


def boots_from_volume(spec: Spec) -> bool:
    """Whether the root disk is a volume: when it is asked for, or when the root disk has to be one. Pure."""
    asked = spec.options.get("boot_from_volume")
    root = spec.root_volume or VolumeSpec()
    needed = any((root.size_gib, root.type, root.encrypted, root.delete_with_instance is False))
    if needed and asked is False:
        raise InvalidRequest(
            f"The root_volume of {spec.name} needs a volume to boot from: leave openstack.boot_from_volume out, or "
            "leave out root_volume and take the disk of the flavor."
        )
    return bool(needed if asked is None else asked)


class Volumes:
    """Make, find, change and delete."""

    def __init__(self, connection: Connection) -> None:
        self._os = connection

    def create(self, spec: Spec, image: Image, image_size: int) -> list[dict[str, Any]]:
        """The volumes of a new instance, ready to attach, as id, device and delete. What fails leaves none behind."""
        wanted = list(spec.data_volumes)
        if boots_from_volume(spec):
            root = spec.root_volume or VolumeSpec()
            wanted.insert(0, VolumeSpec(None, root.size_gib or image_size, root.type, root.encrypted))
        made: list[dict[str, Any]] = []
        try:
            for each in wanted:
                made.append(self._create(spec, each, image))
            together(lambda item: self._wait(item["id"], spec.name), made)
            for each, item in zip(wanted, made):
                self._check_encryption(each, item["id"], spec.name)
        except BaseException:
            self.delete(each["id"] for each in made)
            raise
        return made

    def _create(self, spec: Spec, wanted: VolumeSpec, image: Image) -> dict[str, Any]:
        device = wanted.device or shapes.ROOT
        body: dict[str, Any] = {
            "name": spec.name,
            "size": wanted.size_gib,
            "metadata": {TAG_PROJECT: spec.project, TAG_NAME: spec.name, shapes.META_DEVICE: device},
        }
        if wanted.device is None:
            body["imageRef"] = image.id
        if wanted.type:
            body["volume_type"] = wanted.type
        answer = self._os.post("volume", "/volumes", {"volume": body})
        given = spec.root_volume.delete_with_instance if wanted.device is None and spec.root_volume else None
        delete = given if wanted.device is None else wanted.delete_with_instance
        # As on EC2: a root disk goes with its instance, data stays.
        return {
            "id": answer["volume"]["id"],
            "device": device,
            "delete": wanted.device is None if delete is None else delete,
        }

    def _wait(self, volume_id: str, name: str, state: str = "available") -> dict[str, Any]:
        deadline = time.monotonic() + READY_TIMEOUT
        pause = 0.3
        while True:
            item: dict[str, Any] = self._os.get("volume", f"/volumes/{volume_id}")["volume"]
            if item["status"] == state:
                return item
            if item["status"].startswith("error"):
                raise CloudFailure(
                    f"OpenStack could not make the volume {volume_id} of {name}: check its size, its type and the "
                    "free space of the cloud's storage, and run again."
                )
            if time.monotonic() > deadline:
                raise TimedOut(f"The volume {volume_id} of {name} is still {item['status']}: run again later.")
            time.sleep(pause)
            pause = min(pause * 1.5, _MOST_PAUSE)

    def _check_encryption(self, wanted: VolumeSpec, volume_id: str, name: str) -> None:
        if not wanted.encrypted:
            return
        if not self._os.get("volume", f"/volumes/{volume_id}")["volume"].get("encrypted"):
            raise Refused(
                f"The volume of {name} would not be encrypted: on OpenStack the volume type decides, so give the name "
                "of an encrypted one as type, or leave encrypted out."
            )

    def details(self, ids: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        if not ids:
            return {}
        items = self._os.pages("volume", "/volumes/detail", "volumes")
        return {item["id"]: item for item in items if item["id"] in set(ids)}

    def of_project(self, project: str) -> list[Resource]:
        items = self._os.pages("volume", "/volumes/detail", "volumes")
        return [
            Resource("volume", item["id"], str(item["metadata"].get(TAG_NAME, "")), item["status"])
            for item in items
            if (item.get("metadata") or {}).get(TAG_PROJECT) == project and item["status"] != "deleting"
        ]

    def grow(self, volume_id: str, size_gib: int) -> None:
        self._os.post("volume", f"/volumes/{volume_id}/action", {"os-extend": {"new_size": size_gib}})

    def retype(self, volume_id: str, kind: str) -> None:
        body = {"os-retype": {"new_type": kind, "migration_policy": "on-demand"}}
        self._os.post("volume", f"/volumes/{volume_id}/action", body)

    def delete(self, ids: Iterable[str]) -> None:
        together(self._delete, list(ids))

    def _delete(self, volume_id: str) -> None:
        """Delete a volume, waiting for a server that is just letting go of it."""
        deadline = time.monotonic() + 60.0
        pause = 0.3
        while True:
            try:
                self._os.attempt("DELETE", "volume", f"/volumes/{volume_id}")
                return
            except RefusedCall as refused:
                if refused.status == 404:
                    return
                # The status of the volume is in the way: in-use, detaching, creating, or deleting already.
                if refused.status != 400 or time.monotonic() > deadline:
                    raise refused.explain() from refused
            try:
                if self._os.attempt("GET", "volume", f"/volumes/{volume_id}")["volume"]["status"] == "deleting":
                    return
            except RefusedCall as refused:
                if refused.status == 404:
                    return
                raise refused.explain() from refused
            time.sleep(pause)
            pause = min(pause * 1.5, _MOST_PAUSE)
