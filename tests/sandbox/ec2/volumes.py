# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes: growth only, attachments that make sense, tags at creation."""

from __future__ import annotations

from typing import Any, ClassVar

from moto.ec2.responses.elastic_block_store import ElasticBlockStore

from .cloud import Cloud
from .models import error
from .tags import check_specifications


class Volumes(ElasticBlockStore):  # type: ignore[misc]
    """moto's answers about volumes, corrected."""

    cloud: ClassVar[Cloud]

    def create_volume(self) -> Any:
        check_specifications(self._parse_tag_specification(), {"volume"})
        return super().create_volume()

    def modify_volume(self) -> Any:
        volume = self.ec2_backend.get_volume(self._get_param("VolumeId"))
        size = self._get_int_param("Size")
        if size is not None and size < int(volume.size):
            raise error("InvalidParameterValue", "New size cannot be smaller than existing size")
        answer = super().modify_volume()
        if volume.attachment and size is not None:
            blocks = volume.attachment.instance.block_device_mapping
            blocks[volume.attachment.device].size = volume.size
        return answer

    def attach_volume(self) -> Any:
        volume = self.ec2_backend.get_volume(self._get_param("VolumeId"))
        instance = self.ec2_backend.get_instance(self._get_param("InstanceId"))
        device = self._get_param("Device")
        if not device:
            raise error("MissingParameter", "The request must contain the parameter device")
        if volume.attachment:
            raise error("VolumeInUse", f"{volume.id} is already attached to an instance")
        if instance.state_name not in {"running", "stopped"}:
            raise error("IncorrectState", f"Instance '{instance.id}' is not 'running' or 'stopped'.")
        if volume.availability_zone != instance.availability_zone:
            raise error(
                "InvalidVolume.ZoneMismatch",
                f"The volume '{volume.id}' is not in the same availability zone as instance '{instance.id}'",
            )
        if device in instance.block_device_mapping:
            raise error(
                "InvalidParameterValue",
                f"Invalid value '{device}' for unixDevice. Attachment point {device} is already in use",
            )
        answer = super().attach_volume()
        self.cloud.disks_changed(instance)
        return answer

    def detach_volume(self) -> Any:
        volume = self.ec2_backend.get_volume(self._get_param("VolumeId"))
        if not volume.attachment:
            raise error("IncorrectState", f"Volume '{volume.id}' is in the 'available' state.")
        instance, device = volume.attachment.instance, volume.attachment.device
        if device == instance.root_device_name and instance.state_name != "stopped":
            raise error(
                "OperationNotPermitted", f"Unable to detach root volume '{volume.id}' from instance '{instance.id}'"
            )
        self.params["InstanceId"], self.params["Device"] = instance.id, device
        answer = super().detach_volume()
        self.cloud.disks_changed(instance)
        return answer

    def delete_volume(self) -> Any:
        answer = super().delete_volume()
        self.cloud.volume_deleted(self._get_param("VolumeId"))
        return answer
