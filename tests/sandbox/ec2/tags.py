# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tags: AWS's limits, and none left behind by what is gone."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, ClassVar

from moto.core.responses import ActionResult
from moto.ec2.responses.tags import TagResponse

from .cloud import Cloud
from .models import error

MOST = 50
KEY_LENGTH = 128
VALUE_LENGTH = 256


def check(tags: dict[str, str]) -> None:
    """Raises what AWS answers for tags that cannot be."""
    if len(tags) > MOST:
        raise error("TagLimitExceeded", "The maximum number of Tags for a resource has been reached.")
    for key, value in tags.items():
        if not key or len(key) > KEY_LENGTH:
            raise error(
                "InvalidParameterValue",
                f"Tag key exceeds the maximum length of {KEY_LENGTH} characters, or is empty",
            )
        if key.lower().startswith("aws:"):
            raise error("InvalidParameterValue", "Tag keys starting with 'aws:' are reserved for internal use")
        if len(value or "") > VALUE_LENGTH:
            raise error("InvalidParameterValue", f"Tag value exceeds the maximum length of {VALUE_LENGTH} characters")


def check_specifications(specifications: dict[str, dict[str, str]], allowed: Collection[str]) -> None:
    """Tags given at creation: their own limits, and only for what this call creates."""
    for kind, tags in specifications.items():
        if kind not in allowed:
            raise error("InvalidParameterValue", f"'{kind}' is not a valid taggable resource type for this operation.")
        check(tags)


def _gone(backend: Any, ids: Iterable[str]) -> list[str]:
    """Which of these ids name nothing any more, of the kinds a project makes; other kinds are taken to be there."""
    kinds: dict[str, Any] = {
        "vol": backend.volumes,
        "key": {pair.id for pair in backend.key_pairs.values()},
        "sg": {group_id for groups in backend.groups.values() for group_id in groups},
        "eni": backend.enis,
        "snap": backend.snapshots,
        "ami": backend.amis,
    }
    return [id for id in ids if id not in kinds.get(id.partition("-")[0], {id})]


class Tags(TagResponse):  # type: ignore[misc]
    """moto's answers about tags, corrected."""

    cloud: ClassVar[Cloud]

    def create_tags(self) -> Any:
        wanted = {tag["Key"]: tag.get("Value") or "" for tag in self._get_param("Tags", [])}
        check(wanted)
        ids = self._get_param("Resources", [])
        for id in ids:
            if id.startswith("i-"):
                self.ec2_backend.get_instance(id)
        for id in _gone(self.ec2_backend, ids):
            kind = {"vol": "InvalidVolume", "sg": "InvalidGroup", "key": "InvalidKeyPair"}.get(id.partition("-")[0])
            raise error(f"{kind or 'InvalidID'}.NotFound", f"The ID '{id}' does not exist")
        self.params["Tags"] = [{"Key": key, "Value": value} for key, value in wanted.items()]
        return super().create_tags()

    def describe_tags(self) -> Any:
        found = super().describe_tags().result["Tags"]
        gone = set(_gone(self.ec2_backend, {tag["resource_id"] for tag in found}))
        return ActionResult({"Tags": [tag for tag in found if tag["resource_id"] not in gone]})
