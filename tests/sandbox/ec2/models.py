# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""moto's models, corrected: instances have states, subnets reserved addresses, images a root volume like AWS's.

install() puts these classes where moto creates its own. Import this after environment.prepare().
"""

from __future__ import annotations

import ipaddress
from collections import deque
from typing import Any, ClassVar

import moto.ec2.models.elastic_ip_addresses as moto_addresses
import moto.ec2.models.elastic_network_interfaces as moto_interfaces
import moto.ec2.models.instances as moto_instances
import moto.ec2.models.subnets as moto_subnets
from moto.core.utils import utcnow
from moto.ec2.exceptions import EC2ClientError, InvalidInstanceIdError
from moto.ec2.models.amis import Ami
from moto.ec2.models.core import TaggedEC2Resource
from moto.ec2.models.instances import Instance, InstanceBackend, InstanceState, StateReason
from moto.ec2.models.subnets import Subnet
from moto.ec2.utils import EC2_PREFIX_TO_RESOURCE

CODES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}
USER_STOP = ("Client.UserInitiatedShutdown", "Client.UserInitiatedShutdown: User initiated shutdown")
RESERVED_ADDRESSES = 4  # the network's own, the router, the resolver, one for the future


def error(code: str, message: str) -> Exception:
    """An EC2 error that moto answers with that code and HTTP 400."""
    made: Exception = EC2ClientError(code, message)
    return made


def state(name: str) -> Any:
    return InstanceState(name, CODES[name])


class SandboxInstance(Instance):  # type: ignore[misc]
    """An instance whose state follows its machine. It only says what was asked; lifecycle.py carries it out."""

    by_id: ClassVar[dict[str, SandboxInstance]] = {}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._launch_groups: list[Any] = []
        self.nics: dict[int, Any] = {}
        super().__init__(*args, **kwargs)
        self._state = state("pending")
        self.machine_image = machine_image(self.ec2_backend.amis[self.image_id])
        self.state_reason = None
        self.spot_instance_request_id: str | None = None
        for nic in self.nics.values():
            nic.delete_on_termination = True  # AWS's default for the interfaces a launch makes
        self.by_id[self.id] = self

    @property
    def security_groups(self) -> list[Any]:
        """The groups of the first interface: moto keeps them twice, and the two drift apart."""
        return self.nics[0]._group_set if self.nics else self._launch_groups

    @security_groups.setter
    def security_groups(self, groups: list[Any]) -> None:
        if self.nics:
            self.nics[0]._group_set = list(groups)
        else:
            self._launch_groups = list(groups)

    # A terminated instance has no addresses, no subnet and no groups left.
    @property
    def private_ip(self) -> str | None:
        return self.nics[0].private_ip_address if self.nics else None

    private_ip_address = private_ip

    @property
    def private_dns_name(self) -> str:
        return str(Instance.private_dns_name.fget(self)) if self.nics else ""

    @property
    def public_ip(self) -> str | None:
        return self.nics[0].public_ip if self.nics else None

    public_ip_address = public_ip

    @property
    def subnet_id(self) -> str | None:
        return None if self.state == "terminated" else Instance.subnet_id.fget(self)

    @property
    def state_name(self) -> str:
        return str(self._state.name)

    def start(self) -> Any:
        """stopped -> pending, with a new public address; anything that runs already stays as it is."""
        previous = self._state
        if previous.name in {"pending", "running"}:
            return previous
        if previous.name != "stopped":
            raise error(
                "IncorrectInstanceState",
                f"The instance '{self.id}' is not in a state from which it can be started.",
            )
        for nic in self.nics.values():
            nic.start()
        self._keep_elastic_addresses()
        self._state, self._reason, self.state_reason = state("pending"), "", None
        self.launch_time = utcnow()
        return previous

    def stop(self) -> Any:
        """running -> stopping."""
        previous = self._state
        if previous.name in {"stopping", "stopped"}:
            return previous
        if previous.name != "running":
            raise error(
                "IncorrectInstanceState",
                f"The instance '{self.id}' is not in a state from which it can be stopped.",
            )
        if self.lifecycle == "spot":
            raise error(
                "UnsupportedOperation",
                f"You can't stop the Spot Instance '{self.id}' because it is associated with a one-time Spot Instance "
                "request. You can only stop Spot Instances associated with persistent Spot Instance requests.",
            )
        self._begin("stopping", USER_STOP)
        return previous

    def terminate(self) -> Any:
        """Any state -> shutting-down; terminated is final."""
        previous = self._state
        if previous.name not in {"shutting-down", "terminated"}:
            self._begin("shutting-down", USER_STOP)
        return previous

    def reboot(self) -> None:
        if self.state_name != "running":
            raise error(
                "IncorrectInstanceState",
                f"The instance '{self.id}' is not in a state from which it can be rebooted.",
            )

    def _begin(self, name: str, reason: tuple[str, str]) -> None:
        self._state = state(name)
        self._reason = f"User initiated ({utcnow():%Y-%m-%d %H:%M:%S} GMT)"
        self.state_reason = StateReason(reason[1], reason[0])

    def say_why(self, reason: tuple[str, str]) -> None:
        """Give the change under way another reason than the user's wish: (code, message)."""
        self.state_reason = StateReason(reason[1], reason[0])

    def become_running(self) -> None:
        self._state = state("running")

    def become_stopped(self, reason: tuple[str, str] | None = None) -> None:
        if reason:
            self._begin("stopped", reason)
        self._state = state("stopped")
        for nic in self.nics.values():
            nic.stop()
        self._keep_elastic_addresses()

    def _keep_elastic_addresses(self) -> None:
        """They stay at their interface, whether the instance runs or not."""
        for address in self.ec2_backend.addresses:
            if address.eni in self.nics.values():
                address.eni.public_ip = address.public_ip

    def become_terminated(self, reason: tuple[str, str] | None = None) -> None:
        """Let go of what the instance held: moto's own terminate does, but at the request instead of at the end."""
        kept = (self.state_reason, self._reason)
        Instance.terminate(self)
        self.state_reason, self._reason = kept
        if reason:
            self._begin("terminated", reason)
        self._state = state("terminated")
        for address in self.ec2_backend.addresses:
            if address.eni in self.nics.values():
                address.instance = address.eni = address.association_id = None
        self.nics = {}
        self._launch_groups = []
        self._private_ips.clear()  # its destructor would free addresses that belong to others by then


class SandboxSubnet(Subnet):  # type: ignore[misc]
    """A subnet that keeps the first four addresses, hands out in order, and takes what is free the longest."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        first = int(self.cidr.network_address)
        self._fresh = iter(range(first + RESERVED_ADDRESSES, int(self.cidr.broadcast_address)))
        self._returned: deque[str] = deque()

    def free_addresses(self) -> int:
        return int(self._available_ip_addresses) - len(self._subnet_ips)

    def get_available_subnet_ip(self, instance: Any) -> str:
        for number in self._fresh:
            address = str(ipaddress.ip_address(number))
            if address not in self._subnet_ips:
                self._subnet_ips[address] = instance
                return address
        while self._returned:
            address = self._returned.popleft()
            if address not in self._subnet_ips:
                self._subnet_ips[address] = instance
                return address
        raise error(
            "InsufficientFreeAddressesInSubnet",
            f"There are not enough free addresses in subnet '{self.id}' for the requested number of instances.",
        )

    def check_free(self, address: str) -> None:
        """Raises the error AWS gives for an address that cannot be had here."""
        offset = int(ipaddress.ip_address(address)) - int(self.cidr.network_address)
        if not 0 <= offset < self.cidr.num_addresses:
            raise error("InvalidParameterValue", f"Address {address} does not fall within the subnet's address range")
        if offset < RESERVED_ADDRESSES or offset == self.cidr.num_addresses - 1:
            raise error("InvalidParameterValue", f"Address {address} is in subnet's reserved address range")
        if address in self._subnet_ips:
            raise error("InvalidIPAddress.InUse", f"Address {address} is in use.")

    def del_subnet_ip(self, ip: str) -> None:
        if self._subnet_ips.pop(ip, None) is not None:
            self._returned.append(ip)


class SandboxImage(Ami):  # type: ignore[misc]
    """A seeded image. machine_image: the name of the image its machines boot from. terms: the number of a Marketplace
    product, whose terms the account must have accepted."""

    ROOT_GIB = 8

    def __init__(self, *args: Any, machine_image: str, terms: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.terms = terms
        self.machine_image = machine_image

    @property
    def block_device_mappings(self) -> list[dict[str, Any]]:
        root = {
            "SnapshotId": self.ebs_snapshot.id,
            "VolumeSize": self.ROOT_GIB,
            "DeleteOnTermination": True,
            "VolumeType": "gp3",
            "Encrypted": False,
        }
        return [{"DeviceName": self.root_device_name, "Ebs": root}]


def machine_image(image: Any) -> str:
    """What an image boots: for one made from an instance, what that instance had booted."""
    if isinstance(image, SandboxImage):
        return image.machine_image
    return str(image.instance.machine_image)


class PublicAddresses:
    """Public addresses in turn: a started instance must not get its old one back."""

    def __init__(self, cidr: str) -> None:
        network = ipaddress.ip_network(cidr)
        self._first, self._usable = int(network.network_address), network.num_addresses - 2
        self._given = 0

    def __call__(self) -> str:
        used: set[str | None] = set()
        if self._given >= self._usable:  # every address was somebody's once
            used = {one.public_ip for one in SandboxInstance.by_id.values()}
        for _ in range(self._usable):
            address = str(ipaddress.ip_address(self._first + 1 + self._given % self._usable))
            self._given += 1
            if address not in used:
                return address
        raise error("InsufficientAddressCapacity", "There are not enough public addresses for the request.")


def _tags_of(resource: Any) -> list[dict[str, str]]:
    """moto searches all tags of the account for those of one resource, for each resource it lists."""
    tags = resource.ec2_backend.tags.get(resource.id) or {}
    return [{"key": key, "value": value} for key, value in tags.items()]


def _get_instance(_backend: Any, instance_id: str) -> SandboxInstance:
    """moto copies all reservations to find one instance."""
    found = SandboxInstance.by_id.get(instance_id)
    if found is None or found.ec2_backend is not _backend:
        raise InvalidInstanceIdError(instance_id)
    return found


def install(public_cidr: str) -> None:
    """Make moto create these classes instead of its own."""
    moto_instances.Instance = SandboxInstance
    moto_subnets.Subnet = SandboxSubnet
    moto_interfaces.random_public_ip = moto_addresses.random_ip = PublicAddresses(public_cidr)
    TaggedEC2Resource.get_tags = _tags_of
    InstanceBackend.get_instance = _get_instance
    EC2_PREFIX_TO_RESOURCE["sir"] = "spot-instances-request"  # as AWS writes it
