# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The data models for instances and everything around them, the same for every cloud.

Sizes are in GiB, times are ISO 8601 in UTC, and states are one of :data:`STATES`. In a *specification*, None means "not
given by the user": the field is neither compared nor changed. In an *observation*, it means "not known".
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
    """The GPUs of an instance. ``memory_gib`` is per GPU, 0 if it is not known. ``count`` is 0 if the cloud does not
    say how many there are, if any."""

    model: str
    count: int
    memory_gib: float


@dataclass(frozen=True)
class Volume:
    """An observed disk of an instance. ``size_gib``, ``type``, and ``encrypted`` are None if they were not read."""

    id: str
    device: str
    delete_with_instance: bool
    root: bool = False
    size_gib: Optional[int] = None
    type: Optional[str] = None
    encrypted: Optional[bool] = None


@dataclass(frozen=True)
class Instance:
    """An observed instance. Everything in it comes from a cloud and is untrusted text."""

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
    # Values of options that only some clouds have, by option name, as far as the listing contains them.
    options: Mapping[str, Any] = field(default_factory=dict)
    # The price class, if the cloud reports it: on_demand, spot, capacity_block, ...; otherwise empty.
    price_class: str = ""
    # Everything that the cloud returned, as plain JSON types, if the listing asked for it.
    details: Mapping[str, Any] = field(default_factory=dict)
    # Attributes that are not in the listing, as far as Cloud.attributes() was asked for them.
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
        """Whether it never ran and never will, so that it has no data and can be ignored."""
        return self.state == "failed" and self.launched_at is None

    @property
    def gone(self) -> bool:
        return self.state in GONE or self.failed_to_start

    def as_dict(self) -> dict[str, Any]:
        """The documented return value: plain types, with the same keys for every cloud."""
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
    """One of: an id, a name pattern (with an owner; the newest is used), or a parameter of the cloud with an id."""

    id: Optional[str] = None
    name: Optional[str] = None
    owner: Optional[str] = None
    parameter: Optional[str] = None


@dataclass(frozen=True)
class Image:
    """An image. ``min_disk_gib`` is the minimum size of its disk, if that is known. ``owner`` is the cloud's id of the
    account or project that it belongs to, if that is known: several images can have one name. ``architecture`` is that
    of the processors that it runs on."""

    id: str
    name: str = ""
    owner: str = ""
    root_device: str = ""
    min_disk_gib: int = 0
    architecture: str = ""


@dataclass(frozen=True)
class VolumeSpec:
    """A requested disk. Data disks always have a ``device``; for ``Spec.root_volume`` it is None."""

    device: Optional[str] = None
    size_gib: Optional[int] = None
    type: Optional[str] = None
    encrypted: Optional[bool] = None
    delete_with_instance: Optional[bool] = None


@dataclass(frozen=True)
class Hop:
    """A jump host. ``inside_address`` is the address that machines behind it see."""

    host: str
    port: int = 22
    user: Optional[str] = None
    key: Optional[str] = None
    host_key: Optional[str] = None
    inside_address: Optional[str] = None


@dataclass(frozen=True)
class HostKey:
    """An ed25519 host key: ``type base64``, the text of the private key file, which must never be shown, and its
    certificate, if it is signed."""

    public: str
    private: str = field(repr=False)
    certificate: str = ""


@dataclass(frozen=True)
class Spec:
    """A requested instance. None means "not given". ``user_data`` is the user's own text, before ours is added.

    ``host_key`` is created for an instance that gets it injected; the user does not request it.
    """

    project: str
    name: str
    # Instead of the name, for an existing instance.
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
    # Lines of authorized_keys.
    ssh_keys: tuple[str, ...] = ()
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
        """The id, if it was given, or the name."""
        return self.id or self.name

    def all_tags(self, host_key: Optional[str] = None) -> dict[str, str]:
        """Every tag that the instance must have, except its generation. ``host_key`` is from its console."""
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
    """A single firewall rule, with one protocol, one port range, and one peer, so that sets of rules can be compared.

    ``protocol`` is tcp, udp, icmp, or all. Ports are -1 for protocols without ports. ``peer`` is a CIDR.
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
    # Ids of groups with the same name but without our mark.
    namesakes: tuple[str, ...] = ()


@dataclass(frozen=True)
class FirewallSpec:
    """A requested firewall. ``ingress`` or ``egress`` None means to keep the existing rules. ``subnet`` stands for the
    network that it is in."""

    project: str
    name: str
    state: str = "present"
    description: str = ""
    ingress: Optional[frozenset[Rule]] = None
    egress: Optional[frozenset[Rule]] = None
    network: Optional[str] = None
    subnet: Optional[str] = None


@dataclass(frozen=True)
class Finding:
    """What a check found out. ``about`` is what was checked.

    ``said`` is about what is right; or what is wrong, why, and what to try; or why it is "unknown".
    """

    about: str
    verdict: Literal["ok", "wrong", "unknown"]
    said: str = ""

    def as_dict(self) -> dict[str, str]:
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class Wishes:
    """What does not exist yet and is about to be created: instances, the images that were found for them, and the key
    pair and the firewall. ``firewall`` is the existing one, if there is one."""

    specs: tuple[Spec, ...]
    images: Mapping[ImageChoice, Image] = field(default_factory=dict)
    key_pair: Optional[KeyPairSpec] = None
    new_firewall: Optional[FirewallSpec] = None
    firewall: Optional[Firewall] = None

    @property
    def instance_types(self) -> list[str]:
        return sorted({spec.instance_type for spec in self.specs if spec.instance_type})

    def image_of(self, spec: Spec) -> Optional[Image]:
        return self.images.get(spec.image) if spec.image else None


Kind = Literal["instance", "volume", "firewall", "key_pair", "address", "port"]


@dataclass(frozen=True)
class Resource:
    """Something that carries the project's tag. ``used`` says whether something uses it, if that is known."""

    kind: Kind
    id: str
    name: str
    state: str
    used: Optional[bool] = None

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class Observed:
    """What was read about one name before planning: its instances, and what their plan depends on.

    ``image`` and ``gpu`` are those of a new instance. ``host_key`` is from the instance's console, if it was read.
    ``leftovers`` are the disks that can be deleted with it. ``firewall_ids`` are the ids of the requested firewalls, or
    None if one of them does not exist.
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
        """What failed creations have left behind."""
        return [instance for instance in self.found if instance.failed_to_start]


Action = Literal["create", "terminate", "start", "stop", "restart", "shelve", "rebuild", "update", "remove"]
# What an update changes. ``part`` says which disk; ``option`` names an option that only some clouds have.
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

    ``target`` is the id of what the step changes, if that is not the instance itself: a disk, or something of this
    ``kind`` to delete. ``details`` are the cloud's own options for the step.
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
        """Its name in a diff."""
        return f"{self.subject or self.kind} {self.target}".strip()

    @property
    def subject(self) -> str:
        """What an update changes, in terms of the options."""
        return self.option or ".".join(filter(None, (self.part, self.field)))


@dataclass(frozen=True)
class Traits:
    """What plans need to know about a cloud. ``title`` is its name for people.

    ``changeable`` are options that can be changed on an existing instance. ``unsupported`` are fields of Spec that the
    cloud does not have, each with a sentence. ``states`` are those that not every cloud has. ``reserved_tags`` are
    prefixes of the cloud's own tags. ``address_option`` is the cloud's option for choosing a public address, if any.
    ``key_types`` are the types of public keys that it imports, as they begin a line of authorized_keys.
    What a plan promises about disks, prices, and keys has no default, because a cloud that does not define it must not
    promise anything.
    """

    title: str
    encrypts_disks: bool
    sells_spot: bool
    key_types: tuple[str, ...]
    changeable: frozenset[str] = frozenset()
    unsupported: Mapping[str, str] = field(default_factory=dict)
    states: frozenset[str] = frozenset()
    reserved_tags: tuple[str, ...] = ()
    address_option: str = ""


@dataclass(frozen=True)
class Pacing:
    """Seconds before the first call and between further ones, growing by a factor up to a maximum."""

    first: float = 0.3
    then: float = 1.0
    growth: float = 1.0
    longest: float = 1.0


@dataclass(frozen=True)
class Plan:
    """The steps for one named thing, in order. Empty means that there is nothing to do."""

    name: str
    changes: tuple[Change, ...] = ()

    @property
    def changed(self) -> bool:
        return bool(self.changes)

    def has(self, action: str) -> bool:
        return any(change.action == action for change in self.changes)
