# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Elastic addresses, which lead to the machine of their instance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from moto.ec2.responses.elastic_ip_addresses import ElasticIPAddresses

from .cloud import Cloud


class Addresses(ElasticIPAddresses):  # type: ignore[misc]
    """moto's answers, carried out on the wire."""

    cloud: ClassVar[Cloud]

    def associate_address(self) -> Any:
        return self._led(super().associate_address)

    def disassociate_address(self) -> Any:
        return self._led(super().disassociate_address)

    def release_address(self) -> Any:
        return self._led(super().release_address)

    def _led(self, act: Callable[[], Any]) -> Any:
        """Do it; the call returns when each public address leads where it should."""
        before = {instance.id: instance.public_ip for instance in self.cloud.instances()}
        answer = act()
        self.pushed += [
            self.cloud.lead(instance)
            for instance in self.cloud.instances()
            if instance.public_ip != before.get(instance.id)
        ]
        return answer
