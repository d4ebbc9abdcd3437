# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Looks for a project in the other regions of an account, where a wrong region may have left something."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Thread
from typing import Any

from ._cloud import Cloud
from ._errors import HavenError
from ._models import Resource
from ._retry import Deadline

LIMIT = 10.0


@dataclass(frozen=True)
class Elsewhere:
    """``asked`` are the regions that answered, with the cloud's own. ``silent`` says why others did not, by region; an
    empty name stands for all others, if they could not even be listed."""

    asked: Sequence[str]
    resources: Sequence[tuple[str, Resource]]
    silent: dict[str, str]

    def as_dict(self) -> dict[str, Any]:
        """The documented return value."""
        return {
            "regions": list(self.asked),
            "resources": [{"region": region, **each.as_dict()} for region, each in self.resources],
            "not_asked": dict(self.silent),
        }


def look_elsewhere(cloud: Cloud, project: str, limit: float = LIMIT) -> Elsewhere:
    """Return what carries the project's mark in all regions but the cloud's own, as far as they may be asked.

    ``limit``: the seconds that all of them have together. In a closed network, often only the own region answers. It
    never raises a HavenError: what is known of the cloud's own region is worth showing whatever happens elsewhere.
    """
    try:
        others = sorted(set(cloud.regions()) - {cloud.region})
    except HavenError as error:
        return Elsewhere([cloud.region], [], {"": str(error)})

    found: dict[str, list[Resource]] = {}
    silent = dict.fromkeys(others, f"no answer within {limit:.0f} s.")

    def ask(region: str) -> None:
        try:
            found[region] = cloud.in_region(region).resources(project)
        except HavenError as error:
            silent[region] = str(error)

    # Not a pool: its threads would be waited for when the program ends.
    threads = [Thread(target=ask, args=(region,), daemon=True) for region in others]
    for each in threads:
        each.start()
    deadline = Deadline(limit)
    for each in threads:
        each.join(deadline.left)
    answered = {region: found[region] for region in others if region in found}
    return Elsewhere(
        [cloud.region, *answered],
        [(region, each) for region, resources in answered.items() for each in resources],
        {region: silent[region] for region in others if region not in answered},
    )
