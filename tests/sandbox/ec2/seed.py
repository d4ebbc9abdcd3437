# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the account holds before anybody calls: a user, a network, images, and the public parameters that name them."""

from __future__ import annotations

import fnmatch
import json
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from moto.core.utils import utcnow
from moto.ec2.models import ec2_backends
from moto.iam.models import iam_backends
from moto.ssm.models import Parameter, ssm_backends

from . import networks
from .environment import ACCOUNT
from .models import SandboxImage

USER = "sandbox"
SOMEBODY_ELSE = "210987654321"
DEBIAN_12 = "haven-debian-12-20260101"
DEBIAN_13 = "haven-debian-13-20260101"
PREPARED = "haven-debian-13-prepared-20260101"
CUDA = "haven-debian-12-cuda-20260101"
DEEP_LEARNING = "/aws/service/deeplearning/ami/x86_64/{}/latest/ami-id"


@dataclass(frozen=True)
class Image:
    """An image to seed. boots: the name of the machine image behind it. terms: as SandboxImage has it."""

    id: str
    name: str
    created: str
    boots: str
    owner: str = ACCOUNT
    architecture: str = "x86_64"
    terms: str = ""


IMAGES = (
    Image("ami-0debf12a20260101a", DEBIAN_12, "2026-01-01", "bookworm"),
    # Older, so that "the newest that matches" means something.
    Image("ami-0debf12a20250101a", "haven-debian-12-20250101", "2025-01-01", "bookworm"),
    Image("ami-0debf13a20260101a", DEBIAN_13, "2026-01-01", "trixie"),
    Image("ami-0c0da12a20260101a", CUDA, "2026-01-01", "bookworm-cuda"),
    Image("ami-0f1ed13a20260101a", PREPARED, "2026-01-01", "trixie-prepared"),
    Image("ami-069d0b10a20260101", "haven-ubuntu-gpu-20260101", "2026-01-01", "ubuntu-gpu"),
    Image("ami-069d0b10b20260101", "haven-ubuntu-gpu-prepared-20260101", "2026-01-01", "ubuntu-gpu-prepared"),
    Image("ami-0ab0a7e0a20260101", "haven-ubuntu-like-20260101", "2026-01-01", "ubuntu-like"),
    Image("ami-0ab0a7e0b20260101", "haven-ubuntu-like-slow-20260101", "2026-01-01", "ubuntu-like-slow"),
    Image("ami-0dee91ea020260101", "haven-deep-learning-image-20260101", "2026-01-01", "deep-learning-image"),
    Image("ami-0dee91ea220260101", "haven-deep-learning-image-free-20260101", "2026-01-01", "deep-learning-image-free"),
    Image("ami-0dee91ea120260101", "haven-deep-learning-image-slow-20260101", "2026-01-01", "deep-learning-image-slow"),
    Image("ami-0ab0a7e2a20260101", "haven-ubuntu-nitro-20260101", "2026-01-01", "ubuntu-nitro"),
    Image("ami-0ab0a7e1a20260101", "haven-ubuntu-next-20260101", "2026-01-01", "ubuntu-next"),
    Image("ami-0ab0a7e1b20260101", "haven-ubuntu-next-slow-20260101", "2026-01-01", "ubuntu-next-slow"),
    # Sold in the Marketplace, as NVIDIA's own images are, by the owner that all images there have.
    Image(
        "ami-0a4ce7fa12026010a",
        "vendor-gpu-20260101",
        "2026-01-01",
        "bookworm-cuda",
        owner="679593333241",
        terms="7zjmlfxjjw0c1",
    ),
    # Newer and somebody else's: whoever searches by name alone gets this one.
    Image("ami-0bad12a0209912310", "haven-debian-12-20991231", "2026-06-01", "bookworm", owner=SOMEBODY_ELSE),
)
PARAMETERS = {
    DEEP_LEARNING.format("base-oss-nvidia-driver-gpu-ubuntu-22.04"): CUDA,
    DEEP_LEARNING.format("base-oss-nvidia-driver-gpu-ubuntu-24.04"): CUDA,
    DEEP_LEARNING.format("oss-nvidia-driver-gpu-pytorch-2.7-ubuntu-22.04"): CUDA,
    "/aws/service/debian/release/12/latest/amd64": DEBIAN_12,
    "/aws/service/debian/release/13/latest/amd64": DEBIAN_13,
}


def user() -> tuple[str, str]:
    """Make a user who may do everything; returns access key id and secret."""
    iam = iam_backends[ACCOUNT]["aws"]
    iam.create_user("us-east-1", USER)
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    iam.put_user_policy(USER, "everything", json.dumps(everything))
    key = iam.create_access_key(USER)
    return key.access_key_id, key.secret_access_key


def network(region: str, cidr: str) -> tuple[networks.Networks, str]:
    """Replace moto's default network by one of this range, in three zones.

    Returns what chooses the default network, and the id of the first zone's subnet.
    """
    backend = ec2_backends[ACCOUNT][region]
    for subnet in backend.describe_subnets():
        backend.delete_subnet(subnet.id)
    backend.delete_vpc(backend.default_vpc.id)
    vpc = networks.create(backend, cidr, default=True)
    chosen = networks.Networks(backend, vpc)
    return chosen, chosen.choose("own")["own"]["subnets"][0]


def images(region: str) -> None:
    """Register the images."""
    backend = ec2_backends[ACCOUNT][region]
    zone = backend.describe_availability_zones()[0].name
    for image in IMAGES:
        backend.amis[image.id] = SandboxImage(
            backend,
            image.id,
            name=image.name,
            description=f"{image.name}, for tests",
            owner_id=image.owner,
            public=image.owner != ACCOUNT,
            virtualization_type="hvm",
            architecture=image.architecture,
            creation_date=datetime.fromisoformat(image.created).replace(tzinfo=timezone.utc),
            image_location=f"{image.owner}/{image.name}",
            hypervisor="xen",
            root_device_type="ebs",
            root_device_name="/dev/xvda",
            region_name=zone,
            machine_image=image.boots,
            terms=image.terms,
        )


def parameters(region: str) -> None:
    """Publish the parameters of vendors."""
    for name, image in PARAMETERS.items():
        publish(region, name, image)


def publish(region: str, name: str, image: str) -> None:
    """Let a parameter name the newest image whose name matches; KeyError where none does.

    It goes into moto's store directly: its API reserves /aws/ for itself.
    """
    matching = [each for each in IMAGES if each.owner == ACCOUNT and fnmatch.fnmatch(each.name, image)]
    if not matching:
        raise KeyError(image)
    store: Any = ssm_backends[ACCOUNT][region]._parameters
    store[name].append(
        Parameter(
            account_id=ACCOUNT,
            name=name,
            value=max(matching, key=lambda each: each.created).id,
            parameter_type="String",
            description=None,
            allowed_pattern=None,
            keyid=None,
            last_modified_date=utcnow().timestamp(),
            version=len(store[name]) + 1,
            data_type="aws:ec2:image",
        )
    )
