# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""neutron's ML2 mechanism: every port is bound on the sandbox's one host, and lets through at once what it should."""

from __future__ import annotations

from typing import Any

from neutron_lib import constants
from neutron_lib.api.definitions import portbindings
from neutron_lib.callbacks import events, registry, resources
from neutron_lib.plugins.ml2 import api

from .ports import wire


class Mechanism(api.MechanismDriver):  # type: ignore[misc]
    """Ports are legs of guests, on whatever kind of network."""

    def initialize(self) -> None:
        self._wire = wire()
        for resource, happened in (
            (resources.SECURITY_GROUP_RULE, events.AFTER_CREATE),
            (resources.SECURITY_GROUP_RULE, events.AFTER_DELETE),
            (resources.SECURITY_GROUP, events.AFTER_DELETE),
            (resources.ADDRESS_GROUP, events.AFTER_UPDATE),
        ):
            registry.subscribe(self._rules_changed, resource, happened)

    def bind_port(self, context: Any) -> None:
        segment = context.segments_to_bind[0]
        context.set_binding(
            segment[api.ID],
            portbindings.VIF_TYPE_OVS,
            {portbindings.CAP_PORT_FILTER: True},
            status=constants.PORT_STATUS_ACTIVE,
        )

    def create_port_postcommit(self, context: Any) -> None:
        self._wire.refresh()

    def update_port_postcommit(self, context: Any) -> None:
        self._wire.refresh()

    def delete_port_postcommit(self, context: Any) -> None:
        self._wire.refresh()

    def _rules_changed(self, resource: str, event: str, trigger: Any, payload: Any = None) -> None:
        self._wire.refresh()
