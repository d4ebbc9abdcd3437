# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The data models for instances and everything around them, the same for every cloud.

Sizes are GiB, times are ISO 8601 in UTC, states are one of :data:`STATES`. Optional fields of a *specification* mean
"the user did not say": they are neither compared nor changed. Optional fields of an *observation* mean "not known".
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Optional, Union

from ._ownership import TAG_HOST_KEY, TAG_LOGIN_USER, generation, marks

STATES = ("pending", "running", "stopping", "stopped", "shelved", "failed", "terminating", "terminated")
GONE = ("terminating", "terminated")


@dataclass(frozen=True)
class Gpu:
    """The GPUs of an instance: ``memory_gib`` is that of one GPU."""

    model: str
    count: int
    memory_gib: float


@dataclass(frozen=True)
class Volume:
    """A disk of an instance, as observed; ``size_gib``, ``type`` and ``encrypted`` are None when they were not read."""

    id: str
    device: str
    delete_with_instance: bool
    root: bool = False
    size_gib: Optional[int] = None
    type: Optional[str] = None
    encrypted: Optional[bool] = None


@dataclass(frozen=True)
class Instance:
    """One instance, as observed. Everything in it came from a cloud and is untrusted text."""

    id: str
    name: str
    project: str
    cloud: str
    region: str
    state: str
    availability_zone: Optional[str] = None
    instance_type: Optional[str] = None
    gpu: Optional[Gpu] = None
    image: Optional[str] = None
    private_address: Optional[str] = None
    public_address: Optional[str] = None
    subnet: Optional[str] = None
    key_pair: Optional[str] = None
    firewalls: tuple[str, ...] = ()
    firewall_ids: tuple[str, ...] = ()
    launched_at: Optional[str] = None
    state_reason: Optional[str] = None
    spot: bool = False
    hibernation: bool = False
    volumes: tuple[Volume, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    # What one cloud has and the other lacks, by option name; only what the listing shows.
    options: Mapping[str, Any] = field(default_factory=dict)
    # How it is paid for, where the cloud says so: on_demand, spot, capacity_block ...; empty where it does not.
    price_class: str = ""
    # Everything the cloud said, in its own words and plain JSON types; only in a listing that asks for it.
    details: Mapping[str, Any] = field(default_factory=dict)
    # Attributes outside the listing: filled by Cloud.attributes() for those asked for.
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def host_key(self) -> Optional[str]:
        return self.tags.get(TAG_HOST_KEY)

    @property
    def login_user(self) -> Optional[str]:
        return self.tags.get(TAG_LOGIN_USER)

    @property
    def generation(self) -> int:
        return generation(self.tags)

    @property
    def failed_to_start(self) -> bool:
        """Whether it never ran and never will: it has no data and counts for nothing."""
        return self.state == "failed" and self.launched_at is None

    @property
    def gone(self) -> bool:
        return self.state in GONE or self.failed_to_start

    def as_dict(self) -> dict[str, Any]:
        """The documented return value: plain types only, the same keys for every cloud."""
        return {
            "id": self.id,
            "name": self.name,
            "project": self.project,
            "cloud": self.cloud,
            "region": self.region,
            "availability_zone": self.availability_zone,
            "state": self.state,
            "instance_type": self.instance_type,
            "gpu": dataclasses.asdict(self.gpu) if self.gpu else None,
            "image": self.image,
            "private_address": self.private_address,
            "public_address": self.public_address,
            "subnet": self.subnet,
            "key_pair": self.key_pair,
            "firewalls": list(self.firewalls),
            "launched_at": self.launched_at,
            "spot": self.spot,
            "host_key": self.host_key,
            "login_user": self.login_user,
            "volumes": [dataclasses.asdict(volume) for volume in self.volumes],
            "tags": dict(self.tags),
        }


@dataclass(frozen=True)
class ImageChoice:
    """Exactly one of: an id, a name pattern (with an owner, newest wins), a parameter of the cloud that holds an id."""

    id: Optional[str] = None
    name: Optional[str] = None
    owner: Optional[str] = None
    parameter: Optional[str] = None


@dataclass(frozen=True)
class Image:
    """``min_disk_gib`` is what a disk needs to hold it, where that is known."""

    id: str
    name: str = ""
    root_device: str = ""
    min_disk_gib: int = 0


@dataclass(frozen=True)
class VolumeSpec:
    """A disk as wanted. ``device`` None is the root disk in ``Spec.root_volume``; data disks always have one."""

    device: Optional[str] = None
    size_gib: Optional[int] = None
    type: Optional[str] = None
    encrypted: Optional[bool] = None
    delete_with_instance: Optional[bool] = None


@dataclass(frozen=True)
class Hop:
    """A jump host; ``inside_address`` is the one that machines behind it see."""

    host: str
    port: int = 22
    user: Optional[str] = None
    key: Optional[str] = None
    host_key: Optional[str] = None
    inside_address: Optional[str] = None


@dataclass(frozen=True)
class HostKey:
    """An ed25519 host key: ``type base64``, the private file's text, which no message or result may show, and what
    somebody signed of it, if anything."""

    public: str
    private: str = field(repr=False)
    certificate: str = ""


@dataclass(frozen=True)
class Spec:
    """One instance as wanted. None means "not said"; ``user_data`` is the user's own text, before ours is added.

    ``host_key`` is made for a creation that injects it, and is no part of the wish.
    """

    project: str
    name: str
    # Instead of the name, for an instance that exists.
    id: Optional[str] = None
    state: str = "present"
    image: Optional[ImageChoice] = None
    instance_type: Optional[str] = None
    key_pair: Optional[str] = None
    firewalls: Optional[tuple[str, ...]] = None
    subnet: Optional[str] = None
    availability_zone: Optional[str] = None
    public_address: Optional[bool] = None
    private_address: Optional[str] = None
    root_volume: Optional[VolumeSpec] = None
    data_volumes: tuple[VolumeSpec, ...] = ()
    user_data: Optional[str] = None
    login_user: Optional[str] = None
    tags: Mapping[str, str] = field(default_factory=dict)
    purge_tags: bool = False
    spot: bool = False
    spot_max_price: Optional[str] = None
    shutdown_behavior: Optional[str] = None
    termination_protection: Optional[bool] = None
    hibernation: Optional[bool] = None
    record_host_key: bool = True
    host_key_source: str = "console"
    host_key_signer: Optional[str] = None
    host_key: Optional[HostKey] = field(default=None, repr=False, compare=False)
    allow_stop: bool = False
    recreate: bool = False
    delete_volumes: bool = False
    former_name: Optional[str] = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """What the instance is addressed by: its id, where that was given, or its name."""
        return self.id or self.name

    def all_tags(self, host_key: Optional[str] = None) -> dict[str, str]:
        """Every tag the instance must have, but for its generation; ``host_key`` is what its console says."""
        if self.host_key:
            host_key = self.host_key.public
        return {**self.tags, **marks(self.project, self.name, self.login_user, host_key)}


@dataclass(frozen=True)
class KeyPair:
    id: str
    name: str
    project: str
    fingerprint: str
    public_key: str
    tags: Mapping[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return {"id": self.id, "name": self.name, "project": self.project, "fingerprint": self.fingerprint}


@dataclass(frozen=True)
class KeyPairSpec:
    project: str
    name: str
    state: str = "present"
    public_key: Optional[str] = None
    recreate: bool = False


@dataclass(frozen=True, order=True)
class Rule:
    """One permission, flat: one protocol, one range of ports, one peer, so that sets of them can be compared.

    ``protocol`` is tcp, udp, icmp or all; ports are -1 where the protocol has none; ``peer`` is a CIDR.
    """

    direction: str
    protocol: str
    from_port: int
    to_port: int
    peer: str
    description: str = field(default="", compare=False)


@dataclass(frozen=True)
class Firewall:
    id: str
    name: str
    project: str
    description: str
    network: Optional[str]
    rules: frozenset[Rule]
    tags: Mapping[str, str] = field(default_factory=dict)
    # Ids of groups of the same name that do not carry our mark.
    namesakes: tuple[str, ...] = ()


@dataclass(frozen=True)
class FirewallSpec:
    """``ingress`` or ``egress`` None: not said, leave what is there."""

    project: str
    name: str
    state: str = "present"
    description: str = ""
    ingress: Optional[frozenset[Rule]] = None
    egress: Optional[frozenset[Rule]] = None
    network: Optional[str] = None


Kind = Literal["instance", "volume", "firewall", "key_pair", "address", "port"]


@dataclass(frozen=True)
class Resource:
    """Something that carries the project's tag. ``used`` tells whether something uses it, where that can be known."""

    kind: Kind
    id: str
    name: str
    state: str
    used: Optional[bool] = None

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class Observed:
    """What was read about one name before deciding: the instances under it, and what their plan depends on.

    ``image`` and ``gpu`` belong to an instance to be made; ``host_key`` is what the console of the instance says, where
    it was read; ``leftovers`` are the disks that may be deleted with it; ``firewall_ids`` are the ids of the firewalls
    that are wanted, None where one does not exist.
    """

    found: tuple[Instance, ...] = ()
    image: Optional[Image] = None
    gpu: Optional[Gpu] = None
    host_key: Optional[str] = None
    leftovers: tuple[Resource, ...] = ()
    firewall_ids: Optional[tuple[str, ...]] = None

    @property
    def live(self) -> list[Instance]:
        return [instance for instance in self.found if not instance.gone]

    @property
    def remnants(self) -> list[Instance]:
        """What failed creations left behind."""
        return [instance for instance in self.found if instance.failed_to_start]


Action = Literal["create", "terminate", "start", "stop", "restart", "shelve", "rebuild", "update", "remove"]
# What an update changes. Of a disk: which one says ``part``. An option that only some clouds have: ``option`` names it.
Field = Literal[
    "",
    "availability_zone",
    "data_volumes",
    "delete_with_instance",
    "encrypted",
    "firewall",
    "firewalls",
    "hibernation",
    "host_key",
    "image",
    "instance_type",
    "key_pair",
    "option",
    "private_address",
    "public_address",
    "removed_tags",
    "shutdown_behavior",
    "size_gib",
    "spot",
    "subnet",
    "tags",
    "termination_protection",
    "type",
    "user_data",
]


@dataclass(frozen=True)
class Change:
    """One step of a plan.

    ``target`` is the id of what the step works on where that is not the instance itself: a disk, or what is removed,
    which is of that ``kind``. ``details`` are the cloud's own options that say how.
    """

    action: Action
    field: Field = ""
    before: Any = None
    after: Any = None
    target: str = ""
    part: Literal["", "root_volume", "data_volumes"] = ""
    option: str = ""
    kind: Union[Kind, Literal[""]] = ""
    needs_stop: bool = False
    details: Mapping[str, Any] = dataclasses.field(default_factory=dict, compare=False)

    @property
    def label(self) -> str:
        """What a diff calls it."""
        return f"{self.subject or self.kind} {self.target}".strip()

    @property
    def subject(self) -> str:
        """What an update is about, by the names of the options."""
        return self.option or ".".join(filter(None, (self.part, self.field)))


@dataclass(frozen=True)
class Traits:
    """What plans have to know about a cloud, which people call ``title``.

    ``changeable`` are names of options that can be changed on an instance that exists; ``unsupported`` are fields of
    Spec the cloud does not have, with a sentence; ``states`` are those that not every cloud has; ``reserved_tags`` are
    the beginnings of tags that are the cloud's own; ``address_option`` is the option of its own, if any, that names the
    public address to give. What a plan promises of a disk and a price has no default: a cloud that says nothing of them
    must not promise anything.
    """

    title: str
    encrypts_disks: bool
    sells_spot: bool
    changeable: frozenset[str] = frozenset()
    unsupported: Mapping[str, str] = field(default_factory=dict)
    states: frozenset[str] = frozenset()
    reserved_tags: tuple[str, ...] = ()
    address_option: str = ""


@dataclass(frozen=True)
class Pacing:
    """Seconds before the first question, then between two, growing by a factor up to the longest."""

    first: float = 0.3
    then: float = 1.0
    growth: float = 1.0
    longest: float = 1.0


@dataclass(frozen=True)
class Plan:
    """What a run does to one named thing, in order. Empty means nothing to do."""

    name: str
    changes: tuple[Change, ...] = ()

    @property
    def changed(self) -> bool:
        return bool(self.changes)

    def has(self, action: str) -> bool:
        return any(change.action == action for change in self.changes)
