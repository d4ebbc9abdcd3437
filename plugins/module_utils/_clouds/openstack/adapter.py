# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The adapter for OpenStack, which implements the Protocol in _cloud.py.

Longer than 500 lines, because nova, neutron, and cinder have to be cleaned up together if one of them fails. Everything
that stands alone is in the files next to it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Optional

from ... import _cloud_init
from ..._errors import (
    CloudFailure,
    HavenError,
    InvalidRequest,
    LostAnswer,
    NoCapacity,
    NotFound,
    QuotaExceeded,
    TimedOut,
    Unreachable,
)
from ..._models import Change, Gpu, Image, ImageChoice, Instance, Kind, Pacing, Resource, Spec
from ..._ownership import TAG_HOST_KEY, TAG_NAME, TAG_PROJECT
from ..._progress import progress
from ..._retry import Deadline, together
from . import errors, gpus, shapes
from .access import Access
from .checks import Checks
from .client import Connection, RefusedCall
from .images import Images
from .limits import with_what_is_free
from .network import Belongings, Networks
from .volumes import Volumes

# Servers are ordered by their creation time, in whole seconds. A server that another controller created in the same
# second is in the listing once that second is over by nova's clock: when our server has changed in a later second
# (usually because it became ACTIVE), or SETTLED seconds after the answer to our request. FIRST_LOOK: when most servers
# are ACTIVE.
SETTLED = 1.3
FIRST_LOOK = 0.8
# Seconds that nova may take to assign a server to a host, or to finish a resize.
SCHEDULE_TIMEOUT = 60.0
RESIZE_TIMEOUT = 300.0
ADDRESS_TIMEOUT = 15.0
# Seconds after which a server shows that it has begun with an action.
ACTION_SHOWS = 1.0
# The action that starts a server in each of nova's states.
_UP = {
    "SUSPENDED": {"resume": None},
    "PAUSED": {"unpause": None},
    "SHELVED": {"unshelve": None},
    "SHELVED_OFFLOADED": {"unshelve": None},
}
# Filters on the state.
_STATE_FILTERS = frozenset(["status", "vm_state", "task_state", "power_state"])
# The number of names that always fits in a URL.
_MOST_NAMES = 60
_PLAIN_NAME = re.compile(r"[A-Za-z0-9._-]+")


class OpenStack(Access, Checks):
    """One region of OpenStack, with one identity."""

    name = "openstack"
    # Short at first, because a server starts within seconds.
    pacing = Pacing(first=0.4, then=0.6, growth=1.5, longest=3.0)
    restart_shows = True

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self.region = connection.region
        self._networks = Networks(connection)
        self._volumes = Volumes(connection)
        self._images = Images(connection)
        self._flavors: Optional[list[dict[str, Any]]] = None
        # What was seen or created in this run, by server id.
        self._items: dict[str, Mapping[str, Any]] = {}
        self._created: dict[str, tuple[Spec, float, list[dict[str, Any]]]] = {}
        self._floating: dict[str, Optional[str]] = {}
        # Since when a server has been waiting for a host.
        self._scheduling: dict[str, float] = {}
        # The marks of the creations of this run.
        self._creations: set[str] = set()

    @property
    def deadline(self) -> Deadline:
        return self._os.deadline

    @deadline.setter
    def deadline(self, deadline: Deadline) -> None:
        self._os.deadline = deadline

    def in_region(self, region: str) -> OpenStack:
        return OpenStack(self._os.in_region(region))

    # -- reading

    def instances(
        self,
        project: Optional[str] = None,
        names: Iterable[str] = (),
        *,
        states: Iterable[str] = (),
        filters: Optional[Mapping[str, Sequence[str]]] = None,
        details: bool = False,
    ) -> list[Instance]:
        own = dict(filters or {})
        wanted, chosen = sorted(set(names)), set() if own.keys() & _STATE_FILTERS else set(states)
        found = self._listed(**{"name": _name_filter(wanted), **own})
        if details:
            found = [dataclasses.replace(each, details=shapes.details(self._items[each.id])) for each in found]
        return [
            each
            for each in found
            if each.project
            and project in (None, each.project)
            and (not wanted or each.name in wanted)
            and (not chosen or each.state in chosen)
        ]

    def regions(self) -> list[str]:
        return self._os.regions("compute")

    def _listed(self, **query: Any) -> list[Instance]:
        found = []
        for item in self._os.pages("compute", "/servers/detail", "servers", **query):
            found.append(self._seen(item))
        return found

    def _seen(self, item: Mapping[str, Any]) -> Instance:
        self._items[item["id"]] = item
        found = shapes.instance(item, self.region)
        if self._is_lost(item):
            reason = f"nova did not assign it to a host within {SCHEDULE_TIMEOUT:.0f} s"
            found = dataclasses.replace(found, state="failed", state_reason=reason)
        if found.id in self._floating:
            # nova learns of floating IPs a moment later than neutron.
            known = self._floating[found.id]
            found = dataclasses.replace(found, public_address=known, options={**found.options, "floating_ip": known})
        return found

    def _is_lost(self, item: Mapping[str, Any]) -> bool:
        """Whether nova has lost a server that waits for a host, which happens if nova is killed at that moment."""
        if not shapes.is_scheduling(item):
            self._scheduling.pop(item["id"], None)
            return False
        return time.monotonic() - self._scheduling.setdefault(item["id"], time.monotonic()) > SCHEDULE_TIMEOUT

    def refresh(self, ids: Sequence[str]) -> dict[str, Instance]:
        names = sorted({str(self._items[each]["name"]) for each in ids if each in self._items})
        found: list[Optional[Instance]] = list(self._listed(name=_name_filter(names)) if names else [])
        found += together(self._one, [each for each in ids if each not in self._items])
        return {each.id: each for each in found if each and each.id in set(ids)}

    def _one(self, server_id: str) -> Optional[Instance]:
        """Return a server that was in no listing so far."""
        try:
            return self._seen(self._os.attempt("GET", "compute", f"/servers/{errors.quoted(server_id)}")["server"])
        except RefusedCall as refused:
            if refused.status == 404:
                return None
            raise refused.explain() from refused

    def with_volumes(self, instances: Sequence[Instance]) -> list[Instance]:
        details = self._volumes.details([volume.id for instance in instances for volume in instance.volumes])
        return [
            dataclasses.replace(
                instance,
                volumes=tuple(
                    sorted(
                        (shapes.volume_with_details(each, details.get(each.id, {})) for each in instance.volumes),
                        key=lambda volume: (not volume.root, volume.device),
                    )
                ),
            )
            for instance in instances
        ]

    def with_attributes(self, instances: Sequence[Instance], names: Iterable[str]) -> list[Instance]:
        """The lock is in the listing. nova does not return user data, so a fingerprint is used instead."""
        wanted = set(names)
        found = []
        for each in instances:
            attributes = dict(each.attributes)
            if "user_data" in wanted:
                attributes["user_data"] = each.tags.get(shapes.META_USER_DATA, "")
            ids = each.firewall_ids
            if "firewall_ids" in wanted:
                ids = self._networks.groups_of(each.id, ids)
            found.append(dataclasses.replace(each, attributes=attributes, firewall_ids=ids))
        return found

    def image(self, choice: ImageChoice) -> Image:
        return self._images.choose(choice)

    def gpu(self, instance_type: str) -> Optional[Gpu]:
        flavor = self._flavor(instance_type)
        return gpus.gpu(str(flavor["name"]), flavor.get("extra_specs")) if flavor else None

    def _flavor(self, name: str) -> Optional[dict[str, Any]]:
        if self._flavors is None:
            self._flavors = self._os.pages("compute", "/flavors/detail", "flavors")
        return next((item for item in self._flavors if name in (item["name"], item["id"])), None)

    def _flavor_id(self, name: str) -> str:
        flavor = self._flavor(name)
        if flavor is None:
            known = ", ".join(sorted(item["name"] for item in self._flavors or [])[:20]) or "none"
            raise InvalidRequest(
                f"OpenStack has no instance type (flavor) {name!r} for this project: choose one of {known}."
            )
        return str(flavor["id"])

    def console(self, instance: Instance) -> str:
        try:
            # Just enough for cloud-init's output.
            body = {"os-getConsoleOutput": {"length": 400}}
            path = f"/servers/{instance.id}/action"
            answer = self._os.attempt("POST", "compute", path, body, harmless=True)
        except RefusedCall as refused:
            # Not ready yet, or no longer running.
            if refused.status == 409:
                return ""
            raise refused.explain() from refused
        return str(answer.get("output") or "")

    def resources(self, project: str) -> list[Resource]:
        listings: tuple[Callable[[], list[Resource]], ...] = (
            lambda: [
                Resource("instance", each.id, each.name, each.state)
                for each in self.instances(project)
                if each.state not in ("terminating", "terminated")
            ],
            lambda: self._volumes_of(project),
            lambda: self._marked("firewall", "security-groups", "security_groups", project),
            lambda: self._key_pairs_of(project),
            lambda: self._marked("address", "floatingips", "floatingips", project, "port_id"),
            lambda: self._marked("port", "ports", "ports", project, "device_id"),
        )
        return [each for found in together(_call, listings) for each in found]

    def _volumes_of(self, project: str) -> list[Resource]:
        return self._volumes.of_project(project) if self._os.has("volume") else []

    def _key_pairs_of(self, project: str) -> list[Resource]:
        pairs = [each["keypair"] for each in self._os.pages("compute", "/os-keypairs", "keypairs")]
        ours = [shapes.key_pair(item) for item in pairs if shapes.is_our_key_pair(item)]
        return [Resource("key_pair", each.id, each.name, "") for each in ours if each.project == project]

    def _marked(self, kind: Kind, path: str, key: str, project: str, user: str = "") -> list[Resource]:
        """What carries the project's mark in its description. ``user`` is the field with what uses it."""
        found = []
        for item in self._os.pages("network", f"/{path}", key):
            owner, name, _rest = shapes.unmarked(item.get("description"))
            if owner == project:
                used = bool(item.get(user)) if user else None
                found.append(Resource(kind, item["id"], name, str(item.get("status") or "").lower(), used))
        return found

    # -- creating

    def network_of(self, subnet: Optional[str]) -> Optional[str]:
        # Security groups belong to no network.
        return None

    def firewall_ids(self, project: str, names: Iterable[str], subnet: Optional[str] = None) -> Mapping[str, str]:
        return self._networks.known_groups(project, names)

    def create(self, spec: Spec, image: Image, generation: int) -> Instance:
        """Create the server and what must exist before it. A failure leaves none of that behind."""
        flavor_id = self._flavor_id(spec.instance_type or "")
        groups = self._networks.group_ids(spec.project, spec.firewalls or ())
        ports: list[str] = []
        volumes: list[dict[str, Any]] = []
        creation = secrets.token_hex(8)
        self._creations.add(creation)
        spare = Belongings([], [])
        try:
            if self._networks.wants_port(spec):
                spare = self._networks.belongings(spec.project, [spec.name])
                ports.append(self._networks.create_port(spec, groups, spare.ports))
            address = self._bind_address(spec, ports, spare)
            volumes = self._volumes.create(spec, image, image.min_disk_gib or 10, creation)
            body = shapes.server_body(
                spec,
                image,
                flavor_id,
                shapes.metadata(spec, image, generation, creation),
                networks=self._networks_of(spec, ports),
                firewall_ids=[] if ports else groups,
                volumes=volumes,
            )
            server_id = self._send(body, spec, creation)
        except LostAnswer:
            # The server may still be created and need these resources. Otherwise, the next run uses them.
            raise
        except HavenError as error:
            rival = self._rival(spec) if spare.ports or not all(each["new"] for each in volumes) else None
            if rival:
                return rival
            self._clean_up(ports, volumes)
            raise with_what_is_free(self._os, error) from error
        self._os.patient = True
        self._created[server_id] = (spec, time.monotonic(), volumes)
        if address:
            self._floating[server_id] = address
        metadata = body["server"]["metadata"]
        self._items[server_id] = {"id": server_id, "name": spec.name, "status": "BUILD", "metadata": metadata}
        made = self._seen(self._items[server_id])
        return dataclasses.replace(made, instance_type=spec.instance_type)

    def _bind_address(self, spec: Spec, ports: Sequence[str], spare: Belongings) -> Optional[str]:
        if ports and (spec.public_address or spec.options.get("floating_ip")):
            return self._networks.bind(spec.project, spec.name, ports[0], spec.options, spare.addresses)
        return None

    def _rival(self, spec: Spec) -> Optional[Instance]:
        """The server of another controller that has used the same unused resources."""
        with contextlib.suppress(HavenError):
            return next((each for each in self.instances(spec.project, [spec.name]) if not each.gone), None)
        return None

    def _networks_of(self, spec: Spec, ports: Sequence[str]) -> Any:
        """In nova's format: ports and networks, or auto for the only one."""
        named = self._networks.ids(spec.options.get("networks") or [])
        given = [{"port": each} for each in (*ports, *(spec.options.get("ports") or []))]
        # The port made here is in the first network.
        rest = [{"uuid": each} for each in (named[1:] if ports else named)]
        if spec.private_address and not ports:
            rest = rest or [{"uuid": self._networks.default()}]
            rest[0]["fixed_ip"] = spec.private_address
        return [*given, *rest] or "auto"

    def _send(self, body: Mapping[str, Any], spec: Spec, creation: str) -> str:
        """Create the server once, even if the answer is lost. OpenStack has no client tokens, but ours is in the
        metadata."""

        def look() -> Optional[Mapping[str, Any]]:
            found = self.instances(spec.project, [spec.name])
            return next(({"server": self._items[each.id]} for each in found if self._is_of(each, creation)), None)

        try:
            return str(self._os.make("compute", "/servers", body, look)["server"]["id"])
        except RefusedCall as refused:
            raise refused.explain() from refused

    @staticmethod
    def _is_of(instance: Instance, *creations: str) -> bool:
        return instance.tags.get(shapes.META_CREATION) in creations

    def settle(self, instances: Sequence[Instance]) -> list[Instance]:
        """Ensure that each of these new servers is the only one of its name.

        If another controller has also created one, the one with the lowest (created_at, id) is kept. All controllers
        agree on it, and each deletes only its own.
        """
        ours = [each for each in instances if each.id in self._created]
        if not ours:
            return list(instances)
        made_last = max(self._created[each.id][1] for each in ours)
        deadline = self.deadline.within(SCHEDULE_TIMEOUT)
        pause, longer = made_last + FIRST_LOOK - time.monotonic(), 0.5
        while True:
            time.sleep(max(0.0, pause))
            looked = time.monotonic()
            found = self._listed(name=_name_filter(sorted({each.name for each in ours})))
            rivals = {
                each.id: [other for other in found if (other.name, other.project) == (each.name, each.project)]
                for each in ours
            }
            rivals = {key: [each for each in value if not each.gone] for key, value in rivals.items()}
            contested = [each for value in rivals.values() if len(value) > 1 for each in value]
            # Until nova has assigned a server to a host, its creation time and its existence are not final.
            mine = [each for each in found if each.id in self._created]
            if not any(shapes.is_scheduling(self._items[each.id]) for each in (*contested, *mine)):
                sure = mine and all(shapes.is_a_second_old(self._items[each.id]) for each in mine)
                if sure or looked >= made_last + SETTLED:
                    break
                pause = made_last + SETTLED - time.monotonic()
                continue
            if deadline.over and looked >= made_last + SETTLED:
                break
            # Listing many servers slows down nova while it creates them.
            pause, longer = longer, min(longer * self.pacing.growth, self.pacing.longest)
        for each in ours:
            if self._created[each.id][0].termination_protection and len(rivals[each.id]) == 1:
                self._lock(each.id, True)
        now = {each.id: each for each in found}
        settled = []
        for each in instances:
            winner = self._winner(now.get(each.id, each), rivals.get(each.id, []))
            self._discard_losers(winner, rivals.get(each.id, []))
            settled.append(winner)
        return settled

    def _winner(self, instance: Instance, rivals: Sequence[Instance]) -> Instance:
        if len(rivals) < 2:
            return next((each for each in rivals if each.id == instance.id), instance)
        return min(rivals, key=lambda each: (str(self._items[each.id].get("created", "")), each.id))

    def _discard_losers(self, winner: Instance, rivals: Sequence[Instance]) -> None:
        """The servers created here. One request may have created two, if a proxy has repeated it."""
        for each in rivals:
            if each.id != winner.id and self._is_of(each, *self._creations):
                self.discard(each)

    # -- failing

    def failure(self, instance: Instance, wanted: str) -> HavenError:
        """Why an instance did not reach the state."""
        if instance.state == "stopped":
            return CloudFailure(
                f"Instance {instance.name} ({instance.id}) stopped again instead of becoming {wanted}: look at its "
                "console output, or ask the cloud's operators."
            )
        if instance.state != "failed":
            return CloudFailure(
                f"Instance {instance.name} ({instance.id}) was removed instead of becoming {wanted}: somebody else did "
                "that, or the cloud; run again."
            )
        # nova often only reports that it tried all hosts. Its record of the action has the details.
        error = errors.from_fault(instance.state_reason or "", instance.name, self._why(instance.id))
        if not instance.gone:
            return CloudFailure(
                f"Instance {instance.name} ({instance.id}) is in ERROR instead of {wanted} "
                f"({errors.tidy(instance.state_reason or 'no reason given')}): try state: restarted, or state: "
                "rebuilt, which loses its root disk."
            )
        flavor = self._flavor(instance.instance_type or "")
        if isinstance(error, NoCapacity) and flavor:
            error = NoCapacity(f"{str(error)[:-1]}; it needs {_needs(flavor)}.")
        return with_what_is_free(self._os, error)

    def discard(self, instance: Instance) -> None:
        """Delete a server that never ran, with everything that was created for it, including new data volumes."""
        self.terminate([instance.id])
        deadline = self.deadline.within(SCHEDULE_TIMEOUT)
        while instance.id in self.refresh([instance.id]) and not deadline.over:
            time.sleep(0.3)
        made = self._created.get(instance.id)
        if made:
            self._clean_up([], made[2])

    def _clean_up(self, ports: Sequence[str], volumes: Sequence[Mapping[str, Any]]) -> None:
        """Delete what a creation had created before it failed, except for what a server now uses. What cannot be
        deleted carries the project's mark."""
        with contextlib.suppress(HavenError):
            unused = self._networks.unused(ports)
            for each in self._networks.floating(unused) if unused else []:
                self._networks.release(each)
            self._networks.delete_ports(unused)
        with contextlib.suppress(HavenError):
            self._volumes.delete_unused({each["id"] for each in volumes if each["new"]})

    # -- changing

    def terminate(self, ids: Sequence[str]) -> None:
        """Delete the servers with their own ports and addresses. The user's addresses are only detached."""
        known = [self._items[each] for each in ids if each in self._items]
        project = next((str((item.get("metadata") or {}).get(TAG_PROJECT)) for item in known), "")
        found = self._networks.belongings(project, {str(item["name"]) for item in known}, ids)
        together(self._delete_server, list(ids))
        self._delete_belongings(found)

    def _delete_server(self, server_id: str) -> None:
        self._os.delete("compute", f"/servers/{server_id}")

    def _delete_belongings(self, found: Belongings) -> None:
        together(self._networks.release, found.addresses)
        self._networks.delete_ports(port["id"] for port in found.ports)

    def start(self, ids: Sequence[str]) -> None:
        together(lambda each: self._act(each, _UP.get(self._status(each), {"os-start": None})), list(ids))

    def stop(self, ids: Sequence[str], *, hibernate: bool = False) -> None:
        together(lambda each: self._act(each, {"os-stop": None}), list(ids))

    def restart(self, ids: Sequence[str]) -> None:
        # A hard reboot also recovers a server that hangs or is in ERROR.
        together(lambda each: self._act(each, {"reboot": {"type": "HARD"}}), list(ids))

    def shelve(self, ids: Sequence[str]) -> None:
        together(lambda each: self._act(each, {"shelve": None}), list(ids))

    def rebuild(self, instance: Instance, spec: Spec, image: Optional[Image]) -> None:
        """Create the server's system disk again, with the same id, addresses, and volumes."""
        body: dict[str, Any] = {"imageRef": image.id if image else instance.image}
        user_data = shapes.user_data(spec)
        if user_data and (spec.user_data or not instance.tags.get(shapes.META_USER_DATA)):
            # If it is not given, the server keeps its user data.
            body["user_data"] = user_data
        # The new system has a new host key.
        metadata = {key: value for key, value in instance.tags.items() if key not in (TAG_NAME, TAG_HOST_KEY)}
        metadata[shapes.META_IMAGE] = body["imageRef"]
        if spec.user_data:
            metadata[shapes.META_USER_DATA] = _cloud_init.digest(spec.project, spec.user_data)
        body["metadata"] = metadata
        self._act(instance.id, {"rebuild": body})

    def _act(self, server_id: str, action: Mapping[str, Any]) -> None:
        with self._unlocked(server_id):
            if self._status(server_id) == "VERIFY_RESIZE":
                # Left by an interrupted run. Until then, nova refuses everything else.
                self._confirm_resize(server_id, self.deadline.within(RESIZE_TIMEOUT))
            self._act_once(server_id, action)

    def _act_once(self, server_id: str, action: Mapping[str, Any]) -> None:
        """Ask for an action. If nova fails, or does not answer, look whether the server has begun with it."""
        before = _progress(self._items.get(server_id, {}))
        try:
            self._os.attempt("POST", "compute", f"/servers/{server_id}/action", action)
            return
        except RefusedCall as refused:
            failure: HavenError = refused.explain()
            if refused.status < 500:
                raise failure from refused
        except Unreachable as unreachable:
            failure = unreachable
        time.sleep(ACTION_SHOWS)
        if _progress(self._look(server_id)) == before:
            raise failure

    def _status(self, server_id: str) -> str:
        return str(self._items.get(server_id, {}).get("status", ""))

    @contextlib.contextmanager
    def _unlocked(self, server_id: str) -> Iterator[None]:
        """Unlock the server for our change, because nova's lock refuses everything, unlike EC2's protection."""
        locked = bool(self._items.get(server_id, {}).get("locked"))
        if locked:
            self._lock(server_id, False)
        try:
            yield
        finally:
            if locked:
                self._lock(server_id, True)

    def _lock(self, server_id: str, on: bool) -> None:
        body = {"lock": {"locked_reason": "haven.gpu: termination_protection"}} if on else {"unlock": None}
        self._os.call("POST", "compute", f"/servers/{server_id}/action", body, harmless=True)
        self._items[server_id] = {**self._items.get(server_id, {"id": server_id}), "locked": on}

    def tag(self, ids: Sequence[str], tags: Mapping[str, str]) -> None:
        metadata = {key: value for key, value in tags.items() if key != TAG_NAME}
        for each in ids:
            with self._unlocked(each):
                if TAG_NAME in tags:
                    self._os.put("compute", f"/servers/{each}", {"server": {"name": tags[TAG_NAME]}})
                    self._items[each] = {**self._items[each], "name": tags[TAG_NAME]}
                if metadata:
                    self._os.call("POST", "compute", f"/servers/{each}/metadata", {"metadata": metadata}, harmless=True)

    def untag(self, ids: Sequence[str], keys: Sequence[str]) -> None:
        for each in ids:
            with self._unlocked(each):
                for key in keys:
                    self._os.delete("compute", f"/servers/{each}/metadata/{errors.quoted(key)}")

    def update(self, instance: Instance, change: Change) -> None:
        if change.field == "delete_with_instance":
            body = {"volumeAttachment": {"volumeId": change.target, "delete_on_termination": change.after}}
            path = f"/servers/{instance.id}/os-volume_attachments/{change.target}"
            with self._unlocked(instance.id):
                self._os.put("compute", path, body)
            if change.part == "root_volume":
                self._volumes.keep(change.target, not change.after)
        elif change.field == "size_gib":
            self._volumes.grow(change.target, change.after)
        elif change.field == "type":
            self._volumes.retype(change.target, change.after)
        elif change.field == "firewalls":
            self._networks.set_groups(instance.id, self._networks.group_ids(instance.project, change.after))
        elif change.field == "instance_type":
            self._resize(instance, change.after)
        elif change.field == "termination_protection":
            self._lock(instance.id, bool(change.after))
        elif change.field == "public_address" or change.option == "floating_ip":
            self._change_address(instance, change)
        else:
            raise InvalidRequest(f"{change.subject} of {instance.name} cannot be changed on OpenStack.")

    def _change_address(self, instance: Instance, change: Change) -> None:
        options = dict(change.details)
        if change.option == "floating_ip":
            options["floating_ip"] = change.after
        try:
            self._floating[instance.id] = self._networks.change(
                instance.project, instance.name, instance.id, public=bool(change.after), options=options
            )
        except QuotaExceeded as error:
            raise with_what_is_free(self._os, error) from error
        self._await_address(instance.id, self._floating[instance.id])

    def _await_address(self, server_id: str, wanted: Optional[str]) -> None:
        """Wait until nova has learned of it from neutron, about a second. Until then, the next run would see a
        difference."""
        deadline = self.deadline.within(ADDRESS_TIMEOUT)
        pause = 0.2
        while not deadline.over:
            item = self._look(server_id)
            if shapes.addresses(item.get("addresses") or {})[1] == wanted:
                return
            time.sleep(pause)
            pause = min(pause * 2, 2.0)

    def _resize(self, instance: Instance, flavor: str) -> None:
        """Resize a stopped server and keep the result."""
        flavor_id = self._flavor_id(flavor)
        with self._unlocked(instance.id):
            self._os.post("compute", f"/servers/{instance.id}/action", {"resize": {"flavorRef": flavor_id}})
            deadline = self.deadline.within(RESIZE_TIMEOUT)
            pause = 0.4
            while True:
                time.sleep(pause)
                item = self._look(instance.id)
                if item["status"] == "VERIFY_RESIZE":
                    break
                if item.get("OS-EXT-STS:task_state") is None and item["status"] != "RESIZE":
                    fault = (item.get("fault") or {}).get("message") or ""
                    error = errors.from_fault(fault, f"{instance.name} as {flavor}", self._why(instance.id))
                    raise with_what_is_free(self._os, error)
                if deadline.over:
                    raise TimedOut(f"The resize of {instance.name} to {flavor} has not finished: run again later.")
                progress.known(f"{instance.name} is being resized to {flavor}, state {item['status']}")
                pause = min(pause * 1.5, 2.0)
            self._confirm_resize(instance.id, deadline)

    def _confirm_resize(self, server_id: str, deadline: Deadline) -> None:
        self._os.post("compute", f"/servers/{server_id}/action", {"confirmResize": None})
        while self._look(server_id)["status"] == "VERIFY_RESIZE" and not deadline.over:
            time.sleep(0.4)

    def _look(self, server_id: str) -> Mapping[str, Any]:
        """The server as nova returns it now. Raises NotFound."""
        if server_id not in self.refresh([server_id]):
            raise NotFound(f"The instance {server_id} has been removed meanwhile: run again.")
        return self._items[server_id]

    def _why(self, server_id: str) -> str:
        """What nova reports about the last action, if the server itself has no fault."""
        with contextlib.suppress(HavenError, RefusedCall, KeyError, IndexError):
            last = self._os.get("compute", f"/servers/{server_id}/os-instance-actions")["instanceActions"][0]
            path = f"/servers/{server_id}/os-instance-actions/{last['request_id']}"
            found = self._os.get("compute", path)["instanceAction"]
            told = [event.get("details") for event in found.get("events") or []]
            return next(filter(None, told), "")
        return ""

    # -- disks that outlive their instance

    def leftovers(self, project: str, names: Iterable[str]) -> list[Resource]:
        wanted = set(names)
        spare = self._networks.belongings(project, wanted)
        found = [each for each in self._volumes_of(project) if each.name in wanted]
        spared: tuple[tuple[Kind, Sequence[Mapping[str, Any]]], ...] = (
            ("port", spare.ports),
            ("address", spare.addresses),
        )
        for kind, items in spared:
            for item in items:
                owner, name, _rest = shapes.unmarked(item.get("description"))
                # A user's own address is detached with its port, and kept.
                if owner:
                    found.append(Resource(kind, item["id"], name, str(item.get("status") or "").lower(), used=False))
        return found

    def remove(self, resource: Resource) -> None:
        if resource.kind == "volume":
            self._volumes.delete([resource.id])
        elif resource.kind == "port":
            self._networks.delete_ports([resource.id])
        elif resource.kind == "address":
            self._os.delete("network", f"/floatingips/{resource.id}")
        elif resource.kind == "firewall":
            self._delete_group(resource)
        else:
            self._os.delete("compute", f"/os-keypairs/{errors.quoted(resource.id)}")


def _progress(item: Mapping[str, Any]) -> tuple[Any, ...]:
    return item.get("status"), item.get("OS-EXT-STS:task_state")


def _call(listing: Callable[[], list[Resource]]) -> list[Resource]:
    return listing()


def _name_filter(names: Sequence[str]) -> Optional[str]:
    """Return nova's filter, a regular expression. Too many names, and special characters, are filtered here."""
    if not names or len(names) > _MOST_NAMES or not all(_PLAIN_NAME.fullmatch(name) for name in names):
        return None
    return "^(" + "|".join(name.replace(".", "[.]") for name in names) + ")$"


def _needs(flavor: Mapping[str, Any]) -> str:
    extra = flavor.get("extra_specs") or {}
    special = [
        f"{key.partition(':')[2]}={value}" if key != "pci_passthrough:alias" else value
        for key, value in sorted(extra.items())
        if key.startswith("resources") or key == "pci_passthrough:alias" or value == "required"
    ]
    basic = f"{flavor['vcpus']} vCPUs, {flavor['ram'] / 1024:g} GiB of memory, {flavor['disk']} GiB of disk"
    return ", ".join([basic, *special])
