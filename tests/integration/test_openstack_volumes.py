# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""cinder's volumes are the guests' disks: data disks, and root disks that outlive a server or go with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from openstack.exceptions import NotFoundException

from tests.integration.openstack_servers import Project
from tests.integration.sandbox_guests import wait_until

ROOT_GIB = 4  # no image asks for more
MOUNT = "sudo mount /dev/vdb /mnt && cat /mnt/note"


@contextmanager
def volume(project: Project, **options: Any) -> Iterator[Any]:
    """A volume that is available; deleted at the end."""
    storage = project.cloud.block_storage
    made = storage.create_volume(name=project.tag, **{"size": 1, **options})
    try:
        assert wait_until(lambda: storage.get_volume(made.id).status == "available", 60)
        yield made
    finally:
        assert wait_until(lambda: storage.get_volume(made.id).status == "available", 60)
        storage.delete_volume(made)
        assert wait_until(lambda: is_gone(project, made.id), 60)


def is_gone(project: Project, id: str) -> bool:
    try:
        project.cloud.block_storage.get_volume(id)
    except NotFoundException:
        return True
    return False


def mapping(id: str, source: str, boot_index: int, *, delete: bool) -> dict[str, Any]:
    made = {"uuid": id, "source_type": source, "destination_type": "volume", "delete_on_termination": delete}
    return {**made, "boot_index": boot_index, "volume_size": ROOT_GIB}


@pytest.mark.long
def test_a_volume_given_at_creation_keeps_its_data_for_the_next_server(project: Project) -> None:
    with volume(project) as disk:
        disks = [mapping(project.image.id, "image", 0, delete=True) | {"destination_type": "local"}]
        disks[0].pop("volume_size")
        disks.append(mapping(disk.id, "volume", -1, delete=False))
        with project.server(block_device_mapping=disks) as first:
            first.run(
                "sudo mkfs.ext4 -q /dev/vdb && sudo mount /dev/vdb /mnt && echo kept | sudo tee /mnt/note && sync"
            )
            assert disk.id[:20] in first.run("ls /dev/disk/by-id")
        with project.server(block_device_mapping=disks) as second:
            assert second.run(MOUNT) == "kept"


@pytest.mark.long
def test_a_volume_is_attached_to_a_stopped_server_and_grows_while_it_is_detached(project: Project) -> None:
    storage = project.cloud.block_storage
    with volume(project) as disk, project.server() as server:
        server.act("stop_server", status="SHUTOFF")
        for size in (1, 2):
            server.compute.create_volume_attachment(server.id, volume_id=disk.id, device="/dev/vdb")
            assert wait_until(lambda: storage.get_volume(disk.id).status == "in-use", 60)
            server.act("start_server", status="ACTIVE")
            server.await_guest()
            assert server.run("sudo blockdev --getsize64 /dev/vdb") == str(size << 30)
            server.act("stop_server", status="SHUTOFF")
            server.compute.delete_volume_attachment(server.id, disk.id)
            assert wait_until(lambda: storage.get_volume(disk.id).status == "available", 60)
            if size == 1:
                storage.extend_volume(disk, 2)
            assert wait_until(lambda: storage.get_volume(disk.id).status == "available", 60)


def test_a_volume_comes_grows_and_goes_while_the_server_runs(project: Project) -> None:
    storage = project.cloud.block_storage
    with volume(project) as disk, project.server() as server:
        server.compute.create_volume_attachment(server.id, volume_id=disk.id, device="/dev/vdb")
        assert wait_until(lambda: storage.get_volume(disk.id).status == "in-use", 60)
        server.run("sudo mkfs.ext4 -q /dev/vdb && sudo mount /dev/vdb /mnt")
        storage.extend_volume(disk, 2)
        assert wait_until(lambda: server.run("sudo blockdev --getsize64 /dev/vdb") == str(2 << 30), 60)
        assert wait_until(lambda: storage.get_volume(disk.id).status == "in-use", 60)
        server.run("sudo umount /mnt")
        server.compute.delete_volume_attachment(server.id, disk.id)
        assert wait_until(lambda: storage.get_volume(disk.id).status == "available", 60)
        assert server.ssh("test -e /dev/vdb")[0] != 0


@pytest.mark.parametrize("delete", [True, False])
@pytest.mark.long
def test_a_server_booted_from_a_volume_leaves_it_or_takes_it_along(project: Project, delete: bool) -> None:
    storage = project.cloud.block_storage
    disks = [mapping(project.image.id, "image", 0, delete=delete)]
    with project.server(image_id="", block_device_mapping=disks) as server:
        server.run("echo kept > note; sync")
        root = server.now().attached_volumes[0].id
        server.act("stop_server", status="SHUTOFF")
        server.act("start_server", status="ACTIVE")
        server.await_guest()
        assert server.run("cat note") == "kept"
    if delete:
        assert wait_until(lambda: is_gone(project, root), 60)
        return
    assert wait_until(lambda: storage.get_volume(root).status == "available", 60)
    disks = [mapping(root, "volume", 0, delete=True)]
    with project.server(image_id="", block_device_mapping=disks) as server:
        assert server.run("cat note") == "kept"
    assert wait_until(lambda: is_gone(project, root), 60)
