# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Forgetting: terminated instances, or everything the account did not start with."""

from __future__ import annotations

from concurrent.futures import wait
from typing import TYPE_CHECKING, Any

from .models import SandboxInstance

if TYPE_CHECKING:
    from .cloud import Cloud

GONE_WITHIN_S = 30.0


def forget_terminated(cloud: Cloud) -> None:
    """Take terminated instances out of the listing, as AWS does after about an hour. Client tokens outlive them."""
    with cloud.lock:
        for backend in cloud.backends():
            for id, reservation in list(backend.reservations.items()):
                gone = [one for one in reservation.instances if one.state_name == "terminated"]
                if len(gone) == len(reservation.instances):
                    del backend.reservations[id]  # whole, so that a token still finds the instances in it
                    for one in gone:
                        SandboxInstance.by_id.pop(one.id, None)
                        backend.tags.pop(one.id, None)


def reset_cloud(cloud: Cloud) -> None:
    """Remove instances, volumes, key pairs, groups and tags; network, images, users and parameters stay."""
    with cloud.lock:
        everybody = list(SandboxInstance.by_id)
        destroyed = [cloud.lifecycle.abandon(id) for id in everybody]
        for backend in cloud.backends():
            _empty(backend)
        SandboxInstance.by_id.clear()
        cloud.forget_everything()
    wait(destroyed, GONE_WITHIN_S)


def _empty(backend: Any) -> None:
    for reservation in backend.reservations.values():
        for one in reservation.instances:
            one._private_ips.clear()
    for nic in list(backend.enis.values()):
        nic.delete()
    for kept in ("reservations", "volumes", "key_pairs", "spot_instance_requests", "iam_instance_profile_associations"):
        getattr(backend, kept).clear()
    for groups in backend.groups.values():
        for group_id in [group.id for group in groups.values() if not group.is_default]:
            del groups[group_id]
    backend.tags.clear()
