# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Volumes on OpenStack. They are created with cinder, because those that nova creates carry no metadata."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Optional

from ..._errors import CloudFailure, HavenError, InvalidRequest, Refused, TimedOut
from ..._models import Image, Resource, Spec, VolumeSpec
from ..._ownership import TAG_NAME, TAG_PROJECT
from ..._progress import progress
from ..._retry import together
from . import shapes
from .client import Connection, RefusedCall

# Seconds within which a volume is created, including the copy of an image.
READY_TIMEOUT = 600.0
# Seconds within which a server that is being deleted releases its volumes.
RELEASE_TIMEOUT = 60.0
_MOST_PAUSE = 2.0


def boots_from_volume(spec: Spec) -> bool:
    """Whether the root disk is a volume, because it is requested or necessary. Pure."""
    asked = spec.options.get("boot_from_volume")
    root = spec.root_volume or VolumeSpec()
    needed = any((root.size_gib, root.type, root.encrypted, root.delete_with_instance is False))
    if needed and asked is False:
        raise InvalidRequest(
            f"The root_volume of {spec.name} needs a volume to boot from: leave openstack.boot_from_volume out, or "
            "leave out root_volume and take the disk of the flavor."
        )
    return bool(needed if asked is None else asked)


def _goes_with_instance(wanted: VolumeSpec) -> bool:
    """As on EC2: the root disk is deleted with its instance, data disks are kept."""
    return wanted.device is None if wanted.delete_with_instance is None else wanted.delete_with_instance


def _chosen(volume_id: str, wanted: VolumeSpec, *, new: bool) -> dict[str, Any]:
    """A volume for a new server. new: created now, so that it can be deleted if the server cannot be created."""
    device = wanted.device or shapes.ROOT
    return {"id": volume_id, "device": device, "delete": _goes_with_instance(wanted), "new": new}


def _fits(item: Mapping[str, Any], wanted: VolumeSpec, image: Image) -> bool:
    """Whether an unused volume of this name matches the requested one."""
    metadata = item.get("metadata") or {}
    if shapes.volume_mark(item)[2] != (wanted.device or shapes.ROOT) or item["size"] > (wanted.size_gib or 0):
        return False
    if wanted.type and wanted.type != item.get("volume_type"):
        return False
    if wanted.encrypted and not item.get("encrypted"):
        return False
    if wanted.device is None:
        return metadata.get(shapes.META_IMAGE) == image.id and metadata.get(shapes.META_KEPT) == "false"
    return True


def _is_available(item: Mapping[str, Any]) -> bool:
    return bool(item["status"] == "available")


class Volumes:
    """Creates, finds, changes, and deletes volumes."""

    def __init__(self, connection: Connection) -> None:
        self._os = connection

    def create(self, spec: Spec, image: Image, image_size: int, creation: str) -> list[dict[str, Any]]:
        """Return the volumes of a new instance, ready to attach, as id, device, delete, and new.

        An unused volume with the mark of the same device is used instead of a new one: it was left behind by an
        interrupted creation, or by a deleted instance, with its data. A failure leaves no new volume behind.
        ``creation`` marks this attempt.
        """
        wanted = list(spec.data_volumes)
        if boots_from_volume(spec):
            root = spec.root_volume or VolumeSpec()
            size = root.size_gib or image_size
            wanted.insert(0, VolumeSpec(None, size, root.type, root.encrypted, root.delete_with_instance))
        if not wanted:
            return []
        made: list[dict[str, Any]] = []
        try:
            spare = self._spare(spec)
            for each in wanted:
                made.append(self._take(each, image, spare) or self._create(spec, each, image, creation))
            together(lambda item: self._wait(item["id"], spec.name), made)
            for each, item in zip(wanted, made):
                self._check_encryption(each, item["id"], spec.name)
        except TimedOut:
            # What is being created cannot be deleted, and the next run uses it.
            raise
        except BaseException:
            # It carries the mark of the project, so the next run finds it if this fails.
            with contextlib.suppress(HavenError):
                self.delete(each["id"] for each in made if each["new"])
            raise
        return made

    def _spare(self, spec: Spec) -> list[dict[str, Any]]:
        """The unused volumes of this name, the newest first."""
        found = [
            item
            for item in self._os.pages("volume", "/volumes/detail", "volumes")
            if shapes.volume_mark(item)[:2] == (spec.project, spec.name) and item["status"] in ("available", "creating")
        ]
        return sorted(found, key=lambda item: (str(item.get("created_at")), str(item["id"])), reverse=True)

    def _take(self, wanted: VolumeSpec, image: Image, spare: list[dict[str, Any]]) -> Optional[dict[str, Any]]:
        """Return an unused volume for a device, enlarged if it is too small, or None."""
        for item in spare:
            if _fits(item, wanted, image):
                spare.remove(item)
                if item["size"] < (wanted.size_gib or 0):
                    self._wait(item["id"], str(item["name"]))
                    self.grow(item["id"], wanted.size_gib or 0)
                return _chosen(item["id"], wanted, new=False)
        return None

    def _create(self, spec: Spec, wanted: VolumeSpec, image: Image, creation: str) -> dict[str, Any]:
        metadata = {TAG_PROJECT: spec.project, TAG_NAME: spec.name, shapes.META_DEVICE: wanted.device or shapes.ROOT}
        metadata[shapes.META_CREATION] = creation
        body: dict[str, Any] = {"name": spec.name, "size": wanted.size_gib, "metadata": metadata}
        if wanted.device is None:
            body["imageRef"] = image.id
            metadata[shapes.META_IMAGE] = image.id
            # One that outlived its instance contains a system and data, so it cannot be used as a blank one.
            metadata[shapes.META_KEPT] = str(not _goes_with_instance(wanted)).lower()
        if wanted.type:
            body["volume_type"] = wanted.type

        def look() -> Optional[Mapping[str, Any]]:
            items = self._os.pages("volume", "/volumes/detail", "volumes")
            return next(
                ({"volume": item} for item in items if metadata.items() <= (item.get("metadata") or {}).items()), None
            )

        try:
            answer = self._os.make("volume", "/volumes", {"volume": body}, look)
        except RefusedCall as refused:
            raise refused.explain() from refused
        return _chosen(answer["volume"]["id"], wanted, new=True)

    def _wait(
        self,
        volume_id: str,
        name: str,
        ready: Callable[[Mapping[str, Any]], bool] = _is_available,
        doing: str = "create",
    ) -> dict[str, Any]:
        deadline = self._os.deadline.within(READY_TIMEOUT)
        pause = 0.3
        while True:
            item: dict[str, Any] = self._os.get("volume", f"/volumes/{volume_id}")["volume"]
            if ready(item):
                return item
            if item["status"].startswith("error"):
                raise CloudFailure(
                    f"OpenStack could not {doing} the volume {volume_id} of {name}: check its size, its type and the "
                    "free space of the cloud's storage, and run again."
                )
            if deadline.over:
                raise TimedOut(
                    f"The volume {volume_id} of {name} is still {item['status']}. It is "
                    "kept, and used when you run this again, later or with a longer wait_timeout."
                )
            progress.known(f"the volume {volume_id} of {name} is {item['status']}")
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
            Resource(
                "volume", item["id"], shapes.volume_mark(item)[1], item["status"], used=bool(item.get("attachments"))
            )
            for item in items
            if shapes.volume_mark(item)[0] == project and item["status"] != "deleting"
        ]

    def keep(self, volume_id: str, kept: bool) -> None:
        """Record whether a root disk outlives its instance."""
        body = {"metadata": {shapes.META_KEPT: str(kept).lower()}}
        self._os.call("POST", "volume", f"/volumes/{volume_id}/metadata", body, harmless=True)

    def grow(self, volume_id: str, size_gib: int) -> None:
        """Enlarge it, and wait for that: until then it has its former size, and the next run would ask once more."""
        self._os.post("volume", f"/volumes/{volume_id}/action", {"os-extend": {"new_size": size_gib}})

        def grown(item: Mapping[str, Any]) -> bool:
            return bool(item["size"] >= size_gib and item["status"] != "extending")

        self._wait(volume_id, "its instance", grown, doing="enlarge")

    def retype(self, volume_id: str, kind: str) -> None:
        body = {"os-retype": {"new_type": kind, "migration_policy": "on-demand"}}
        self._os.post("volume", f"/volumes/{volume_id}/action", body)

    def delete(self, ids: Iterable[str]) -> None:
        together(self._delete, list(ids))

    def delete_unused(self, ids: Collection[str]) -> None:
        """Delete those that no server uses."""
        items = self._os.pages("volume", "/volumes/detail", "volumes") if ids else []
        free = ("available", "creating", "error")
        self.delete(str(item["id"]) for item in items if item["id"] in ids and item["status"] in free)

    def _delete(self, volume_id: str) -> None:
        """Delete a volume, after waiting for a server that is releasing it."""
        deadline = self._os.deadline.within(RELEASE_TIMEOUT)
        pause = 0.3
        while True:
            try:
                self._os.attempt("DELETE", "volume", f"/volumes/{volume_id}")
                return
            except RefusedCall as refused:
                if refused.status == 404:
                    return
                # The status of the volume prevents it: in-use, detaching, creating, or already deleting.
                if refused.status != 400 or deadline.over:
                    raise refused.explain() from refused
            try:
                if self._os.attempt("GET", "volume", f"/volumes/{volume_id}")["volume"]["status"] == "deleting":
                    return
            except RefusedCall as refused:
                if refused.status == 404:
                    return
                raise refused.explain() from refused
            progress.known(f"the volume {volume_id} is still in use")
            time.sleep(pause)
            pause = min(pause * 1.5, _MOST_PAUSE)
