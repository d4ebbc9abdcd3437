# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is left of a project's quotas. Each service has its own, in its own form."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from ..._errors import HavenError, NoCapacity
from . import errors
from .client import Connection

# What is counted, its names in the service's limits, and the number that makes one of the unit.
_LIMITS = {
    "compute": (
        ("instances", "totalInstancesUsed", "maxTotalInstances", 1),
        ("vCPUs", "totalCoresUsed", "maxTotalCores", 1),
        ("GiB of memory", "totalRAMUsed", "maxTotalRAMSize", 1024),
    ),
    "volume": (
        ("volumes", "totalVolumesUsed", "maxTotalVolumes", 1),
        ("GiB of volumes", "totalGigabytesUsed", "maxTotalVolumeGigabytes", 1),
    ),
}
_NETWORK_LIMITS = (
    ("port", "ports"),
    ("floatingip", "floating IPs"),
    ("security_group", "security groups"),
    ("security_group_rule", "security group rules"),
)


def _computed(service: str, limits: Mapping[str, Any]) -> str:
    """The remaining quota according to the limits of nova or cinder, in words. -1 there means no limit."""
    absolute: Mapping[str, Any] = limits.get("absolute") or {}
    parts = []
    for label, used, top, unit in _LIMITS[service]:
        most = absolute.get(top)
        if isinstance(most, int) and most >= 0:
            left = max(0, most - int(absolute.get(used) or 0))
            parts.append(f"{left / unit:g} of {most / unit:g} {label}")
    return ", ".join(parts)


def _counted(details: Mapping[str, Any]) -> str:
    """The remaining quota according to neutron's details, in words. -1 there means no limit."""
    quota: Mapping[str, Any] = details.get("quota") or {}
    parts = []
    for name, label in _NETWORK_LIMITS:
        each: Mapping[str, Any] = quota.get(name) or {}
        most = each.get("limit")
        if isinstance(most, int) and most >= 0:
            left = max(0, most - int(each.get("used") or 0) - int(each.get("reserved") or 0))
            parts.append(f"{left} of {most} {label}")
    return ", ".join(parts)


def with_what_is_free(connection: Connection, error: HavenError) -> HavenError:
    """Return the error with what is left of the quota of the service that refused, if that may be asked."""
    if isinstance(error, errors.Quota):
        service = error.service
    elif isinstance(error, NoCapacity):
        service = "compute"
    else:
        return error
    with contextlib.suppress(HavenError):
        left = _free(connection, service)
        if left:
            return type(error)(f"{error} Free in the project's quota: {left}.")
    return error


def _free(connection: Connection, service: str) -> str:
    if service == "network":
        return _counted(connection.get("network", f"/quotas/{connection.project_id}/details.json"))
    return _computed(service, connection.get(service, "/limits").get("limits", {})) if service in _LIMITS else ""
