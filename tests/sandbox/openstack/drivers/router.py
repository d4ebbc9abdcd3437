# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""neutron's router: a floating IP leads to its guest before the API answers, with the status a live agent reports."""

from __future__ import annotations

from typing import Any

from neutron.services.l3_router import l3_router_plugin
from neutron_lib import constants

from tests.sandbox.errors import SandboxError

from .ports import wire


class Router(l3_router_plugin.L3RouterPlugin):  # type: ignore[misc]
    """neutron's own, with the sandbox's router as the agent."""

    def create_floatingip(self, context: Any, floatingip: Any) -> Any:
        return self._connected(context, super().create_floatingip(context, floatingip))

    def update_floatingip(self, context: Any, id: str, floatingip: Any) -> Any:
        return self._connected(context, super().update_floatingip(context, id, floatingip))

    def delete_floatingip(self, context: Any, id: str) -> None:
        super().delete_floatingip(context, id)
        wire().refresh()

    def disassociate_floatingips(self, context: Any, port_id: str) -> Any:
        admin = context.elevated()
        freed = self.get_floatingips(admin, filters={"port_id": [port_id]})
        routers = super().disassociate_floatingips(context, port_id)
        if freed:
            wire().refresh()
        for floating in freed:
            self.update_floatingip_status(admin, floating["id"], constants.FLOATINGIP_STATUS_DOWN)
        return routers

    def _connected(self, context: Any, floating: Any) -> Any:
        status = constants.FLOATINGIP_STATUS_ACTIVE if floating["port_id"] else constants.FLOATINGIP_STATUS_DOWN
        try:
            wire().refresh()
        except SandboxError:
            status = constants.FLOATINGIP_STATUS_ERROR
        if floating["status"] != status:
            self.update_floatingip_status(context.elevated(), floating["id"], status)
            floating["status"] = status
        return floating
