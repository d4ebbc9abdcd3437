# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Spot requests behind instances that RunInstances bought on the spot market."""

from __future__ import annotations

from typing import Any

from moto.core.utils import utcnow
from moto.ec2.models.spot_requests import SpotInstanceRequest
from moto.ec2.utils import random_spot_request_id

from .models import SandboxInstance


class SpotRequest(SpotInstanceRequest):  # type: ignore[misc]
    """A one-time request, fulfilled at once. moto's own would launch an instance itself."""

    _instance: SandboxInstance

    @classmethod
    def fulfilled(cls, instance: SandboxInstance, price: str | None, tags: dict[str, str]) -> None:
        """Record the request an instance came from."""
        request = cls.__new__(cls)
        request._instance = instance
        backend = instance.ec2_backend
        SpotInstanceRequest.__init__(
            request,
            backend,
            spot_request_id=random_spot_request_id(),
            price=price or "",
            image_id=instance.image_id,
            spot_instance_type="one-time",
            valid_from=None,
            valid_until=None,
            launch_group=None,
            availability_zone_group=None,
            key_name=instance.key_name,
            security_groups=[group.id for group in instance.security_groups],
            user_data=None,
            instance_type=instance.instance_type,
            placement=instance.availability_zone,
            kernel_id=None,
            ramdisk_id=None,
            monitoring_enabled=False,
            subnet_id=instance.subnet_id,
            tags={"spot-instances-request": tags},
            spot_fleet_id=None,
            instance_interruption_behaviour="terminate",
        )
        request.created = utcnow()
        instance.lifecycle = "spot"
        instance.spot_instance_request_id = request.id
        backend.spot_instance_requests[request.id] = request

    def launch_instance(self) -> SandboxInstance:
        return self._instance

    @property
    def create_time(self) -> Any:
        return self.created

    @property
    def state(self) -> str:
        over = self._instance.state_name in {"shutting-down", "terminated"}
        return "closed" if over else "active"

    @state.setter
    def state(self, value: str) -> None:
        """moto sets it; ours follows the instance."""

    @property
    def status(self) -> dict[str, Any]:
        over = self.state == "closed"
        code = "instance-terminated-by-user" if over else "fulfilled"
        return {"Code": code, "Message": code.replace("-", " "), "UpdateTime": self.created}
