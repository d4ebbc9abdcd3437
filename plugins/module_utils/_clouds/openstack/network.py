# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Networks, ports, and floating IPs on OpenStack."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, Optional

from ..._errors import InvalidRequest, NotFound, Refused
from ..._models import Spec
from ..._retry import together
from . import shapes
from .client import Connection, RefusedCall

# How often to try to delete a port, with a pause that grows by half a second after each refusal.
_PORT_ATTEMPTS = 5
# nova deletes its own ports with their server. Those created here are marked and have to be deleted.
_MOST_IDS = 50


@dataclass(frozen=True)
class Belongings:
    """``ports`` that were created here, and ``addresses`` that are deleted or only detached (release)."""

    ports: list[dict[str, Any]]
    addresses: list[dict[str, Any]]


class Networks:
    """Looks things up once, and creates and deletes what belongs to an instance."""

    def __init__(self, connection: Connection) -> None:
        self._os = connection
        self._lock = Lock()
        self._listed: Optional[list[dict[str, Any]]] = None
        self._groups: Optional[list[dict[str, Any]]] = None

    # -- looking up

    def networks(self) -> list[dict[str, Any]]:
        """All networks that the project can see, including external ones, from one listing."""
        with self._lock:
            if self._listed is None:
                self._listed = self._os.pages("network", "/networks", "networks")
            return self._listed

    def ids(self, wanted: Iterable[str]) -> list[str]:
        return [each if shapes.is_id(each) else self._named(each) for each in wanted]

    def _named(self, name: str) -> str:
        found = [item["id"] for item in self.networks() if item.get("name") == name]
        if len(found) == 1:
            return str(found[0])
        if not found:
            raise NotFound(f"There is no network {name!r} that this project can use: check openstack.networks.")
        raise InvalidRequest(f"{len(found)} networks are called {name!r}: give the id of one of {', '.join(found)}.")

    def default(self) -> str:
        """The network that nova would choose: the only one that is not external."""
        found = [item for item in self.networks() if not item.get("router:external")]
        if len(found) == 1:
            return str(found[0]["id"])
        names = ", ".join(sorted(str(item.get("name") or item["id"]) for item in found)) or "none"
        raise InvalidRequest(f"There is more than one network, or none ({names}): name one in openstack.networks.")

    def of_subnet(self, subnet: str) -> str:
        """The id of the subnet's network."""
        found = [item["id"] for item in self.networks() if subnet in (item.get("subnets") or [])]
        if not found:
            raise NotFound(f"There is no subnet {subnet!r} that this project can use: give the id of one.")
        return str(found[0])

    def pool(self, wanted: Optional[str]) -> str:
        """The id of the external network that floating IPs come from."""
        if wanted and shapes.is_id(wanted):
            return wanted
        outside = [item for item in self.networks() if item.get("router:external")]
        found = [item for item in outside if not wanted or item.get("name") == wanted]
        if len(found) == 1:
            return str(found[0]["id"])
        names = ", ".join(sorted(str(item.get("name")) for item in outside)) or "none"
        if wanted and not found:
            raise NotFound(f"There is no floating IP pool {wanted!r}: openstack.floating_ip_pool can be {names}.")
        raise InvalidRequest(
            f"There is more than one pool of floating IPs, or none ({names}): name one in openstack.floating_ip_pool."
        )

    def groups(self) -> list[dict[str, Any]]:
        """All security groups that the project can see, with just enough to know who owns them."""
        with self._lock:
            if self._groups is None:
                fields = ["id", "name", "description"]
                self._groups = self._os.pages("network", "/security-groups", "security_groups", fields=fields)
            return self._groups

    def known_groups(self, project: str, wanted: Iterable[str]) -> dict[str, str]:
        """The ids of the project's firewalls of these names, as far as they exist. An id is returned as it is.

        Only groups with our mark are the project's, whatever their names are.
        """
        found = {}
        for each in wanted:
            if shapes.is_id(each):
                found[each] = each
                continue
            ours, _others = shapes.own_groups(self.groups(), project, each)
            if ours:
                found[each] = str(ours[0]["id"])
        return found

    def group_ids(self, project: str, wanted: Iterable[str]) -> list[str]:
        """Like known_groups(), in order. Raises NotFound for a name without a firewall."""
        names = list(wanted)
        known = self.known_groups(project, names)
        for each in names:
            if each not in known:
                alike = [item["id"] for item in self.groups() if item["name"] in (shapes.scoped(project, each), each)]
                hint = f" (security group {' or '.join(alike)} has this name but is not the project's)" if alike else ""
                raise NotFound(
                    f"Project {project} has no firewall {each}{hint}: create it with haven.gpu.firewall first, or give "
                    "the id of a security group."
                )
        return [known[each] for each in names]

    def groups_of(self, server_id: str, names: Sequence[str]) -> tuple[str, ...]:
        """The ids of a server's security groups. nova returns only their names."""
        by_name: dict[str, list[str]] = {}
        for item in self.groups():
            by_name.setdefault(item["name"], []).append(str(item["id"]))
        if all(len(by_name.get(name, ())) == 1 for name in names):
            return tuple(by_name[name][0] for name in names)
        # Names that are not unique cannot be used.
        ids = {group for port in self.ports([server_id]) for group in port.get("security_groups") or []}
        return tuple(sorted(ids))

    # -- ports

    def wants_port(self, spec: Spec) -> bool:
        """Whether a port must exist before its server: for a subnet, or to bind a floating IP at once."""
        return bool(spec.subnet or spec.public_address or spec.options.get("floating_ip"))

    def create_port(self, spec: Spec, firewall_ids: Sequence[str], spare: Sequence[Mapping[str, Any]]) -> str:
        """Return the id of a port for a new server: one of the ``spare`` ones, left behind by an interrupted creation,
        or a new one. Spare ones that do not fit are deleted, because one may have the requested address."""
        body = self._port_body(spec, firewall_ids)
        fitting = next((port for port in spare if self._fits(port, body)), None)
        self.delete_ports(port["id"] for port in spare if port is not fitting)
        if fitting:
            return str(fitting["id"])
        known = {port["id"] for port in spare}

        def look() -> Optional[Mapping[str, Any]]:
            ports = self.belongings(spec.project, [spec.name]).ports
            return next(({"port": port} for port in ports if port["id"] not in known), None)

        return str(self._make("/ports", {"port": body}, look)["port"]["id"])

    def _fits(self, port: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
        """Whether an existing port is what this request would create."""
        has = set(port.get("security_groups") or [])
        default = {str(item["id"]) for item in self.groups() if item["name"] == "default"}
        if port.get("network_id") != wanted["network_id"]:
            return False
        # If none are given, neutron uses the group called default.
        if has != set(wanted["security_groups"]) if "security_groups" in wanted else not has <= default:
            return False
        addresses = [set(each.items()) for each in port.get("fixed_ips") or []]
        return all(any(set(each.items()) <= one for one in addresses) for each in wanted.get("fixed_ips") or [])

    def _make(self, path: str, body: Mapping[str, Any], look: Callable[[], Optional[Mapping[str, Any]]]) -> Any:
        try:
            return self._os.make("network", path, body, look)
        except RefusedCall as refused:
            raise refused.explain() from refused

    def _port_body(self, spec: Spec, firewall_ids: Sequence[str]) -> dict[str, Any]:
        named = list(spec.options.get("networks") or [])
        address: dict[str, Any] = {}
        if spec.subnet:
            address["subnet_id"] = spec.subnet
        if spec.private_address:
            address["ip_address"] = spec.private_address
        if spec.subnet and not named:
            network = self._os.get("network", f"/subnets/{spec.subnet}")["subnet"]["network_id"]
        else:
            network = self.ids(named[:1])[0] if named else self.default()
        body: dict[str, Any] = {
            "network_id": network,
            "name": spec.name,
            "description": shapes.marked(spec.project, spec.name),
        }
        if address:
            body["fixed_ips"] = [address]
        if firewall_ids:
            body["security_groups"] = list(firewall_ids)
        return body

    def belongings(self, project: str, names: Iterable[str], server_ids: Iterable[str] = ()) -> Belongings:
        """The ports and floating IPs of these servers, and those that were created for these names and are not used."""
        wanted, servers = {(project, name) for name in names}, set(server_ids)

        def ours(item: dict[str, Any]) -> bool:
            return shapes.unmarked(item.get("description"))[:2] in wanted

        ports = [
            port
            for port in self._os.pages("network", "/ports", "ports")
            if port.get("device_id") in servers or (ours(port) and not port.get("device_id"))
        ]
        ids = {port["id"] for port in ports}
        addresses = [
            item
            for item in self._os.pages("network", "/floatingips", "floatingips")
            if item.get("port_id") in ids or (ours(item) and not item.get("port_id"))
        ]
        return Belongings([port for port in ports if shapes.unmarked(port.get("description"))[0]], addresses)

    def unused(self, port_ids: Sequence[str]) -> list[str]:
        """Those of these ports that no server uses."""
        if not port_ids:
            return []
        found = self._os.pages("network", "/ports", "ports", id=list(port_ids))
        return [port["id"] for port in found if not port.get("device_id")]

    def ports(self, server_ids: Sequence[str]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for start in range(0, len(server_ids), _MOST_IDS):
            chunk = list(server_ids[start : start + _MOST_IDS])
            found.extend(self._os.pages("network", "/ports", "ports", device_id=chunk))
        return found

    def set_groups(self, server_id: str, group_ids: Sequence[str]) -> None:
        body = {"port": {"security_groups": list(group_ids)}}
        together(lambda port: self._os.put("network", f"/ports/{port['id']}", body), self.ports([server_id]))

    def delete_ports(self, ids: Iterable[str]) -> None:
        together(self._delete_port, list(ids))

    def _delete_port(self, port_id: str) -> None:
        """Delete a port. neutron may refuse that while nova is still releasing it."""
        for attempt in range(1, _PORT_ATTEMPTS + 1):
            try:
                self._os.attempt("DELETE", "network", f"/ports/{port_id}")
            except RefusedCall as refused:
                if refused.status == 404:
                    return
                if refused.status not in (403, 409) or attempt == _PORT_ATTEMPTS:
                    raise refused.explain() from refused
                time.sleep(0.5 * attempt)
            else:
                return

    # -- floating addresses

    def floating(self, port_ids: Sequence[str]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for start in range(0, len(port_ids), _MOST_IDS):
            chunk = list(port_ids[start : start + _MOST_IDS])
            found.extend(self._os.pages("network", "/floatingips", "floatingips", port_id=chunk))
        return found

    def bind(
        self, project: str, name: str, port_id: str, options: Any, spare: Optional[Sequence[Mapping[str, Any]]] = None
    ) -> str:
        """Assign a floating IP to the port, the requested one or one of ours, and return the address.

        ``spare`` are unused addresses that were created for this name. By default they are looked up.
        """
        wanted = options.get("floating_ip")
        if not wanted:
            if spare is None:
                spare = self.belongings(project, [name]).addresses
            return self._bind_ours(project, name, port_id, self.pool(options.get("floating_ip_pool")), spare)
        found = self._os.pages("network", "/floatingips", "floatingips", floating_ip_address=wanted)
        if not found:
            raise NotFound(
                f"The floating IP {wanted} does not belong to this OpenStack project: allocate it first, or set "
                "public_address: true to get a new one."
            )
        if found[0].get("port_id") not in (None, port_id):
            raise Refused(f"The floating IP {wanted} is in use by another port: detach it there first.")
        self._os.put("network", f"/floatingips/{found[0]['id']}", {"floatingip": {"port_id": port_id}})
        return str(wanted)

    def _bind_ours(self, project: str, name: str, port_id: str, pool: str, spare: Sequence[Mapping[str, Any]]) -> str:
        """Bind an unused address from this pool, or a new one."""
        for item in spare:
            ours = shapes.unmarked(item.get("description"))[:2] == (project, name)
            if ours and item["floating_network_id"] == pool:
                self._os.put("network", f"/floatingips/{item['id']}", {"floatingip": {"port_id": port_id}})
                return str(item["floating_ip_address"])
        body = {"floating_network_id": pool, "port_id": port_id, "description": shapes.marked(project, name)}

        def look() -> Optional[Mapping[str, Any]]:
            return next(({"floatingip": item} for item in self.floating([port_id])), None)

        answer = self._make("/floatingips", {"floatingip": body}, look)
        return str(answer["floatingip"]["floating_ip_address"])

    def change(self, project: str, name: str, server_id: str, *, public: bool, options: Any) -> Optional[str]:
        """Change the floating IP of a server as requested. Deletes one of ours that is no longer used."""
        ports = self.ports([server_id])
        if not ports:
            raise InvalidRequest(f"Instance {name} has no port for a floating IP: give it a network.")
        bound = self.floating([port["id"] for port in ports])
        wanted = options.get("floating_ip")
        kept = [each for each in bound if public and (not wanted or each["floating_ip_address"] == wanted)]
        for each in bound:
            if each not in kept:
                self.release(each)
        if not public:
            return None
        if kept:
            return str(kept[0]["floating_ip_address"])
        first = min(ports, key=lambda port: (port.get("created_at", ""), port["id"]))
        return self.bind(project, name, first["id"], options)

    def release(self, item: dict[str, Any]) -> None:
        """Detach a floating IP. Deletes it if we allocated it; the user's own is kept."""
        if shapes.unmarked(item.get("description"))[0]:
            self._os.delete("network", f"/floatingips/{item['id']}")
        else:
            self._os.put("network", f"/floatingips/{item['id']}", {"floatingip": {"port_id": None}})
