# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The memory cloud's adapter: it fulfils the Protocol in _cloud.py."""

from __future__ import annotations

import contextlib
import dataclasses
import fnmatch
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Callable, Optional, TypeVar

from ..._errors import (
    CloudFailure,
    HavenError,
    InvalidRequest,
    LostAnswer,
    NotFound,
    Refused,
    TokenUsed,
    Unreachable,
    Unsupported,
)
from ..._models import (
    Change,
    Firewall,
    FirewallSpec,
    Gpu,
    Image,
    ImageChoice,
    Instance,
    KeyPair,
    KeyPairSpec,
    Pacing,
    Resource,
    Rule,
    Spec,
)
from ..._ownership import TAG_NAME, TAG_PROJECT
from ..._retry import Deadline
from . import shapes
from .account import IMAGES, REGIONS, TYPES, Account, RejectedError, SilentError

ATTEMPTS = 3
# Ours: what the account calls it.
_KINDS = {"volume": "disks", "firewall": "firewalls", "key_pair": "key_pairs"}
_ERRORS: dict[str, type[HavenError]] = {"gone": NotFound, "invalid": InvalidRequest, "protected": Refused}
_T = TypeVar("_T")


@contextlib.contextmanager
def _errors() -> Iterator[None]:
    """What the account says as one of ours."""
    try:
        yield
    except RejectedError as error:
        raise _ERRORS.get(error.code, CloudFailure)(f"The memory cloud refused: {error}. Check the options.") from error
    except SilentError as error:
        raise Unreachable(f"The memory cloud does not answer ({error}): try again.") from error


class Memory:
    """One region of the memory cloud."""

    name = "memory"
    pacing = Pacing(first=0.0, then=0.02, longest=0.02)
    deadline = Deadline()
    restart_shows = True

    def __init__(self, account: Account, region: str) -> None:
        self._account = account
        self.region = region

    def in_region(self, region: str) -> Memory:
        return Memory(self._account, region)

    # -- looking

    def regions(self) -> list[str]:
        return list(REGIONS)

    def instances(
        self,
        project: Optional[str] = None,
        names: Iterable[str] = (),
        *,
        states: Iterable[str] = (),
        filters: Optional[Mapping[str, Sequence[str]]] = None,
        details: bool = False,
    ) -> list[Instance]:
        chosen, wanted = set(states), sorted(set(names))
        tags: dict[str, Sequence[str]] = {TAG_PROJECT: [project] if project else []}
        if wanted:
            tags[TAG_NAME] = wanted
        if TAG_PROJECT in (filters or {}):
            raise InvalidRequest(f"The filter {TAG_PROJECT} is haven.gpu's own: use projects instead.")
        found = self._listed({**(filters or {}), **tags}, details=details)
        return [each for each in found if not chosen or each.state in chosen]

    def refresh(self, ids: Sequence[str]) -> dict[str, Instance]:
        return {each.id: each for each in self._listed({}, list(ids))} if ids else {}

    def _listed(
        self, tags: Mapping[str, Sequence[str]], ids: Optional[Sequence[str]] = None, *, details: bool = False
    ) -> list[Instance]:
        with _errors():
            items = self._account.machines(self.region, tags, ids)
            names = {}
            if any(item["firewalls"] for item in items):
                names = {each["id"]: each["name"] for each in self._account.listed("firewalls", self.region, {})}
        found = [shapes.instance(item, self.gpu(item["type"]), names) for item in items]
        if not details:
            return found
        return [dataclasses.replace(each, details=dict(item)) for each, item in zip(found, items)]

    def with_volumes(self, instances: Sequence[Instance]) -> list[Instance]:
        with _errors():
            disks = {each["id"]: each for each in self._account.listed("disks", self.region, {})}
        return [
            dataclasses.replace(
                instance,
                volumes=tuple(
                    dataclasses.replace(each, size_gib=disks[each.id]["size_gib"], type=disks[each.id]["type"])
                    for each in instance.volumes
                    if each.id in disks
                ),
            )
            for instance in instances
        ]

    def with_attributes(self, instances: Sequence[Instance], names: Iterable[str]) -> list[Instance]:
        wanted = set(names)
        with _errors():
            items = {
                each["id"]: each for each in self._account.machines(self.region, {}, [one.id for one in instances])
            }
        completed = []
        for each in instances:
            item = items.get(each.id, {"protected": False, "user_data": ""})
            known = {"termination_protection": item["protected"], "user_data": item["user_data"].encode("latin-1")}
            known = {name: value for name, value in known.items() if name in wanted}
            completed.append(dataclasses.replace(each, attributes=known))
        return completed

    def image(self, choice: ImageChoice) -> Image:
        if choice.parameter:
            raise InvalidRequest("The memory cloud has no parameters that name images: give the image's id or name.")
        found = [
            Image(key, name, "root")
            for key, name in IMAGES.items()
            if (key == choice.id if choice.id else fnmatch.fnmatchcase(name, choice.name or ""))
        ]
        if not found:
            raise NotFound(f"The memory cloud has no image {ascii(choice.id or choice.name)[:80]}: check the name.")
        return found[-1]

    def gpu(self, instance_type: str) -> Optional[Gpu]:
        known = TYPES.get(instance_type)
        return Gpu(*known) if known else None

    def console(self, instance: Instance) -> str:
        with _errors():
            return self._account.console(instance.id)

    def failure(self, instance: Instance, wanted: str) -> HavenError:
        return CloudFailure(
            f"Instance {instance.name} ({instance.id}) is {instance.state} instead of {wanted}: run again."
        )

    def leftovers(self, project: str, names: Iterable[str]) -> list[Resource]:
        wanted = set(names)
        return [each for each in self._resources("volume", project) if each.name in wanted]

    def resources(self, project: str) -> list[Resource]:
        found = [
            Resource("instance", each.id, each.name, each.state)
            for each in self.instances(project)
            if each.state not in ("terminating", "terminated")
        ]
        for kind in _KINDS:
            found.extend(self._resources(kind, project))
        return found

    def _resources(self, kind: str, project: str) -> list[Resource]:
        with _errors():
            items = self._account.listed(_KINDS[kind], self.region, {TAG_PROJECT: project})
        return [shapes.resource(kind, item) for item in items]

    # -- making and changing

    def create(self, spec: Spec, image: Image, generation: int) -> Instance:
        known = self.firewall_ids(spec.project, spec.firewalls or ())
        missing = sorted(set(spec.firewalls or ()) - known.keys())
        if missing:
            raise NotFound(
                f"Project {spec.project} has no firewall {' or '.join(missing)}: create it with haven.gpu.firewall."
            )
        wanted = shapes.wanted(spec, image, generation, [known[each] for each in spec.firewalls or ()])
        token = shapes.token(spec, generation)
        with _errors():
            item = self._surely(lambda: self._account.create(self.region, token, wanted, shapes.disks(spec)))
        if item["state"] in ("terminating", "terminated"):
            raise TokenUsed(f"{spec.name}: {item['id']} is {item['state']}", terminated=True)
        return shapes.instance(item, self.gpu(item["type"]), {})

    @staticmethod
    def _surely(send: Callable[[], _T]) -> _T:
        """The answer to a request that may be sent again, since its token makes one thing of it."""
        for _attempt in range(ATTEMPTS):
            with contextlib.suppress(SilentError):
                return send()
        raise LostAnswer("The memory cloud did not answer: what was asked for may still be made. Run again.")

    def settle(self, instances: Sequence[Instance]) -> list[Instance]:
        # Tokens have seen to it already.
        now = self.refresh([each.id for each in instances])
        return [now.get(each.id, each) for each in instances]

    def start(self, ids: Sequence[str]) -> None:
        self._act("start", ids)

    def stop(self, ids: Sequence[str], *, hibernate: bool = False) -> None:
        self._act("stop", ids)

    def restart(self, ids: Sequence[str]) -> None:
        self._act("restart", ids)

    def _act(self, action: str, ids: Sequence[str]) -> None:
        with _errors():
            self._account.act(action, ids)

    def update(self, instance: Instance, change: Change) -> None:
        with _errors():
            if change.field == "termination_protection":
                self._account.change(instance.id, protected=bool(change.after))
            elif change.field == "instance_type":
                self._account.change(instance.id, type=change.after)
            elif change.field == "firewalls":
                known = self.firewall_ids(instance.project, change.after)
                self._account.change(instance.id, firewalls=[known[each] for each in change.after])
            elif change.option == "rack":
                self._account.change(instance.id, rack=change.after)
            elif change.field in ("size_gib", "type"):
                self._account.change_disk(change.target, **{change.field: change.after})
            elif change.field == "delete_with_instance":
                self._account.change_disk(change.target, delete=change.after)
            else:
                raise InvalidRequest(f"{change.subject} of {instance.name} cannot be changed on the memory cloud.")

    def tag(self, ids: Sequence[str], tags: Mapping[str, str]) -> None:
        with _errors():
            for each in ids:
                self._account.tag(each, tags)

    def untag(self, ids: Sequence[str], keys: Sequence[str]) -> None:
        with _errors():
            for each in ids:
                self._account.tag(each, dict.fromkeys(keys))

    # -- who may come in

    def _ours(self, kind: str, project: str, name: str) -> Any:
        """The project's thing of this name; Refused where the name is taken by one without its mark."""
        for each in self._account.listed(kind, self.region, {}):
            if each["name"] != shapes.scoped(project, name):
                continue
            if each["tags"].get(TAG_PROJECT) == project:
                return each
            raise Refused(
                f"The memory cloud has {each['name']} ({each['id']}), which does not carry the mark of project "
                f"{project}, so it is not touched: choose another name."
            )
        return None

    def _added(self, kind: str, project: str, name: str, **values: Any) -> Any:
        item = {"name": shapes.scoped(project, name), "tags": {TAG_PROJECT: project, TAG_NAME: name}, **values}
        try:
            return self._surely(lambda: self._account.add(kind, self.region, item))
        except RejectedError as error:
            # Made already: an answer was lost, or another controller was faster.
            found = self._ours(kind, project, name) if error.code == "exists" else None
            if found is None:
                raise
            return found

    def key_pair(self, project: str, name: str) -> Optional[KeyPair]:
        with _errors():
            item = self._ours("key_pairs", project, name)
        return shapes.key_pair(item) if item else None

    def import_key_pair(self, spec: KeyPairSpec) -> KeyPair:
        with _errors():
            return shapes.key_pair(self._added("key_pairs", spec.project, spec.name, public_key=spec.public_key))

    def firewall(self, project: str, name: str, network: Optional[str]) -> Optional[Firewall]:
        if network:
            raise Unsupported("A firewall of the memory cloud belongs to no network: leave network out.")
        with _errors():
            item = self._ours("firewalls", project, name)
        return shapes.firewall(item) if item else None

    def network_of(self, subnet: Optional[str]) -> Optional[str]:
        return None

    def firewall_ids(self, project: str, names: Iterable[str], subnet: Optional[str] = None) -> Mapping[str, str]:
        wanted = set(names)
        if not wanted:
            return {}
        with _errors():
            items = self._account.listed("firewalls", self.region, {})
        by_name = {each["tags"].get(TAG_NAME): each["id"] for each in items if each["tags"].get(TAG_PROJECT) == project}
        ids = {each["id"] for each in items}
        found = {each: by_name.get(each) or (each if each in ids else None) for each in wanted}
        return {name: known for name, known in found.items() if known}

    def create_firewall(self, spec: FirewallSpec) -> Firewall:
        everything = shapes.rule(Rule("out", "all", -1, -1, "0.0.0.0/0"))
        description = spec.description or f"haven.gpu project {spec.project}"
        with _errors():
            made = self._added("firewalls", spec.project, spec.name, description=description, rules=[everything])
        return shapes.firewall(made)

    def open_firewall(self, firewall: Firewall, rules: Sequence[Rule]) -> None:
        with _errors():
            self._account.set_rules(firewall.id, [shapes.rule(each) for each in rules], [])

    def close_firewall(self, firewall: Firewall, rules: Sequence[Rule]) -> None:
        with _errors():
            self._account.set_rules(firewall.id, [], [shapes.rule(each) for each in rules])

    # -- removing

    def terminate(self, ids: Sequence[str]) -> None:
        for each in ids:
            with contextlib.suppress(NotFound), _errors():
                self._account.act("terminate", [each])

    def discard(self, instance: Instance) -> None:
        self.terminate([instance.id])

    def remove(self, resource: Resource) -> None:
        with contextlib.suppress(NotFound), _errors():
            self._account.delete(_KINDS[resource.kind], resource.id)
