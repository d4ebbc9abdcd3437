# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What OpenStack can be asked before something is created: the token's rights, flavors, networks, and quotas."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Optional

from ..._errors import HavenError
from ..._findings import ok, unknown, wrong
from ..._models import Finding, Spec, Wishes
from ..._retry import together
from .client import Connection, RefusedCall, Rights
from .network import Networks

# The requests of site, status, stop, start, and destroy, as in docs/openstack-access-rules.yaml. "X" stands for an id.
NEEDED: tuple[tuple[str, str, str], ...] = (
    ("compute", "GET", "/flavors/detail"),
    ("compute", "GET", "/os-keypairs"),
    ("compute", "POST", "/os-keypairs"),
    ("compute", "GET", "/os-keypairs/X"),
    ("compute", "DELETE", "/os-keypairs/X"),
    ("compute", "GET", "/servers/detail"),
    ("compute", "POST", "/servers"),
    ("compute", "POST", "/servers/X/action"),
    ("compute", "POST", "/servers/X/metadata"),
    ("compute", "DELETE", "/servers/X"),
    ("image", "GET", "/images"),
    ("network", "GET", "/networks"),
    ("network", "GET", "/ports"),
    ("network", "GET", "/floatingips"),
    ("network", "GET", "/security-groups"),
    ("network", "POST", "/security-groups"),
    ("network", "DELETE", "/security-groups/X"),
    ("network", "POST", "/security-group-rules"),
    ("network", "DELETE", "/security-group-rules/X"),
    ("volume", "GET", "/volumes/detail"),
)
_PERMISSIONS = "permissions"
_NETWORKS = "networks"
# The parts of a path pattern in an access rule, as keystonemiddleware reads them.
_PARTS = re.compile(r"(\{[^}]*\}|(?<!\*)\*(?!\*))|(\*\*)|(.)", re.DOTALL)


class Checks:
    """The part of the adapter that looks ahead. See Foresees in _cloud.py."""

    _os: Connection
    _networks: Networks
    _flavor: Callable[[str], Optional[dict[str, Any]]]
    _flavor_id: Callable[[str], str]

    def foresee(self, wishes: Wishes) -> list[Finding]:
        rights = self._os.rights()
        found = [*self._permissions(rights)]
        questions: list[Callable[[], list[Finding]]] = [
            lambda: list(self._flavors_of(wishes)),
            lambda: list(self._networks_for(wishes)),
            lambda: self._quota(rights, "compute", "/limits", lambda answer: self._compute_needs(wishes, answer)),
            lambda: self._network_quota(rights, wishes),
        ]
        if any(spec.data_volumes or spec.root_volume or spec.options.get("boot_from_volume") for spec in wishes.specs):
            needs = _volume_needs(wishes)
            questions.append(lambda: self._quota(rights, "volume", "/limits", lambda answer: _limits(answer, needs)))
        for answers in together(lambda ask: ask(), questions):
            found += answers
        return found

    # -- what the token may do

    def _permissions(self, rights: Rights) -> Iterator[Finding]:
        if rights.roles == ("reader",):
            yield wrong(_PERMISSIONS, "The role reader may only look: ask for the role member and a new credential.")
            return
        missing = [
            f"{service} {method} {self._os.path_of(service, path).replace('X', '*')}"
            for service, method, path in NEEDED
            if self._os.has(service) and not self._may(rights, service, method, path)
        ]
        if missing:
            yield wrong(
                _PERMISSIONS,
                f"The access rules of the application credential lack {', '.join(missing)}: create another credential, "
                "with docs/openstack-access-rules.yaml.",
            )
        else:
            roles = ", ".join(rights.roles) or "no role"
            yield ok(_PERMISSIONS, f"{roles}{'' if rights.rules is None else ', with access rules'}")

    def _may(self, rights: Rights, service: str, method: str, path: str) -> bool:
        """Whether the access rules, if there are any, allow this request."""
        if rights.rules is None:
            return True
        kind, whole = self._os.kind_of(service), self._os.path_of(service, path)
        return any(
            rule.get("service") == kind and rule.get("method") == method and _covers(str(rule.get("path")), whole)
            for rule in rights.rules
        )

    # -- what is named

    def _flavors_of(self, wishes: Wishes) -> Iterator[Finding]:
        for name in wishes.instance_types:
            about = f"instance type {name}"
            try:
                self._flavor_id(name)
            except HavenError as error:
                yield wrong(about, error)
                continue
            flavor = self._flavor(name) or {}
            wanted = [spec for spec in wishes.specs if spec.instance_type == name]
            small = [text for spec in wanted for text in _too_small(wishes, spec, flavor)]
            if small:
                yield wrong(about, small[0])
            else:
                yield ok(about, f"{flavor.get('vcpus')} vCPUs, {int(flavor.get('ram') or 0) / 1024:g} GiB of memory")

    def _networks_for(self, wishes: Wishes) -> Iterator[Finding]:
        """Each different choice of networks, subnet, and pool is looked up in one listing."""
        choices = {
            (
                tuple(spec.options.get("networks") or ()),
                spec.subnet,
                spec.options.get("floating_ip_pool") if spec.public_address else None,
                bool(spec.public_address),
            ): spec
            for spec in wishes.specs
        }
        for spec in choices.values():
            about = ", ".join(spec.options.get("networks") or []) or spec.subnet or "the default"
            try:
                said = self._network_of(spec)
            except HavenError as error:
                yield wrong(_NETWORKS, error)
            else:
                yield ok(_NETWORKS, f"{about}{said}")

    def _network_of(self, spec: Spec) -> str:
        """Raises HavenError for a network, subnet, or pool that is not there."""
        named = spec.options.get("networks") or []
        if named:
            self._networks.ids(named)
        elif spec.subnet:
            self._networks.of_subnet(spec.subnet)
        elif not spec.options.get("ports"):
            self._networks.default()
        if spec.public_address and not spec.options.get("floating_ip"):
            self._networks.pool(spec.options.get("floating_ip_pool"))
            return ", and a floating IP"
        return ""

    # -- quotas

    def _quota(
        self, rights: Rights, service: str, path: str, read: Callable[[Mapping[str, Any]], Iterator[str]]
    ) -> list[Finding]:
        about = f"quota of {self._os.kind_of(service)}"
        if not self._may(rights, service, "GET", path):
            return [unknown(about, f"not tried: the access rules do not include GET {self._os.path_of(service, path)}")]
        try:
            answer = self._os.attempt("GET", service, path)
        except RefusedCall as refused:
            return [unknown(about, f"not tried: the service answers {refused.status}")]
        except HavenError as error:
            return [unknown(about, error)]
        short = " ".join(read(answer))
        return [wrong(about, short) if short else ok(about, "enough for this run")]

    def _compute_needs(self, wishes: Wishes, answer: Mapping[str, Any]) -> Iterator[str]:
        flavors = [self._flavor(spec.instance_type or "") or {} for spec in wishes.specs]
        needs = {
            "instances": (len(wishes.specs), "maxTotalInstances", "totalInstancesUsed"),
            "vCPUs": (sum(int(each.get("vcpus") or 0) for each in flavors), "maxTotalCores", "totalCoresUsed"),
            "MiB of memory": (sum(int(each.get("ram") or 0) for each in flavors), "maxTotalRAMSize", "totalRAMUsed"),
        }
        yield from _limits(answer, needs)

    def _network_quota(self, rights: Rights, wishes: Wishes) -> list[Finding]:
        needs = {
            "ports": ("port", len(wishes.specs)),
            "security groups": ("security_group", 1 if wishes.new_firewall else 0),
            "floating IPs": ("floatingip", sum(1 for spec in wishes.specs if spec.public_address)),
        }

        def short(answer: Mapping[str, Any]) -> Iterator[str]:
            quota = answer.get("quota") or {}
            for name, (key, needed) in needs.items():
                found = quota.get(key) or {}
                used = int(found.get("used") or 0) + int(found.get("reserved") or 0)
                yield from _short(name, needed, found.get("limit"), used)

        return self._quota(rights, "network", f"/quotas/{self._os.project_id}/details.json", short)


def _covers(pattern: str, path: str) -> bool:
    """Whether the path of an access rule includes this one."""
    parts = ("[^/]+" if one else ".*" if all_ else re.escape(text) for one, all_, text in _PARTS.findall(pattern))
    return re.fullmatch("".join(parts), path) is not None


def _too_small(wishes: Wishes, spec: Spec, flavor: Mapping[str, Any]) -> Iterator[str]:
    """A flavor with no disk of its own has no limit."""
    image, disk = wishes.image_of(spec), int(flavor.get("disk") or 0)
    own_volume = spec.options.get("boot_from_volume") or (spec.root_volume and spec.root_volume.size_gib)
    if image and disk and image.min_disk_gib > disk and not own_volume:
        yield (
            f"Its disk has {disk} GiB, and the image {image.name or image.id} needs {image.min_disk_gib} GiB: choose a "
            f"larger one, or add root_volume: {{size_gib: {image.min_disk_gib}}}."
        )


def _volume_needs(wishes: Wishes) -> dict[str, tuple[int, str, str]]:
    sizes = [
        volume.size_gib or 0
        for spec in wishes.specs
        for volume in (*spec.data_volumes, *([spec.root_volume] if spec.root_volume else []))
    ]
    return {
        "volumes": (len(sizes), "maxTotalVolumes", "totalVolumesUsed"),
        "GiB of volumes": (sum(sizes), "maxTotalVolumeGigabytes", "totalGigabytesUsed"),
    }


def _limits(answer: Mapping[str, Any], needs: Mapping[str, tuple[int, str, str]]) -> Iterator[str]:
    """A sentence for each limit that would be exceeded, in the answer of nova and cinder."""
    absolute = (answer.get("limits") or {}).get("absolute") or {}
    for name, (needed, limit, used) in needs.items():
        yield from _short(name, needed, absolute.get(limit), int(absolute.get(used) or 0))


def _short(name: str, needed: int, limit: Any, used: int) -> Iterator[str]:
    """-1 is no limit."""
    if needed and isinstance(limit, int) and 0 <= limit < used + needed:
        yield (
            f"This run needs {needed} {name}, and {max(0, limit - used)} of {limit} are free: delete something, or ask "
            "for more quota."
        )
