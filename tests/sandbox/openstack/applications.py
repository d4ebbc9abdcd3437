# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The services' WSGI applications; nova's and cinder's other parts run beside them as threads of one process.

One process each, because `transport_url=fake://` carries calls within a process only. The parts that drive guests are
left out where there is no supervisor to drive them: while the state is prepared.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

from .layout import Layout


def load(service: str, layout: Layout) -> Any:
    """The application of a service, whose configuration lies in the layout."""
    special = {"nova": _nova, "cinder": _cinder}.get(service)
    if special is not None:
        return special(layout)
    sys.argv = [service]
    return importlib.import_module(f"{service}.wsgi.api").application


def load_policy(service: str) -> None:
    """Load the rules that say who may do what, before anybody asks.

    The services do it at the first request and without a lock: another request at that moment finds no rules yet, and
    is refused. keystone refuses the services themselves then, and they say for a while that it is not available.
    """
    if service == "keystone":
        from keystone.common.rbac_enforcer import enforcer

        enforcer.RBACEnforcer()._enforcer.load_rules()
    elif service in ("cinder", "neutron", "nova"):
        importlib.import_module(f"{service}.policy").init()


def _has_guests() -> bool:
    return bool(os.environ.get("HAVEN_MACHINES_SOCKET"))


def _nova(layout: Layout) -> Any:
    sys.argv = ["nova", "--config-file", str(layout.config("nova"))]
    from nova import monkey_patch

    monkey_patch.patch(backend="threading")
    # nova looks for drivers below nova.virt only.
    sys.modules["nova.virt.haven"] = importlib.import_module("tests.sandbox.openstack.drivers.compute")
    import os_vif
    from nova import context, objects, service
    from nova.api.openstack import wsgi_app
    from nova.compute import rpcapi
    from nova.objects import host_mapping
    from nova.scheduler.client import report

    application = wsgi_app.init_application("osapi_compute", "nova-api-os-compute")
    os_vif.initialize()
    objects.Service.enable_min_version_cache()
    # Asked for at each claim, one request for every server on the host, and of use only to drivers that reshape.
    report.SchedulerReportClient.get_allocations_for_provider_tree = lambda *_: {}
    parts = {
        "nova-conductor": {"topic": "conductor"},
        "nova-scheduler": {"topic": "scheduler"},
    }
    if _has_guests():
        parts["nova-compute"] = {"topic": rpcapi.RPC_TOPIC, "topic_alt": rpcapi.RPC_TOPIC_ALT}
    for binary, topics in parts.items():
        service.Service.create(binary=binary, **topics).start()
    host_mapping.discover_hosts(context.get_admin_context())
    return application


def _cinder(layout: Layout) -> Any:
    sys.argv = ["cinder", "--config-file", str(layout.config("cinder"))]
    from cinder import monkey_patch

    monkey_patch.patch(backend="threading")
    from cinder import objects, service
    from cinder.cmd import volume
    from cinder.common import constants
    from cinder.wsgi import wsgi
    from oslo_config import cfg

    objects.register_all()
    application = wsgi.initialize_application()
    cfg.CONF.register_opt(volume.host_opt, group="guests")
    service.Service.create(binary=constants.SCHEDULER_BINARY, topic=constants.SCHEDULER_TOPIC).start()
    if not _has_guests():
        return application
    service.Service.create(
        host=f"{cfg.CONF.host}@guests", service_name="guests", binary=constants.VOLUME_BINARY, coordination=True
    ).start()
    return application
