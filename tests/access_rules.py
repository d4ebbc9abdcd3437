# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Users of the sandbox's OpenStack who may do what access rules say and nothing else, and what they did."""

from __future__ import annotations

import json
import pathlib
import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import openstack
import yaml

DOCS = pathlib.Path(__file__).resolve().parent.parent / "docs"
# The types of services as access rules name them, and the sandbox's names of the services.
SERVICES = {"compute": "nova", "image": "glance", "network": "neutron", "block-storage": "cinder"}

Rule = Mapping[str, str]


def documented_rules(*, optional: bool = False) -> list[Rule]:
    """Those that the documentation says to use, or those that are optional."""
    name = "openstack-access-rules-optional.yaml" if optional else "openstack-access-rules.yaml"
    return list(yaml.safe_load((DOCS / name).read_text()))


def words(rule: Rule) -> str:
    """A rule as one text, such as `compute GET /v2.1/servers/detail`."""
    return f"{rule['service']} {rule['method']} {rule['path']}"


class AccessRulesUser:
    """An application credential with access rules. facts: the sandbox's variables; folder: for its clouds.yaml."""

    def __init__(self, facts: Mapping[str, str], name: str, folder: pathlib.Path, rules: Sequence[Rule]) -> None:
        self._facts, self._rules = facts, rules
        file = facts["OS_CLIENT_CONFIG_FILE"]
        keystone = facts["HAVEN_SANDBOX_KEYSTONE_URL"]
        admin = _connect(file, "haven-admin")
        project = admin.identity.find_project("haven", ignore_missing=False)
        password = secrets.token_urlsafe(16)
        user = admin.identity.create_user(name=name, password=password, default_project_id=project.id)
        role = admin.identity.find_role("member", ignore_missing=False)
        admin.identity.assign_project_role_to_user(project, user, role)
        login = {"auth_url": keystone, "username": name, "password": password, "project_id": project.id}
        itself = _connect(file, "haven", auth={**login, "user_domain_id": user.domain_id})
        credential = itself.identity.create_application_credential(user=user, name=name, access_rules=list(rules))
        auth = {
            "auth_url": keystone,
            "application_credential_id": credential.id,
            "application_credential_secret": credential.secret,
        }
        cloud = {"auth_type": "v3applicationcredential", "auth": auth, "region_name": itself.config.region_name}
        clouds = folder / "clouds.yaml"
        clouds.touch(mode=0o600)
        clouds.write_text(yaml.safe_dump({"clouds": {"haven": cloud}}))
        self._user = user.id
        self.environment: Mapping[str, str] = {"OS_CLIENT_CONFIG_FILE": str(clouds)}

    def refused(self) -> bool:
        """Whether the cloud refuses what the rules do not allow."""
        limited = _connect(self.environment["OS_CLIENT_CONFIG_FILE"], "haven")
        return bool(limited.compute.get("/os-services").status_code == 401)

    def allowed(self) -> set[str]:
        return set(map(words, self._rules))

    def used(self) -> set[str]:
        """The rules that its requests needed; a request that no rule covers stands for itself."""
        found = set()
        log = pathlib.Path(self._facts["HAVEN_SANDBOX_OPENSTACK_LOG"]).read_text(encoding="utf-8")
        for entry in map(json.loads, log.splitlines()):
            # What a service asks for the user goes under its own token as well, and takes no rule.
            if entry["user"] != self._user or not entry["agent"].startswith("openstacksdk"):
                continue
            path = entry["path"].partition("?")[0]
            if path.endswith(("/os-services", "/application_credentials")):
                continue  # asked by refused(), and to make the credential
            covering = (words(rule) for rule in self._rules if _covers(rule, entry, path))
            found.add(next(covering, f"{entry['method']} {path}"))
        return found


def _connect(file: str, cloud: str, **more: Any) -> Any:
    config = openstack.config.OpenStackConfig(config_files=[file], load_envvars=False)
    return openstack.connection.Connection(config=config.get_one(cloud, **more))


def _covers(rule: Rule, entry: Mapping[str, Any], path: str) -> bool:
    pattern = re.escape(rule["path"]).replace(r"\*", "[^/]+")
    same = SERVICES[rule["service"]] == entry["service"] and rule["method"] == entry["method"]
    return same and re.fullmatch(pattern, path) is not None
