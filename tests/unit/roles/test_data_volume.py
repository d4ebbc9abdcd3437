# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A data volume is found by its ID, and a disk of the host is never taken for one."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROLE = Path(__file__).parents[3] / "roles/jupyter"
EBS = "nvme-Amazon_Elastic_Block_Store_vol0123456789abcdef0"
STORE = "nvme-Amazon_EC2_NVMe_Instance_Storage_AWS22A7E46CA0AB6F4E5"
CINDER = "7d3f0a52-6a1e-4d0c-9a54-2f1b6c5d8e90"
VIRTIO = f"virtio-{CINDER[:20]}"
SCSI = f"scsi-0QEMU_QEMU_HARDDISK_{CINDER[::-1]}"
REFUSED = "is an instance store, a disk of the host"
ASKED = {"device": "/dev/sdf"}
KNOWN = [{"id": "vol-0fedcba9876543210", "device": "/dev/sdg"}, {"id": "vol-0123456789abcdef0", "device": "/dev/sdf"}]


# A case by its name: the role's option, the volumes that the cloud knows, and the device in the folder or the message.
CASES: dict[str, tuple[dict[str, Any], list[dict[str, str]], str]] = {
    "ebs-by-the-device-that-was-asked-for": (ASKED, KNOWN, f"by-id/{EBS}"),
    "ebs-by-id": ({"id": "vol-0123456789abcdef0"}, [], f"by-id/{EBS}"),
    "ebs-by-id-although-a-device-is-named": ({**ASKED, "id": "vol-0123456789abcdef0"}, [], f"by-id/{EBS}"),
    "cinder-on-virtio-blk": ({"device": "/dev/vdb"}, [{"id": CINDER, "device": "/dev/vdb"}], f"by-id/{VIRTIO}"),
    "cinder-on-virtio-scsi": ({"device": "/dev/sdb"}, [{"id": CINDER[::-1], "device": "/dev/sdb"}], f"by-id/{SCSI}"),
    "another-device": ({"device": "FOLDER/nvme2n1"}, KNOWN, "nvme2n1"),
    "store": ({"device": "FOLDER/nvme1n1"}, KNOWN, REFUSED),
    "partition-of-a-store": ({"device": "FOLDER/nvme1n1p1"}, KNOWN, REFUSED),
    "store-by-its-link": ({"device": f"FOLDER/by-id/{STORE}"}, KNOWN, REFUSED),
    "store-by-the-link-of-a-partition": ({"device": f"FOLDER/by-id/{STORE}-part1"}, KNOWN, REFUSED),
    "an-id-that-is-not-there": ({"id": "vol-0bad"}, [], "The volume vol-0bad is not on an-id-that-is-not-there"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Links as udev makes them: of a root, a disk of the host, and a volume on a Nitro machine, and those of Cinder."""
    folder = tmp_path_factory.mktemp("dev")
    links = folder / "by-id"
    links.mkdir()
    for number, name in enumerate(("nvme-Amazon_Elastic_Block_Store_vol0fedcba9876543210", STORE, EBS)):
        device = folder / f"nvme{number}n1"
        device.touch()
        (folder / f"{device.name}p1").touch()
        (links / name).symlink_to(device)
        (links / f"{name}-part1").symlink_to(f"{device}p1")
        (links / f"{name}_1").symlink_to(device)
    for name in (VIRTIO, SCSI):
        (links / name).symlink_to(folder / "nvme2n1")
    return folder


@pytest.fixture(scope="module")
def said(folder: Path) -> dict[str, str]:
    """What the role's tasks say for each case, in one run: the device that they chose, or why they refused one."""
    own = yaml.safe_load((ROLE / "vars/main.yml").read_text())
    variables = {name: value for name, value in own.items() if re.search("disk|store_|volume|device|mount", name)}
    variables["__jupyter_disks"] = str(folder / "by-id")
    tasks = [
        {"ansible.builtin.include_tasks": str(ROLE / "tasks/disk.yml")},
        {"ansible.builtin.debug": {"msg": "chosen: {{ __jupyter_disk }} for {{ __jupyter_mount }}."}},
    ]
    (folder / "play.yml").write_text(
        json.dumps([{"hosts": "all", "gather_facts": False, "vars": variables, "tasks": tasks}])
    )
    hosts = {
        name: {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "jupyter_data_volume": {key: value.replace("FOLDER", str(folder)) for key, value in volume.items()},
            "jupyter_known_volumes": known,
        }
        for name, (volume, known, _expected) in CASES.items()
    }
    (folder / "hosts.json").write_text(json.dumps({"all": {"hosts": hosts}}))
    command = ["ansible-playbook", "--check", "-i", str(folder / "hosts.json"), str(folder / "play.yml")]
    # Other tests import Molecule, which turns colours on for all that follows.
    environment = {**os.environ, "ANSIBLE_PIPELINING": "true", "ANSIBLE_FORKS": "12", "ANSIBLE_FORCE_COLOR": "false"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    output = " ".join(done.stdout.split())  # Ansible wraps its lines
    end = r"(?= (?:ok|fatal|skipping|changed): \[| TASK \[| PLAY |$)"
    return {name: " ".join(re.findall(rf"\[{name}\][^=]*=> (.*?){end}", output)) for name in CASES}


@pytest.mark.parametrize("case", CASES)
def test_a_volume_is_found_by_its_id_and_a_disk_of_the_host_is_refused(
    folder: Path, said: dict[str, str], case: str
) -> None:
    expected = CASES[case][2]
    chosen = f"chosen: {folder / expected} for /srv/notebooks." if " " not in expected else expected
    assert chosen in said[case]
