# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The cloud and the credentials to use, from clouds.yaml, the environment, and our options."""

from __future__ import annotations

import functools
import importlib.metadata
from collections.abc import Callable, Mapping
from threading import Lock
from typing import TYPE_CHECKING, Any, Optional

from ..._errors import BadCredentials, InvalidRequest
from . import errors

if TYPE_CHECKING:
    from ..._ssh.api_proxy import ApiProxy

try:
    import openstack.exceptions
    import requests
    from keystoneauth1 import exceptions as auth_errors
    from keystoneauth1.loading import PLUGIN_NAMESPACE
    from keystoneauth1.session import Session
    from openstack.config import OpenStackConfig
    from stevedore.extension import ExtensionManager
except ImportError:
    # Set by the caller.
    OpenStackConfig = object

# What to do if there are no usable credentials.
WHERE = (
    "name a cloud of clouds.yaml in openstack.cloud or OS_CLOUD, set the OS_* variables of an openrc file, or "
    "openstack.auth"
)
# Seconds for one request.
REQUEST_TIMEOUT = 60.0
# keystoneauth's own authentication methods.
_BUILT_IN = frozenset(["password", "v3password", "v3applicationcredential"])


def configuration(options: Mapping[str, Any], proxy: Optional[ApiProxy] = None) -> Any:
    """Return the SDK's configuration of one cloud and region, whose sessions use the proxy, if any.

    Raises BadCredentials or InvalidRequest.
    """
    given: dict[str, Any] = {
        "cloud": options.get("cloud") or None,
        "region_name": options.get("region") or None,
        "auth": dict(options["auth"]) if options.get("auth") else None,
        "auth_type": options.get("auth_type") or None,
        "interface": options.get("interface") or None,
        "cacert": options.get("ca_cert") or None,
        "verify": options.get("verify"),
    }
    given = {name: value for name, value in given.items() if value is not None}
    try:
        loader = _Loader(session_constructor=_through(proxy) if proxy else None)
        if "cloud" not in given and not given.get("auth") and not loader.get_cloud_names():
            raise BadCredentials(f"There are no OpenStack credentials: {WHERE}.")
        config = loader.get_one(**given)
    except openstack.exceptions.SDKException as error:
        said = errors.tidy(str(error))
        if given.get("cloud") and "was not found" in said:
            raise BadCredentials(
                f"There is no cloud called {given['cloud']!r}: check openstack.cloud and clouds.yaml."
            ) from error
        raise BadCredentials(f"The OpenStack settings are not usable ({said}): {WHERE}.") from error
    except auth_errors.ClientException as error:
        raise BadCredentials(f"The credentials are incomplete ({errors.tidy(str(error))}): {WHERE}.") from error
    except (OSError, ValueError) as error:
        raise InvalidRequest(f"The OpenStack settings cannot be read ({errors.tidy(str(error))}).") from error
    config.config.setdefault("api_timeout", None)
    config.config["api_timeout"] = float(config.config["api_timeout"] or REQUEST_TIMEOUT)
    return config


def _through(proxy: ApiProxy) -> Callable[..., Any]:
    """Creates sessions that use the proxy, and no other one from the environment."""
    session = requests.Session()
    session.proxies = proxy.proxies
    session.trust_env = False
    return functools.partial(Session, session=session)


class _Loader(OpenStackConfig):  # type: ignore[misc]  # the SDK may be missing
    """The SDK's loader, without two things that would slow down each module run."""

    _lock = Lock()

    def get_one(self, *args: Any, **given: Any) -> Any:
        with self._lock:
            known = set(ExtensionManager.ENTRY_POINT_CACHE)
            try:
                return super().get_one(*args, **given)
            finally:
                if PLUGIN_NAMESPACE not in known:
                    ExtensionManager.ENTRY_POINT_CACHE.pop(PLUGIN_NAMESPACE, None)

    def auth_config_hook(self, config: dict[str, Any]) -> dict[str, Any]:
        """The SDK calls this when it knows the authentication method, before it looks for the plugin."""
        config = super().auth_config_hook(config)
        if _asks_for_versions(config):
            # The plain password plugin would ask for keystone's versions.
            config["auth_type"] = "v3password"
        if config.get("auth_type") in _BUILT_IN:
            # Otherwise, stevedore keeps the entry points of all installed packages in a file named by sys.path. That is
            # different for each run of an Ansible module, so each would leave 25 KB in the user's cache forever.
            own = importlib.metadata.distribution("keystoneauth1").entry_points
            ExtensionManager.ENTRY_POINT_CACHE.setdefault(PLUGIN_NAMESPACE, list(own.select(group=PLUGIN_NAMESPACE)))
        return config


def _asks_for_versions(config: Mapping[str, Any]) -> bool:
    auth = config.get("auth") or {}
    v3_only = not any(auth.get(name) for name in ("default_domain_id", "default_domain_name", "tenant_name"))
    at_v3 = str(auth.get("auth_url", "")).rstrip("/").endswith("/v3")
    return config.get("auth_type") == "password" and at_v3 and v3_only
