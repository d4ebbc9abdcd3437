# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All clouds, by name. Written by `make generated`; do not edit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import ec2, openstack

if TYPE_CHECKING:
    from .._cloud import CloudPackage

# Written out, because Ansible packs for a module only what it can see.
CLOUDS: dict[str, CloudPackage] = {
    "ec2": ec2,
    "openstack": openstack,
}
