# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which method of authentication the settings lead to; no service is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from keystoneauth1 import identity, token_endpoint
from keystoneauth1.loading import PLUGIN_NAMESPACE
from stevedore import _cache
from stevedore.extension import ExtensionManager

from ansible_collections.haven.gpu.plugins.module_utils._clouds.openstack.config import configuration
from ansible_collections.haven.gpu.plugins.module_utils._errors import BadCredentials

USER = {
    "username": "someone",
    "password": "not a real one",
    "project_name": "p",
    "user_domain_name": "Default",
    "project_domain_name": "Default",
}
V3 = {"auth_url": "https://keystone.example.com/v3"}
APPLICATION = {"application_credential_id": "1", "application_credential_secret": "not a real one"}
METHODS = [
    ({"auth": {**V3, **USER}}, identity.V3Password),
    # It must ask which versions there are.
    ({"auth": {"auth_url": "https://keystone.example.com", **USER}}, identity.Password),
    ({"auth": {**V3, **APPLICATION}, "auth_type": "v3applicationcredential"}, identity.V3ApplicationCredential),
]


@pytest.fixture(autouse=True)
def nowhere_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(tmp_path / "none.yaml"))
    monkeypatch.setattr(ExtensionManager, "ENTRY_POINT_CACHE", {})


@pytest.mark.parametrize(("options", "method"), METHODS, ids=lambda value: getattr(value, "__name__", ""))
def test_common_methods_are_found_and_leave_no_list_of_all_packages(
    options: dict[str, Any], method: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    # stevedore writes that list into the user's cache.
    monkeypatch.setattr(_cache, "get_group_all", None)
    assert type(configuration(options).get_auth()) is method
    assert PLUGIN_NAMESPACE not in ExtensionManager.ENTRY_POINT_CACHE


def test_other_ways_are_found_as_the_sdk_finds_them() -> None:
    token = {"endpoint": "https://nova.example.com", "token": "not a real one"}
    found = configuration({"auth": token, "auth_type": "admin_token"})
    assert isinstance(found.get_auth(), token_endpoint.Token)


def test_an_unknown_way_is_refused() -> None:
    with pytest.raises(BadCredentials, match="incomplete"):
        configuration({"auth": V3, "auth_type": "telepathy"})
