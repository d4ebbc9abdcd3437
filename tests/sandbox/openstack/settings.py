# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The services' configuration files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .layout import HOST, REGION, SERVICES, Layout, url

# An option with several values is written several times.
Section = dict[str, str | list[str]]
Sections = dict[str, Section]

SERVICE_USER = "services"
GPU = {"vendor_id": "10de", "product_id": "20b5"}
# Names that operators give to GPUs. They all lead to the same ones.
GPU_ALIASES = ("a100", "rtx6000", "geforce_2080ti", "bigcard")
_PLUGINS = "tests.sandbox.openstack.drivers"
_ENTRY_POINTS = f"""\
[neutron.ml2.mechanism_drivers]
haven = {_PLUGINS}.mechanism:Mechanism
"""


@dataclass(frozen=True)
class Settings:
    """What differs from run to run. ports: by service; environment: the folder the services are installed in."""

    layout: Layout
    environment: Path
    ports: Mapping[str, int]
    password: str

    def write(self) -> None:
        """Write every service's configuration, readable by its owner only."""
        for service in SERVICES:
            sections: Sections = getattr(self, f"_{service}")()
            path = self.layout.config(service)
            path.touch(mode=0o600)
            path.write_text(render(sections), encoding="utf-8")
            self.layout.policy(service).write_text("{}", encoding="utf-8")
        # nova wants this one beside its own.
        paste = self.environment / "etc/nova/api-paste.ini"
        (self.layout.etc / "api-paste.ini").write_text(paste.read_text(encoding="utf-8"), encoding="utf-8")
        distribution = self.layout.entry_points / "haven_sandbox-1.dist-info"
        distribution.mkdir(exist_ok=True)
        (distribution / "METADATA").write_text("Metadata-Version: 2.1\nName: haven-sandbox\nVersion: 1\n")
        (distribution / "entry_points.txt").write_text(_ENTRY_POINTS, encoding="ascii")

    def _login(self) -> Section:
        return {
            "auth_type": "password",
            "auth_url": url("keystone", self.ports["keystone"]),
            "username": SERVICE_USER,
            "password": self.password,
            "project_name": "service",
            "user_domain_name": "Default",
            "project_domain_name": "Default",
            "region_name": REGION,
        }

    def _shared(self, service: str) -> Sections:
        layout = self.layout
        sections: Sections = {
            "DEFAULT": {
                "use_stderr": "false",
                "log_file": str(layout.logs / f"{service}.log"),
                # Everything that talks to a service's own parts is in one process.
                "transport_url": "fake://",
                "state_path": str(layout.dir / service),
                "host": "haven",
            },
            "oslo_messaging_notifications": {"driver": "noop"},
            "oslo_concurrency": {"lock_path": str(layout.dir / "lock")},
            "oslo_policy": {
                "enforce_scope": "true",
                "enforce_new_defaults": "true",
                "policy_file": str(layout.policy(service)),
            },
        }
        if service != "keystone":
            sections["keystone_authtoken"] = {
                **self._login(),
                "www_authenticate_uri": url("keystone", self.ports["keystone"]),
                # Access rules of application credentials name a service by this.
                "service_type": SERVICES[service],
                "service_token_roles": "service",
                "service_token_roles_required": "true",
                # Short, so that tokens that were revoked are refused soon.
                "token_cache_time": "5",
            }
        return sections

    def _keystone(self) -> Sections:
        layout = self.layout
        return {
            **self._shared("keystone"),
            "database": _database("keystone"),
            "token": {"provider": "fernet", "expiration": "3600", "cache_on_issue": "false"},
            "fernet_tokens": {"key_repository": str(layout.fernet_keys)},
            "fernet_receipts": {"key_repository": str(layout.fernet_keys)},
            "credential": {"key_repository": str(layout.credential_keys)},
            "cache": {"enabled": "true", "backend": "dogpile.cache.memory"},
            # Passwords here are random: rounds would only cost time.
            "identity": {"password_hash_algorithm": "bcrypt", "password_hash_rounds": "4"},
        }

    def _glance(self) -> Sections:
        sections = self._shared("glance")
        sections["DEFAULT"] |= {
            "enabled_backends": "disk:file",
            "worker_self_reference_url": f"http://{HOST}:{self.ports['glance']}",
        }
        return {
            **sections,
            "glance_store": {"default_backend": "disk"},
            "disk": {"filesystem_store_datadir": str(self.layout.images)},
            "os_glance_staging_store": {"filesystem_store_datadir": str(self.layout.dir / "images_staging")},
            "os_glance_tasks_store": {"filesystem_store_datadir": str(self.layout.dir / "images_tasks")},
            "paste_deploy": {
                "flavor": "keystone",
                "config_file": str(self.environment / "etc/glance/glance-api-paste.ini"),
            },
            "database": _database("glance"),
        }

    def _placement(self) -> Sections:
        return {
            **self._shared("placement"),
            "api": {"auth_strategy": "keystone"},
            "placement_database": _database("placement"),
        }

    def _nova(self) -> Sections:
        sections = self._shared("nova")
        sections["DEFAULT"] |= {
            "compute_driver": "haven.GuestDriver",
            "instances_path": str(self.layout.dir / "nova/instances"),
            "my_ip": HOST,
            # Ports are on the wire before a guest boots, so there is no event to wait for.
            "vif_plugging_is_fatal": "false",
            "vif_plugging_timeout": "0",
            "report_interval": "60",
            "service_down_time": "600",
            "allow_resize_to_same_host": "true",
        }
        login = self._login()
        return {
            **sections,
            "api": {"auth_strategy": "keystone"},
            "api_database": _database("nova_api"),
            "database": _database("nova_cell1"),
            "placement": login,
            "neutron": login,
            "glance": {**login, "endpoint_override": f"http://{HOST}:{self.ports['glance']}"},
            "cinder": {**login, "catalog_info": "block-storage::publicURL"},
            "service_user": {**login, "send_service_user_token": "true"},
            "keystone": login,
            "pci": {
                "alias": [json.dumps({"name": name, **GPU, "device_type": "type-PCI"}) for name in GPU_ALIASES],
                "device_spec": json.dumps(GPU),
            },
            "vnc": {"enabled": "false"},
            "workarounds": {"skip_cpu_compare_at_startup": "true"},
        }

    def _neutron(self) -> Sections:
        sections = self._shared("neutron")
        sections["DEFAULT"] |= {
            "core_plugin": "ml2",
            "service_plugins": f"{_PLUGINS}.router.Router,tag",
            "auth_strategy": "keystone",
            "api_paste_config": str(self.environment / "etc/neutron/api-paste.ini"),
            "notify_nova_on_port_status_changes": "true",
            "notify_nova_on_port_data_changes": "true",
            "dhcp_agent_notification": "false",
            "rpc_workers": "0",
        }
        return {
            **sections,
            "nova": self._login(),
            "placement": self._login(),
            "ml2": {
                "type_drivers": "flat,vlan,local",
                "tenant_network_types": "vlan",
                "mechanism_drivers": "haven",
                "extension_drivers": "port_security",
            },
            "ml2_type_flat": {"flat_networks": "*"},
            "ml2_type_vlan": {"network_vlan_ranges": "guests:1:4000"},
            "database": _database("neutron"),
        }

    def _cinder(self) -> Sections:
        sections = self._shared("cinder")
        sections["DEFAULT"] |= {
            "auth_strategy": "keystone",
            "enabled_backends": "guests",
            "default_volume_type": "__DEFAULT__",
            "api_paste_config": str(self.environment / "etc/cinder/api-paste.ini"),
            "resource_query_filters_file": str(self.environment / "etc/cinder/resource_filters.json"),
            "glance_api_servers": f"http://{HOST}:{self.ports['glance']}",
            "scheduler_driver_init_wait_time": "1",
        }
        return {
            **sections,
            "guests": {
                "volume_driver": f"{_PLUGINS}.volume.VolumeDriver",
                "volume_backend_name": "guests",
                "image_volume_cache_enabled": "false",
            },
            "coordination": {"backend_url": f"file://{self.layout.dir / 'cinder'}"},
            "service_user": {**self._login(), "send_service_user_token": "true"},
            "nova": self._login(),
            "database": _database("cinder"),
        }


def _database(name: str) -> Section:
    # Relative to where the services run, because nova writes the address of a cell's database down.
    return {"connection": f"sqlite:///db/{name}.sqlite?timeout=60", "sqlite_synchronous": "false"}


def render(sections: Sections) -> str:
    """The file's text; oslo.config would take a dollar sign for a reference."""
    lines = []
    for name, options in sections.items():
        lines.append(f"[{name}]")
        for key, given in options.items():
            values = given if isinstance(given, list) else [given]
            lines += [f"{key} = {value.replace('$', '$$')}" for value in values]
    return "\n".join(lines) + "\n"
