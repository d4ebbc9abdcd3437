# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""cinder's volume driver: volumes are the disks of the sandbox's guests, made when a guest first has them."""

from __future__ import annotations

import io
import os
import time
from pathlib import Path
from typing import Any

from cinder import exception
from cinder.volume import driver
from oslo_config import cfg

from tests.sandbox.client import MachinesClient
from tests.sandbox.errors import SandboxError

from ..layout import HOLD_VOLUMES
from . import trees

_CAPACITY_GIB = 100_000


class VolumeDriver(driver.VolumeDriver):  # type: ignore[misc]
    """A volume is named by its id. One made from an image is a root disk, another a data disk, empty at first."""

    VERSION = "1.0"
    SUPPORTED = True

    def do_setup(self, context: Any) -> None:
        self._machines = MachinesClient(os.environ["HAVEN_MACHINES_SOCKET"])

    def check_for_setup_error(self) -> None:
        """What is wrong with a socket shows when it is used."""

    def create_volume(self, volume: Any) -> None:
        """The first guest that has it makes it. As long as a test holds them, volumes stay in `creating`."""
        while Path(cfg.CONF.state_path).with_name(HOLD_VOLUMES).exists():
            time.sleep(0.1)

    def delete_volume(self, volume: Any) -> None:
        try:
            self._machines.delete_volume(volume.id)
        except SandboxError as error:
            raise exception.VolumeIsBusy(volume_name=volume.name) from error

    def extend_volume(self, volume: Any, new_size: int) -> None:
        """The next guest that has it finds the size it was told; nova tells the one that has it now."""

    def create_snapshot(self, snapshot: Any) -> None:
        self._copy(snapshot.volume_id, snapshot.id)

    def delete_snapshot(self, snapshot: Any) -> None:
        self._machines.delete_volume(snapshot.id)

    def create_volume_from_snapshot(self, volume: Any, snapshot: Any) -> None:
        self._copy(snapshot.id, volume.id)

    def create_cloned_volume(self, volume: Any, src_vref: Any) -> None:
        self._copy(src_vref.id, volume.id)

    def clone_image(
        self, context: Any, volume: Any, image_location: Any, image_meta: Any, image_service: Any
    ) -> tuple[dict[str, Any], bool]:
        self.copy_image_to_volume(context, volume, image_service, image_meta["id"])
        return {}, True

    def copy_image_to_volume(
        self, context: Any, volume: Any, image_service: Any, image_id: str, disable_sparse: bool = False
    ) -> None:
        data = io.BytesIO()
        image_service.download(context, image_id, data)
        try:
            self._machines.create_volume(volume.id, trees.tree_of(data.getvalue()))
        except (SandboxError, ValueError) as error:
            raise exception.ImageUnacceptable(image_id=image_id, reason=str(error)) from error

    def copy_volume_to_image(self, context: Any, volume: Any, image_service: Any, image_meta: Any) -> None:
        tree = trees.of_snapshot(image_meta["id"])
        self._copy(volume.id, tree)
        image_service.update(context, image_meta["id"], {}, io.BytesIO(trees.content(tree)))

    def ensure_export(self, context: Any, volume: Any) -> None:
        """Guests and volumes are on one host."""

    def create_export(self, context: Any, volume: Any, connector: Any) -> None:
        """Guests and volumes are on one host."""

    def remove_export(self, context: Any, volume: Any) -> None:
        """Guests and volumes are on one host."""

    def initialize_connection(self, volume: Any, connector: Any, **more: Any) -> dict[str, Any]:
        return {"driver_volume_type": "haven", "data": {"volume_id": volume.id, "size_gib": volume.size}}

    def terminate_connection(self, volume: Any, connector: Any, **more: Any) -> None:
        """nova has told the guest."""

    def get_volume_stats(self, refresh: bool = False) -> dict[str, Any]:
        name = self.configuration.safe_get("volume_backend_name") or "haven"
        pool = {
            "pool_name": name,
            "total_capacity_gb": _CAPACITY_GIB,
            "free_capacity_gb": _CAPACITY_GIB,
            "allocated_capacity_gb": 0,
            "reserved_percentage": 0,
            "max_over_subscription_ratio": 20,
            "thin_provisioning_support": True,
            "online_extend_support": True,
            "multiattach": False,
        }
        return {
            "volume_backend_name": name,
            "vendor_name": "haven",
            "driver_version": self.VERSION,
            "storage_protocol": "haven",
            "pools": [pool],
        }

    def _copy(self, name: str, copy: str) -> None:
        try:
            self._machines.copy_volume(name, copy)
        except SandboxError as error:
            raise exception.VolumeBackendAPIException(data=str(error)) from error
