# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""nova's virt driver: its servers are guests of the sandbox.

Nothing is kept in here: what there is, the supervisor knows, so that nova finds its servers again after a restart.
Tests ask for failures with a server's metadata `sandbox:fail`: see README.md.
"""
# ruff: noqa: PLR0917 - the signatures are nova's

from __future__ import annotations

import base64
import io
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import os_resource_classes as orc
from nova import exception, objects
from nova.compute import power_state, task_states, vm_states
from nova.conf import CONF
from nova.image import glance
from nova.objects import fields
from nova.virt import driver, hardware
from oslo_utils import uuidutils

from tests.sandbox.client import MachinesClient
from tests.sandbox.errors import NoSuchMachineError, SandboxError

from . import trees

# More than any test asks for, so that flavors and quotas are what runs out; no guest gets more than this machine has.
_VCPUS, _MEMORY_MB, _DISK_GB = 1000, 800_000, 600_000
_GPUS = 4
_FAIL = "sandbox:fail"
_LOOK_EVERY_S = 0.5

_POWER_STATES = {
    "booting": power_state.RUNNING,
    "ready": power_state.RUNNING,
    "suspended": power_state.SUSPENDED,
    "stopped": power_state.SHUTDOWN,
    "failed": power_state.CRASHED,
}


@contextmanager
def _faults() -> Iterator[None]:
    """What the supervisor refuses, in nova's words."""
    try:
        yield
    except NoSuchMachineError as error:
        raise exception.InstanceNotFound(str(error)) from error
    except SandboxError as error:
        raise exception.NovaException(str(error)) from error


class GuestDriver(driver.ComputeDriver):  # type: ignore[misc]
    """One host with room for everything and four GPUs; each instance is a guest, whose id is the instance's."""

    capabilities = {  # noqa: RUF012 - nova's way
        **driver.ComputeDriver.capabilities,
        "has_imagecache": True,
        "supports_migrate_to_same_host": True,
        "supports_extend_volume": True,
        "supports_image_type_raw": True,
    }

    def __init__(self, virtapi: Any) -> None:
        super().__init__(virtapi)
        self._machines = MachinesClient(os.environ["HAVEN_MACHINES_SOCKET"])

    # The host

    def init_host(self, host: str) -> None:
        """There is nothing to prepare."""

    def get_available_nodes(self, refresh: bool = False) -> list[str]:
        return [CONF.host]

    def get_host_ip_addr(self) -> str:
        return str(CONF.my_ip)

    def get_available_resource(self, nodename: str) -> dict[str, Any]:
        architecture = fields.Architecture.canonicalize(os.uname().machine)
        return {
            "hypervisor_type": "haven",
            "hypervisor_version": 1,
            "hypervisor_hostname": nodename,
            "vcpus": _VCPUS,
            "memory_mb": _MEMORY_MB,
            "local_gb": _DISK_GB,
            "vcpus_used": 0,
            "memory_mb_used": 0,
            "local_gb_used": 0,
            "disk_available_least": _DISK_GB,
            "cpu_info": json.dumps({"arch": architecture}),
            "supported_instances": [(architecture, fields.HVType.LXC, fields.VMMode.EXE)],
            "numa_topology": None,
            "pci_passthrough_devices": json.dumps([_gpu(number) for number in range(_GPUS)]),
        }

    def update_provider_tree(self, provider_tree: Any, nodename: str, allocations: Any = None) -> None:
        ratios = self._get_allocation_ratios(provider_tree.data(nodename).inventory)
        totals = {orc.VCPU: _VCPUS, orc.MEMORY_MB: _MEMORY_MB, orc.DISK_GB: _DISK_GB}
        inventory = {name: _inventory(total, total, ratios[name]) for name, total in totals.items()}
        inventory[orc.VGPU] = _inventory(_GPUS, 1, 1.0)
        provider_tree.update_inventory(nodename, inventory)

    def manage_image_cache(self, context: Any, all_instances: Any) -> None:
        """Remove the trees of snapshots whose image was deleted."""
        for tree in self._machines.call("snapshots"):
            image_id = trees.image_of_snapshot(tree)
            if image_id and not _image_exists(context, image_id):
                self._machines.delete_volume(tree)

    # What there is

    def list_instance_uuids(self) -> list[str]:
        """The gate's guest and those of another cloud in the same sandbox are not ours: their ids are no UUIDs."""
        return [guest["id"] for guest in self._machines.call("list") if uuidutils.is_uuid_like(guest["id"])]

    def list_instances(self) -> list[str]:
        return self.list_instance_uuids()

    def instance_exists(self, instance: Any) -> bool:
        return self._machines.state(instance.uuid) != "absent"

    def get_info(self, instance: Any, use_cache: bool = True) -> hardware.InstanceInfo:
        with _faults():
            state = self._machines.state(instance.uuid)
        if state == "absent":
            raise exception.InstanceNotFound(instance_id=instance.uuid)
        if state == "suspended" and (instance.vm_state == vm_states.PAUSED or instance.task_state == "pausing"):
            return hardware.InstanceInfo(state=power_state.PAUSED)
        return hardware.InstanceInfo(state=_POWER_STATES[state])

    def get_console_output(self, context: Any, instance: Any) -> bytes:
        with _faults():
            return self._machines.console(instance.uuid).encode()

    # Coming and going

    def spawn(
        self,
        context: Any,
        instance: Any,
        image_meta: Any,
        injected_files: Any,
        admin_password: Any,
        allocations: Any,
        network_info: Any = None,
        block_device_info: Any = None,
        power_on: bool = True,
        accel_info: Any = None,
    ) -> None:
        _fail_on_demand(context, instance)
        disks = driver.block_device_info_get_mapping(block_device_info)
        root = next((disk for disk in disks if disk["boot_index"] == 0), None)
        with _faults():
            self._machines.create(
                instance.uuid,
                "" if root else _tree(context, image_meta.id),
                _fixed_address(instance, network_info),
                base64.b64decode(instance.user_data or ""),
                [instance.key_data.strip()] if instance.key_data else [],
                instance.hostname,
                [_volume(disk["connection_info"], disk["mount_device"]) for disk in disks if disk is not root],
                root_volume=_data(root["connection_info"])["volume_id"] if root else "",
            )
            if power_on:
                self._machines.start(instance.uuid, "")

    def destroy(
        self,
        context: Any,
        instance: Any,
        network_info: Any,
        block_device_info: Any = None,
        destroy_disks: bool = True,
        destroy_secrets: bool = True,
    ) -> None:
        with _faults():
            if destroy_disks:
                # Volumes are cinder's to delete.
                self._machines.destroy(instance.uuid, keep_volumes=True)
            elif self._machines.state(instance.uuid) != "absent":
                self._machines.stop(instance.uuid, by_force=True)

    def cleanup(
        self,
        context: Any,
        instance: Any,
        network_info: Any,
        block_device_info: Any = None,
        destroy_disks: bool = True,
        migrate_data: Any = None,
        destroy_vifs: bool = True,
        destroy_secrets: bool = True,
    ) -> None:
        """destroy() left nothing."""

    def plug_vifs(self, instance: Any, network_info: Any) -> None:
        """A guest has its leg from its creation on."""

    def unplug_vifs(self, instance: Any, network_info: Any) -> None:
        """A guest's leg goes with it."""

    # On and off

    def power_on(
        self,
        context: Any,
        instance: Any,
        network_info: Any,
        block_device_info: Any = None,
        accel_info: Any = None,
        share_info: Any = None,
    ) -> None:
        with _faults():
            self._machines.start(instance.uuid, "")

    def power_off(self, instance: Any, timeout: int = 0, retry_interval: int = 0) -> None:
        """timeout: seconds nova grants the guest; none means at once."""
        with _faults():
            self._machines.stop(instance.uuid, by_force=not timeout)

    def reboot(
        self,
        context: Any,
        instance: Any,
        network_info: Any,
        reboot_type: str,
        block_device_info: Any = None,
        bad_volumes_callback: Any = None,
        accel_info: Any = None,
        share_info: Any = None,
    ) -> None:
        with _faults():
            self._machines.stop(instance.uuid, by_force=reboot_type == "HARD")
            self._machines.start(instance.uuid, "")

    def suspend(self, context: Any, instance: Any) -> None:
        with _faults():
            self._machines.suspend(instance.uuid)

    def resume(
        self, context: Any, instance: Any, network_info: Any, block_device_info: Any = None, share_info: Any = None
    ) -> None:
        with _faults():
            self._machines.resume(instance.uuid)

    def pause(self, instance: Any) -> None:
        with _faults():
            self._machines.suspend(instance.uuid)

    def unpause(self, instance: Any) -> None:
        with _faults():
            self._machines.resume(instance.uuid)

    def resume_state_on_host_boot(
        self, context: Any, instance: Any, network_info: Any, share_info: Any, block_device_info: Any = None
    ) -> None:
        with _faults():
            self._machines.start(instance.uuid, "")

    # Copies

    def snapshot(self, context: Any, instance: Any, image_id: str, update_task_state: Callable[..., None]) -> None:
        update_task_state(task_state=task_states.IMAGE_PENDING_UPLOAD)
        tree = trees.of_snapshot(image_id)
        with _faults():
            self._machines.snapshot(instance.uuid, tree)
        update_task_state(task_state=task_states.IMAGE_UPLOADING, expected_state=task_states.IMAGE_PENDING_UPLOAD)
        metadata = {"container_format": "bare", "disk_format": "raw", "properties": {"image_state": "available"}}
        glance.API().update(context, image_id, metadata, io.BytesIO(trees.content(tree)))

    # Another flavor, on the same host: the guest stays what it is, switched off and on as on a real move

    def migrate_disk_and_power_off(
        self,
        context: Any,
        instance: Any,
        dest: str,
        flavor: Any,
        network_info: Any,
        block_device_info: Any = None,
        timeout: int = 0,
        retry_interval: int = 0,
    ) -> str:
        self.power_off(instance, timeout)
        return ""

    def finish_migration(
        self,
        context: Any,
        migration: Any,
        instance: Any,
        disk_info: str,
        network_info: Any,
        image_meta: Any,
        resize_instance: bool,
        allocations: Any,
        block_device_info: Any = None,
        power_on: bool = True,
        share_info: Any = None,
    ) -> None:
        if power_on:
            self.power_on(context, instance, network_info)

    def confirm_migration(self, context: Any, migration: Any, instance: Any, network_info: Any) -> None:
        """There is no old guest to remove."""

    def finish_revert_migration(
        self,
        context: Any,
        instance: Any,
        network_info: Any,
        migration: Any,
        block_device_info: Any = None,
        power_on: bool = True,
        share_info: Any = None,
    ) -> None:
        if power_on:
            self.power_on(context, instance, network_info)

    def check_instance_shared_storage_local(self, context: Any, instance: Any) -> None:
        """Both ends of a move are this host: reverting one must not remove the disk."""

    # Volumes

    def default_root_device_name(self, instance: Any, image_meta: Any, root_bdm: Any) -> str:
        """What virtio makes of it on a real host; nova names the disks after it accordingly."""
        return "/dev/vda"

    def get_volume_connector(self, instance: Any) -> dict[str, Any]:
        return {"host": CONF.host, "ip": CONF.my_block_storage_ip, "multipath": False}

    def attach_volume(
        self,
        context: Any,
        connection_info: Any,
        instance: Any,
        mountpoint: str,
        disk_bus: Any = None,
        device_type: Any = None,
        encryption: Any = None,
    ) -> None:
        with _faults():
            self._machines.attach(instance.uuid, _volume(connection_info, mountpoint))

    def detach_volume(
        self, context: Any, connection_info: Any, instance: Any, mountpoint: str, encryption: Any = None
    ) -> None:
        try:
            self._machines.detach(instance.uuid, _data(connection_info)["volume_id"])
        except NoSuchMachineError:
            return  # it went before its volume was taken
        except SandboxError as error:
            raise exception.DeviceDetachFailed(device=mountpoint, reason=str(error)) from error

    def extend_volume(self, context: Any, connection_info: Any, instance: Any, requested_size: int) -> None:
        """requested_size: bytes."""
        info = {**connection_info, "data": {**_data(connection_info), "size_gib": requested_size >> 30}}
        with _faults():
            self._machines.attach(instance.uuid, _volume(info, ""))


def _gpu(number: int) -> dict[str, Any]:
    """An A100 as lspci would list it."""
    address = f"0000:{0x81 + number:02x}:00.0"
    return {
        "dev_id": f"pci_{address.replace(':', '_').replace('.', '_')}",
        "address": address,
        "vendor_id": "10de",
        "product_id": "20b5",
        "status": "available",
        "dev_type": "type-PCI",
        "parent_addr": None,
        "numa_node": 0,
        "label": "label_10de_20b5",
    }


def _inventory(total: int, most: int, ratio: float) -> dict[str, Any]:
    return {
        "total": total,
        "min_unit": 1,
        "max_unit": most,
        "step_size": 1,
        "allocation_ratio": ratio,
        "reserved": 0,
    }


def _fixed_address(instance: Any, network_info: Any) -> str:
    """The first IPv4 address of the first port; a guest has one leg."""
    for vif in network_info or []:
        for ip in vif.fixed_ips():
            if ip["version"] == 4:
                return str(ip["address"])
    raise exception.BuildAbortException(
        instance_uuid=instance.uuid, reason="a guest of the sandbox needs a port with an IPv4 address"
    )


def _tree(context: Any, image_id: str) -> str:
    data = b"".join(glance.API().download(context, image_id) or ())
    try:
        return trees.tree_of(data)
    except ValueError as error:
        raise exception.ImageUnacceptable(image_id=image_id, reason=str(error)) from error


def _image_exists(context: Any, image_id: str) -> bool:
    try:
        found: dict[str, Any] = glance.API().get(context, image_id, show_deleted=False)
    except exception.ImageNotFound:
        return False
    return found["status"] not in {"deleted", "pending_delete"}


def _data(connection_info: Any) -> dict[str, Any]:
    data: dict[str, Any] = connection_info["data"]
    return data


def _volume(connection_info: Any, mountpoint: str) -> dict[str, Any]:
    """A volume as Machines take it."""
    data = _data(connection_info)
    return {"name": data["volume_id"], "size_gib": data["size_gib"], "device": mountpoint}


def _fail_on_demand(context: Any, instance: Any) -> None:
    """What the server's metadata asks for."""
    demand = instance.metadata.get(_FAIL)
    if demand == "spawn":
        raise exception.NovaException("The hypervisor refused to start the guest, as the server's metadata demands.")
    if demand == "abort":
        raise exception.BuildAbortException(instance_uuid=instance.uuid, reason="the server's metadata demands it")
    kind, _, seconds = (demand or "").partition(":")
    if kind == "hang":
        _hang(context, instance.uuid, float(seconds or "inf"))


def _hang(context: Any, uuid: str, seconds: float) -> None:
    """Return after so many seconds; fail when the server is deleted, which waits for its build."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(_LOOK_EVERY_S)
        if objects.Instance.get_by_uuid(context, uuid).task_state == task_states.DELETING:
            raise exception.UnexpectedDeletingTaskStateError(
                instance_uuid=uuid, expected={"task_state": [task_states.SPAWNING]}, actual={"task_state": "deleting"}
            )
