# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The settings of the inventory, from its file and the variables next to it. Pure."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from ..module_utils._clouds.registry import CLOUDS
from ..module_utils._errors import InvalidRequest
from ..module_utils._models import STATES, Hop, Instance
from ..module_utils._ssh.checks import (
    TOFU,
    VERIFIED,
    lines_of_keys,
    public_key,
    require_path,
    require_user,
)
from ..module_utils._ssh.hops import FoundHops, WantedHop, found, nowhere, plain, wanted_hops, with_key
from ._version import VERSION

# The variables that options come from if the file leaves them out. The modules and roles use the same variables.
FALLBACKS = {
    "cloud": "haven_cloud",
    "projects": "haven_project",
    **{name: f"haven_{name}" for name in CLOUDS},
    "api_via": "haven_api_via",
    "hops": "haven_hops",
    "login_user": "haven_login_user",
    "private_key": "haven_private_key",
    "public_keys": "haven_public_key",
    "hourly_prices": "haven_prices",
    "host_key_authority": "haven_host_key_authority",
}
# The cloud of machines outside the cloud.
STATIC = "static"
EVERY_PROJECT = "*"
EVERY_REGION = "all"
# Seconds after which a source counts as one that does not answer.
TIMEOUT = 30.0
FAIL = "fail"
WARN = "warn"
ADDRESSES = ("auto", "private", "public")
DIRECT, JUMP_HOST = "direct", "jump_host"
UNTESTED, PROBE = "untested", "probe"
# Parts of names of environment variables and options that mark a secret, which must not end up in a file name.
_SECRET = ("secret", "token", "password")


_SOURCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
# A cloud's own filters: names and values, of which one must match.
Filters = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Settings:
    """The checked options of one source. None in ``projects`` means "all", and in ``regions`` "the default".

    If a hop is an instance, ``looked_up`` are the hops as the user wrote them, and ``found_hops`` what they are once
    the instances are known. ``name`` is empty for the only source of a file without a list of sources. An instance is
    listed if one of the ``questions`` finds it and none of ``exclude`` does. ``prices`` are the user's, per hour and
    instance type. ``public_keys`` are the user's, one on each line. ``timeout`` is how long listing it may take, in
    seconds.
    """

    cloud: str
    projects: tuple[Optional[str], ...]
    regions: tuple[Optional[str], ...] = (None,)
    cloud_options: Mapping[str, Any] = field(default_factory=dict)
    states: tuple[str, ...] = ("running",)
    found_hops: FoundHops = field(default_factory=FoundHops)
    login_user: Optional[str] = None
    private_key: Optional[str] = None
    public_keys: str = ""
    host_keys: str = VERIFIED
    host_key_authority: Optional[str] = None
    address: str = "auto"
    api_via: str = DIRECT
    reachable: str = UNTESTED
    name: str = ""
    on_error: str = FAIL
    include: tuple[Filters, ...] = ()
    exclude: tuple[Filters, ...] = ()
    details: bool = False
    prices: Mapping[str, float] = field(default_factory=dict)
    timeout: float = TIMEOUT
    looked_up: tuple[WantedHop, ...] = ()

    @property
    def hops(self) -> tuple[Hop, ...]:
        return self.found_hops.hops

    def behind(self, instances: Iterable[Instance]) -> Settings:
        """The same settings with the hops that are instances looked up among these. Raises NotFound."""
        if not self.looked_up:
            return self
        return dataclasses.replace(self, found_hops=found(self.looked_up, instances))

    def behind_nothing(self) -> Settings:
        """The same settings where a hop that is an instance does not run: nothing behind it can be reached."""
        return dataclasses.replace(self, found_hops=nowhere(self.looked_up))

    def to(self, id: str) -> Settings:
        """The same settings with the hops to the instance with this id."""
        hops = self.found_hops.to(id)
        return self if hops is self.found_hops else dataclasses.replace(self, found_hops=hops)

    @property
    def is_probed(self) -> bool:
        return self.reachable == PROBE

    @property
    def questions(self) -> tuple[Filters, ...]:
        return self.include or ({},)

    def options_for(self, region: Optional[str]) -> dict[str, Any]:
        return {**self.cloud_options, "region": region} if region else dict(self.cloud_options)


# The options that a source can have. Those that it leaves out come from the file.
SOURCE_OPTIONS = (
    *FALLBACKS,
    "regions",
    "states",
    "host_keys",
    "address",
    "reachable",
    "on_error",
    "timeout",
    "filters",
    "include_filters",
    "exclude_filters",
)

FILE_OPTIONS = (*SOURCE_OPTIONS, "sources", "machines", "hostvars")


def hostnames_from(options: Mapping[str, Any]) -> tuple[str, ...]:
    """The sources of host names, in order of preference."""
    wanted = options.get("hostnames") or ["name"]
    if not isinstance(wanted, Sequence) or not all(isinstance(each, str) and each for each in wanted):
        raise InvalidRequest("The option hostnames must be a list of names, tags and expressions.")
    # Not copied, because ansible-core marks expressions from the user's own file as trusted.
    return (wanted,) if isinstance(wanted, str) else tuple(wanted)


def sources_from(options: Mapping[str, Any]) -> list[Settings]:
    """Return the settings of each source, from the plugin's options with :data:`FALLBACKS`. Raises InvalidRequest."""
    listed = options.get("sources")
    if listed is None:
        # A file with nothing but machines outside the cloud needs no cloud.
        return [] if options.get("machines") and not options.get("cloud") else [settings_from(options)]
    if not isinstance(listed, Sequence) or isinstance(listed, str):
        raise InvalidRequest("The option sources must be a list of dictionaries, each with a name.")
    sources = [_source_from(item, number, options) for number, item in enumerate(listed, start=1)]
    # Group names ignore case and separators.
    taken = [re.sub(r"[^a-z0-9]", "_", source.name.lower()) for source in sources]
    for source, name in zip(sources, taken):
        if taken.count(name) > 1:
            raise InvalidRequest(f"Two sources are called {source.name}: give each its own name.")
    return sources


def _source_from(item: Any, number: int, options: Mapping[str, Any]) -> Settings:
    if not isinstance(item, Mapping) or not _SOURCE.fullmatch(_text(item.get("name"))):
        raise InvalidRequest(
            f"Source {number} must be a dictionary with a name of letters, digits, dashes and underscores."
        )
    name = _text(item["name"])
    unknown = sorted(str(option) for option in item if option not in ("name", *SOURCE_OPTIONS))
    if unknown:
        raise InvalidRequest(
            f"Source {name} has unknown options ({', '.join(unknown)}): use {', '.join(sorted(SOURCE_OPTIONS))}."
        )
    said = {option: value for option, value in item.items() if value is not None}
    try:
        return dataclasses.replace(settings_from({**options, **said}), name=name)
    except InvalidRequest as error:
        raise InvalidRequest(f"Source {name}: {error}") from error


def settings_from(options: Mapping[str, Any]) -> Settings:
    """Return the settings of one source. Raises InvalidRequest, which says what to set."""
    cloud = _text(options.get("cloud"))
    if not cloud:
        raise InvalidRequest(
            "No cloud is named: set cloud in the inventory file, or haven_cloud in group_vars/all.yml."
        )
    projects = _texts(options.get("projects"))
    if not projects:
        raise InvalidRequest(
            "No project is named: set projects in the inventory file, or haven_project in group_vars/all.yml."
        )
    cloud_options = options.get(cloud) or {}
    if not isinstance(cloud_options, Mapping):
        raise InvalidRequest(f"The option {cloud} must be a dictionary with the cloud's own options.")
    states = _texts(options.get("states")) or ("running",)
    login_user = _text(options.get("login_user"))
    private_key = _text(options.get("private_key"))
    authority = authority_from(options)
    public_keys = lines_of_keys(options.get("public_keys"))
    hops = with_key(wanted_hops(options.get("hops"), authority), public_keys)
    api_via = _one_of("api_via", _text(options.get("api_via")) or DIRECT, (DIRECT, JUMP_HOST))
    if api_via == JUMP_HOST:
        plain(hops, "api_via: jump_host")
    return Settings(
        cloud=cloud,
        projects=(None,) if EVERY_PROJECT in projects else projects,
        regions=_texts(options.get("regions")) or (None,),
        cloud_options=dict(cloud_options),
        states=tuple(_one_of("states", state, STATES) for state in states),
        **hops_of(hops),
        login_user=require_user(login_user, "The login_user") if login_user else None,
        private_key=require_path(private_key, "The path of the private_key") if private_key else None,
        public_keys=public_keys,
        host_keys=_one_of("host_keys", _text(options.get("host_keys")) or VERIFIED, (VERIFIED, TOFU)),
        host_key_authority=authority,
        address=_one_of("address", _text(options.get("address")) or "auto", ADDRESSES),
        reachable=reachable_from(options),
        api_via=api_via,
        on_error=_one_of("on_error", _text(options.get("on_error")) or FAIL, (FAIL, WARN)),
        include=_included(options),
        exclude=_all_filters("exclude_filters", options.get("exclude_filters")),
        details=_one_of("hostvars", _text(options.get("hostvars")) or "compact", ("compact", "full")) == "full",
        prices=_prices(options.get("hourly_prices")),
        timeout=_seconds(options.get("timeout")),
    )


def hops_of(wanted: tuple[WantedHop, ...]) -> dict[str, Any]:
    """Return the fields of Settings for these hops, which are known or have to be looked up."""
    hops = tuple(each for each in wanted if isinstance(each, Hop))
    return {"found_hops": FoundHops(hops)} if len(hops) == len(wanted) else {"looked_up": wanted}


def authority_from(options: Mapping[str, Any]) -> Optional[str]:
    text = _text(options.get("host_key_authority"))
    key = public_key(text)
    if text and not key:
        raise InvalidRequest("The host_key_authority is not an OpenSSH public key such as 'ssh-ed25519 AAAA...'.")
    return key


def reachable_from(options: Mapping[str, Any]) -> str:
    return _one_of("reachable", _text(options.get("reachable")) or UNTESTED, (UNTESTED, PROBE))


def _included(options: Mapping[str, Any]) -> tuple[Filters, ...]:
    """As in amazon.aws, ``filters`` is another entry of ``include_filters`` if it is given."""
    first = _filters("filters", options.get("filters") or {})
    return (*([first] if first else []), *_all_filters("include_filters", options.get("include_filters")))


def _all_filters(option: str, value: Any) -> tuple[Filters, ...]:
    if not isinstance(value or [], Sequence) or isinstance(value, str):
        raise InvalidRequest(f"The option {option} must be a list of dictionaries, each with filters and their values.")
    return tuple(_filters(option, item) for item in value or [])


def _filters(option: str, value: Any) -> Filters:
    if not isinstance(value, Mapping):
        raise InvalidRequest(f"The option {option} takes dictionaries with filters and their values, not {value!r}.")
    filters = {str(name): _texts(found) for name, found in value.items()}
    empty = sorted(name for name, found in filters.items() if not found)
    if empty:
        raise InvalidRequest(f"The filter {empty[0]!r} of {option} has no value: give one, or leave the filter out.")
    return filters


def _prices(value: Any) -> dict[str, float]:
    if not isinstance(value or {}, Mapping):
        raise InvalidRequest("The option hourly_prices must be a dictionary of instance types and numbers.")
    try:
        prices = {str(name): float(price) for name, price in (value or {}).items()}
    except (TypeError, ValueError):
        prices = {"": -1.0}
    # Neither negative nor "not a number".
    if not all(0 <= price < float("inf") for price in prices.values()):
        raise InvalidRequest("The option hourly_prices must be a dictionary of instance types and numbers.")
    return prices


def _seconds(value: Any) -> float:
    try:
        seconds = TIMEOUT if value is None else float(value)
    except (TypeError, ValueError):
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise InvalidRequest("The option timeout must be a number of seconds greater than 0.")
    return seconds


def cache_key(settings: Settings, shape: Sequence[str], identity: Iterable[tuple[str, str]]) -> str:
    """Return the name of the cached listing, which differs for another query, account, endpoint, or set of fields.

    ``shape`` are the fields of a listing. ``identity`` is what else determines account and endpoint, as (name, value):
    environment variables and files that the SDK reads. Secrets are left out.
    """
    asked = {
        "version": VERSION,
        "cloud": settings.cloud,
        "projects": settings.projects,
        "regions": settings.regions,
        "states": sorted(settings.states),
        "include": settings.include,
        "exclude": settings.exclude,
        "details": settings.details,
        "options": _public(settings.cloud_options.items()),
        "identity": _public(identity),
        "shape": list(shape),
    }
    return "haven_" + hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()[:32]


def _public(pairs: Iterable[tuple[str, Any]]) -> list[tuple[str, Any]]:
    return sorted(
        (name, _public(value.items()) if isinstance(value, Mapping) else str(value))
        for name, value in pairs
        if not any(word in name.lower() for word in _SECRET)
    )


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value).strip()


def _texts(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    items = value if isinstance(value, Iterable) and not isinstance(value, (str, bytes)) else [value]
    return tuple(dict.fromkeys(text for text in map(_text, items) if text))


def _one_of(option: str, value: str, choices: Sequence[str]) -> str:
    if value not in choices:
        raise InvalidRequest(f"{value!r} is not a value of {option}: use {', '.join(choices)}.")
    return value
