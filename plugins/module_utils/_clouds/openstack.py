# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""OpenStack, which a later release fulfils: named here so that a user who asks for it gets an answer."""

from __future__ import annotations

NOT_YET = "The cloud openstack is not supported yet by this release of haven.gpu: use ec2."
