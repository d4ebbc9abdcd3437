# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The regions an account sees: its partition's, and without AllRegions only those it has enabled."""

from __future__ import annotations

from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.responses.availability_zones_and_regions import AvailabilityZonesAndRegions
from moto.utilities.utils import get_partition


class Regions(AvailabilityZonesAndRegions):  # type: ignore[misc]
    """moto's answer, which holds China's, the government's and regions not opted in to as well, narrowed down."""

    def describe_regions(self) -> Any:
        self.error_on_dryrun()
        known = self.ec2_backend.describe_regions(self._get_param("RegionNames", []))
        everything = str(self._get_param("AllRegions", False)).lower() == "true"
        mine = [each for each in known if get_partition(each.name) == get_partition(self.region)]
        return ActionResult({"Regions": [each for each in mine if everything or each.opt_in_status != "not-opted-in"]})
