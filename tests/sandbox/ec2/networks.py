# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The account's networks (VPCs): the guests' own, and which of them is the default one, if any."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .models import error

OTHER_RANGE = "172.31.0.0/16"  # AWS's own choice for the network that each account begins with
NO_DEFAULT = "No default VPC for this user"


def create(backend: Any, cidr: str, *, default: bool) -> Any:
    """Make a network with a subnet in each of three zones, the first one half as large as all; returns it."""
    vpc = backend.create_vpc(cidr, is_default=default)
    half, rest = ipaddress.ip_network(cidr).subnets()
    zones = [zone.name for zone in backend.describe_availability_zones()][:3]
    for part, zone in zip([half, *rest.subnets()], zones, strict=True):
        backend.create_subnet(vpc.id, str(part), availability_zone=zone)
    group = backend.get_default_security_group(vpc.id)
    backend.authorize_security_group_ingress(
        group.id, "-1", None, None, [], source_groups=[{"GroupId": group.id, "UserId": backend.account_id}]
    )
    return vpc


def subnets(backend: Any, vpc: Any) -> list[Any]:
    """Those of a network, in the order of their zones."""
    return sorted(
        (one for one in backend.describe_subnets() if one.vpc_id == vpc.id), key=lambda one: str(one.availability_zone)
    )


class Networks:
    """The networks of one region of the account, by what a new account's default may be.

    own: the guests' network is the default one, as in a plain account. other: the default is one that no guest is
    reached in, beside the guests' own. none: there is no default network any more.
    """

    def __init__(self, backend: Any, own: Any) -> None:
        self._backend = backend
        self._known = {"own": own}
        self._default = "own"
        # What one access key has in place of it.
        self._of_keys: dict[str, str] = {}

    def choose(self, default: str, key: str = "") -> dict[str, Any]:
        """Choose for everybody, or for who calls with this access key alone; returns the networks' ids and subnets."""
        if default not in {"own", "other", "none"}:
            raise ValueError(f"default must be own, other or none, not {default}")
        if default == "other" and "other" not in self._known:
            self._known["other"] = create(self._backend, OTHER_RANGE, default=False)
        if key:
            self._of_keys[key] = default
        else:
            self._default = default
        self._apply(self._default)
        return {
            name: {"vpc": vpc.id, "subnets": [one.id for one in subnets(self._backend, vpc)]}
            for name, vpc in self._known.items()
        }

    @contextmanager
    def as_seen_by(self, key: str) -> Iterator[None]:
        """The networks as they are for who calls with this key. The caller holds the cloud's lock."""
        if key not in self._of_keys:
            yield
            return
        self._apply(self._of_keys[key])
        try:
            yield
        finally:
            self._apply(self._default)

    def _apply(self, default: str) -> None:
        for name, vpc in self._known.items():
            is_default = name == default
            vpc.is_default = is_default
            for subnet in subnets(self._backend, vpc):
                subnet.default_for_az = is_default
        self._backend.default_vpc = self._known.get(default)


def require_default(backend: Any) -> None:
    """Raises what AWS answers to a call that names no network in an account without a default one."""
    if backend.default_vpc is None:
        raise error("VPCIdNotSpecified", NO_DEFAULT)
