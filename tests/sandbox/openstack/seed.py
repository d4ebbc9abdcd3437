# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a new cloud is given through its APIs: users, flavors, images, quotas, networks."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from typing import Any

from .clouds import PROJECTS, USERS
from .drivers import trees
from .layout import REGION, SERVICES, url
from .settings import SERVICE_USER

PROJECT = "haven"
TINY = "haven-tiny"
EXTERNAL_NETWORK = "public"
NETWORK = "private"
ROUTER = "router"


@dataclass(frozen=True)
class Flavor:
    """A size. ram in MiB, disk in GiB."""

    name: str
    vcpus: int
    ram: int
    disk: int
    extra: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Image:
    """An image; boots: the name of the guests' tree behind it; theirs: not the operator's."""

    name: str
    version: str
    boots: str
    gpu_ready: bool = False
    visibility: str = "public"
    distribution: str = "debian"
    theirs: bool = False


FLAVORS = (
    Flavor("cpu.small", 1, 1024, 10),
    Flavor("cpu.medium", 2, 4096, 20),
    Flavor("cpu.large", 4, 8192, 40),
    Flavor("gpu.vgpu.1", 2, 8192, 40, {"resources:VGPU": "1"}),
    Flavor("gpu.a100.1", 4, 16384, 80, {"pci_passthrough:alias": "a100:1"}),
    # Names as universities give them, and one that says nothing.
    Flavor("gpu.rtx6000.2", 4, 16384, 80, {"pci_passthrough:alias": "rtx6000:2"}),
    Flavor("m.8c.64g.1g", 4, 16384, 80, {"pci_passthrough:alias": "geforce_2080ti:1"}),
    Flavor("special", 4, 16384, 80, {"pci_passthrough:alias": "bigcard:1"}),
    # Bigger than any host.
    Flavor("cpu.huge", 4096, 16_777_216, 10),
)
# The oldest first, as Glance remembers when each was made. Names as on the EC2 side.
IMAGES = (
    Image("haven-debian-12-20250101", "12", "bookworm"),
    Image("haven-debian-12-20260101", "12", "bookworm"),
    Image("haven-debian-13-20260101", "13", "trixie"),
    # Two of one name: the older one is somebody else's.
    Image("haven-debian-12-cuda-20260101", "12", "bookworm", theirs=True),
    Image("haven-debian-12-cuda-20260101", "12", "bookworm-cuda", gpu_ready=True),
    Image("haven-debian-13-prepared-20260101", "13", "trixie-prepared"),
    Image("haven-ubuntu-like-20260101", "24.04", "ubuntu-like", distribution="ubuntu"),
    Image("haven-ubuntu-like-slow-20260101", "24.04", "ubuntu-like-slow", distribution="ubuntu"),
    Image("haven-deep-learning-image-20260101", "22.04", "deep-learning-image", distribution="ubuntu"),
    Image("haven-deep-learning-image-free-20260101", "22.04", "deep-learning-image-free", distribution="ubuntu"),
    Image("haven-deep-learning-image-slow-20260101", "22.04", "deep-learning-image-slow", distribution="ubuntu"),
    Image("haven-ubuntu-next-20260101", "26.04", "ubuntu-next", distribution="ubuntu"),
    Image("haven-ubuntu-next-slow-20260101", "26.04", "ubuntu-next-slow", distribution="ubuntu"),
    # Newer and somebody else's, shared with whoever asks for such.
    Image("haven-debian-12-20991231", "12", "bookworm", visibility="community", theirs=True),
)
_UNLIMITED = {"instances": -1, "cores": -1, "ram": -1, "key_pairs": 1000, "metadata_items": 128}
_NETWORK_UNLIMITED = ("network", "subnet", "port", "router", "floatingip", "security_group", "security_group_rule")
_TINY = {"instances": 2, "cores": 2, "ram": 4096}
_TINY_NETWORK = {"floatingip": 1, "port": 4, "security_group": 3}
_VOLUME_UNLIMITED = {"volumes": -1, "snapshots": -1, "gigabytes": -1}
_TINY_VOLUME = {"volumes": 1, "snapshots": 1, "gigabytes": 5}


def identity(admin: Any, ports: Mapping[str, int], passwords: Mapping[str, str]) -> None:
    """Projects, users, roles and the catalogue."""
    roles = {role.name: role for role in admin.identity.roles()}
    if "service" not in roles:
        roles["service"] = admin.identity.create_role(name="service")

    def user(name: str, project: str, *with_roles: str) -> None:
        made = admin.identity.create_project(name=project, domain_id="default")
        person = admin.identity.create_user(
            name=name, password=passwords[name], domain_id="default", default_project_id=made.id
        )
        for role in with_roles:
            admin.identity.assign_project_role_to_user(made, person, roles[role])

    user(SERVICE_USER, "service", "admin", "service")
    for cloud, name in USERS.items():
        if name != "admin":
            user(name, PROJECTS[cloud], "member", "reader")
    for service, kind in SERVICES.items():
        if service == "keystone":
            continue
        made = admin.identity.create_service(type=kind, name=service)
        for interface in ("public", "internal", "admin"):
            admin.identity.create_endpoint(
                service_id=made.id, interface=interface, region_id=REGION, url=url(service, ports[service])
            )


def flavors(admin: Any) -> None:
    """Sizes, some with a GPU."""
    for flavor in FLAVORS:
        made = admin.compute.create_flavor(name=flavor.name, ram=flavor.ram, vcpus=flavor.vcpus, disk=flavor.disk)
        if flavor.extra:
            admin.compute.create_flavor_extra_specs(made, flavor.extra)


def images(admin: Any, somebody_else: Any) -> None:
    """Images, each with a line that names what boots."""
    for image in IMAGES:
        owner = somebody_else if image.visibility == "community" else admin
        made = owner.image.create_image(
            name=image.name,
            owner=(somebody_else if image.theirs else admin).current_project_id,
            disk_format="raw",
            container_format="bare",
            visibility=image.visibility,
            min_disk=2,
            os_distro=image.distribution,
            os_version=image.version,
            os_admin_user="debian",
            architecture="x86_64",
            haven_gpu_ready=str(image.gpu_ready).lower(),
        )
        binary = {"Content-Type": "application/octet-stream"}
        owner.image.put(f"/images/{made.id}/file", data=trees.content(image.boots), headers=binary)


def quotas(admin: Any) -> None:
    """One project without limits that matter, and a tiny one."""
    limits = (
        (PROJECT, _UNLIMITED, dict.fromkeys(_NETWORK_UNLIMITED, -1), _VOLUME_UNLIMITED),
        (TINY, _TINY, _TINY_NETWORK, _TINY_VOLUME),
    )
    for project, compute, network, volume in limits:
        project_id = admin.identity.find_project(project, ignore_missing=False).id
        admin.compute.put(f"/os-quota-sets/{project_id}", json={"quota_set": compute}).raise_for_status()
        admin.network.put(f"/quotas/{project_id}", json={"quota": network}).raise_for_status()
        admin.block_storage.put(f"/os-quota-sets/{project_id}", json={"quota_set": volume}).raise_for_status()


def volume_type(admin: Any) -> None:
    """The type every volume has."""
    admin.block_storage.find_type("__DEFAULT__") or admin.block_storage.create_type(name="__DEFAULT__")


def default_rules(admin: Any) -> None:
    """What every new security group allows. Neutron's migrations write these; the tables here come from its models."""
    for version in ("IPv4", "IPv6"):
        admin.network.create_default_security_group_rule(
            direction="egress", ethertype=version, used_in_default_sg=True, used_in_non_default_sg=True
        )
        admin.network.create_default_security_group_rule(
            direction="ingress", ethertype=version, remote_group_id="PARENT", used_in_default_sg=True,
            used_in_non_default_sg=False,
        )  # fmt: skip


def _await_neutron(admin: Any) -> None:
    """Ask until neutron can ask keystone who asks: on a busy computer the first answer may be a 503."""
    from openstack.exceptions import HttpException

    for last in (False, False, False, True):
        try:
            list(admin.network.networks())
        except HttpException as error:
            if last or error.status_code != 503:
                raise
            time.sleep(2)
        else:
            return


def networks(admin: Any, subnet: IPv4Network, pool: tuple[str, str], public: IPv4Network) -> None:
    """The guests' network, which all projects share, a network of floating IPs, and a router between them.

    pool: the first and the last address that servers get; public: what floating IPs are taken from.
    """
    _await_neutron(admin)
    default_rules(admin)
    outside = admin.network.create_network(
        name=EXTERNAL_NETWORK,
        is_router_external=True,
        provider_network_type="flat",
        provider_physical_network="outside",
    )
    admin.network.create_subnet(
        network_id=outside.id, name=EXTERNAL_NETWORK, ip_version=4, cidr=str(public), is_dhcp_enabled=False
    )
    project = admin.identity.find_project(PROJECT, ignore_missing=False).id
    inside = admin.network.create_network(name=NETWORK, project_id=project, is_shared=True)
    guests = admin.network.create_subnet(
        network_id=inside.id,
        name=NETWORK,
        project_id=project,
        ip_version=4,
        cidr=str(subnet),
        gateway_ip=str(subnet[1]),
        is_dhcp_enabled=False,
        allocation_pools=[{"start": pool[0], "end": pool[1]}],
    )
    router = admin.network.create_router(
        name=ROUTER, project_id=project, external_gateway_info={"network_id": outside.id}
    )
    admin.network.add_interface_to_router(router, subnet_id=guests.id)
