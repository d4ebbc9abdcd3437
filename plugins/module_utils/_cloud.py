# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Protocol that a cloud implements: what reads, what creates and changes, and what deletes.

An adapter maps its SDK's shapes to :mod:`_models` and its errors to :mod:`_errors`, retries what may be retried, and
decides nothing: what to do is decided in :mod:`_plan`. How a cloud is added is in CONTRIBUTING.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Optional, Protocol, runtime_checkable

from ._errors import HavenError
from ._models import (
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
    Traits,
)

if TYPE_CHECKING:
    from ._ssh.api_proxy import ApiProxy


class Asks(Protocol):
    """Everything that changes nothing."""

    name: str
    region: str
    pacing: Pacing
    # Whether a restarted instance is seen to be pending until it is up again.
    restart_shows: bool

    def in_region(self, region: str) -> Cloud:
        """The same identity in another region of the cloud; cheaper than connecting anew."""

    def regions(self) -> list[str]:
        """The regions that the account may use."""

    def instances(
        self,
        project: Optional[str] = None,
        names: Iterable[str] = (),
        *,
        states: Iterable[str] = (),
        filters: Optional[Mapping[str, Sequence[str]]] = None,
        details: bool = False,
    ) -> list[Instance]:
        """All instances of a project (None: of every project that carries the tag), terminated ones included unless
        ``states`` says which. One listing, whatever the number. ``filters`` are the cloud's own, by name; one on the
        state replaces ``states``. With ``details`` each carries all that the cloud said."""

    def refresh(self, ids: Sequence[str]) -> dict[str, Instance]:
        """The instances with these ids as they are now; one not visible yet is missing from the answer. It never lists
        more than is asked for."""

    def with_volumes(self, instances: Sequence[Instance]) -> list[Instance]:
        """The same instances with their disks' sizes, types and encryption."""

    def with_attributes(self, instances: Sequence[Instance], names: Iterable[str]) -> list[Instance]:
        """The same instances with attributes outside the listing: termination_protection, shutdown_behavior,
        user_data (as bytes, or as _cloud_init's digest where the cloud does not give it back), and firewall_ids. Each
        may take a call, so only those the user set are asked for."""

    def image(self, choice: ImageChoice) -> Image:
        """The image to use. Raises NotFound, or InvalidRequest for a kind of choice that the cloud does not have."""

    def gpu(self, instance_type: str) -> Optional[Gpu]:
        """The GPUs of an instance type; None when it has none or is not known."""

    def console(self, instance: Instance) -> str:
        """The instance's console output, as far as the cloud has it."""

    def failure(self, instance: Instance, wanted: str) -> HavenError:
        """Why an instance went away or failed instead of reaching a state, as far as the cloud says."""

    def leftovers(self, project: str, names: Iterable[str]) -> list[Resource]:
        """What belongs to instances of these names, whether they exist or not, and may outlive them: disks, on some
        clouds also ports and addresses that no instance has."""

    def resources(self, project: str) -> list[Resource]:
        """Everything that carries the project's mark and is not gone."""

    def key_pair(self, project: str, name: str) -> Optional[KeyPair]:
        """The project's key pair of this name; Refused when the name is taken by one without its mark."""

    def firewall(self, project: str, name: str, network: Optional[str]) -> Optional[Firewall]:
        """The project's firewall of this name. When the name is taken by one without its mark, this raises Refused, or
        create_firewall() does."""

    def firewall_ids(self, project: str, names: Iterable[str]) -> Mapping[str, str]:
        """The ids of the project's firewalls of these names, as far as they exist; an id stands for itself. Only what
        carries the project's mark is its firewall, whatever its name is. Asks the cloud once for each name."""


class Changes(Protocol):
    """Everything that makes or changes something."""

    def create(self, spec: Spec, image: Image, generation: int) -> Instance:
        """Create the instance, tags included, under a token made of project, name and generation.

        One request makes one instance, whatever becomes of its answer: it is sent again only where the token sees to
        that, or after a look. Whether two requests do is for the token or for settle() to see to. Raises TokenUsed when
        the token was spent, LostAnswer when the instance may still be made, and NotFound for a firewall that the
        project has not. Where it is refused nothing is left that was made for it.
        """

    def settle(self, instances: Sequence[Instance]) -> list[Instance]:
        """The instances that count for those made just now: others where another controller made them, too, and then
        those made here are removed."""

    def start(self, ids: Sequence[str]) -> None: ...

    def stop(self, ids: Sequence[str], *, hibernate: bool = False) -> None: ...

    def restart(self, ids: Sequence[str]) -> None: ...

    def update(self, instance: Instance, change: Change) -> None:
        """Carry out one change of kind "update", by its ``field``. Raises InvalidRequest for what cannot change."""

    def tag(self, ids: Sequence[str], tags: Mapping[str, str]) -> None:
        """Set these tags and leave the others as they are."""

    def untag(self, ids: Sequence[str], keys: Sequence[str]) -> None:
        """Take these tags away. That one is gone already is no error."""

    def import_key_pair(self, spec: KeyPairSpec) -> KeyPair:
        """Import it, or find it when the project has one of this name already; Refused as in key_pair()."""

    def create_firewall(self, spec: FirewallSpec) -> Firewall:
        """Create it closed for incoming traffic and, as clouds do, open for outgoing; or find it when the project has
        one of this name already. Raises Refused for one without its mark."""

    def open_firewall(self, firewall: Firewall, rules: Sequence[Rule]) -> None:
        """Add these rules to it, as this adapter read it. That one is there already is no error."""

    def close_firewall(self, firewall: Firewall, rules: Sequence[Rule]) -> None:
        """Take these rules off it, as this adapter read it. That one is gone already is no error."""


class Removes(Protocol):
    """Everything that removes something."""

    def terminate(self, ids: Sequence[str]) -> None:
        """Begin to remove instances with all that goes with them. That one is gone already is no error."""

    def discard(self, instance: Instance) -> None:
        """Remove an instance that never ran, with all that this run made for it."""

    def remove(self, resource: Resource) -> None:
        """Remove something that is no instance, by its id, waiting a bounded time for a last instance to let go of it.
        That it is gone already is no error."""


class Cloud(Asks, Changes, Removes, Protocol):
    """One region of one cloud, as one identity."""


@runtime_checkable
class Shelves(Protocol):
    """A cloud that can give back the place of an instance and keep its disk."""

    def shelve(self, ids: Sequence[str]) -> None: ...


@runtime_checkable
class Rebuilds(Protocol):
    """A cloud that can make the root disk of an instance anew."""

    def rebuild(self, instance: Instance, spec: Spec, image: Optional[Image]) -> None:
        """From the image or from its own; its recorded host key is forgotten."""


class CloudPackage(Protocol):
    """What the folder of a cloud exports; nothing of it loads the SDK but ``connect``.

    NAME is what users write. CONNECTION and INSTANCE are argument specifications: of the options under that name, and
    of those of instances. ENVIRONMENT and FILES are what the SDK reads: the beginnings of variables' names, and files,
    each with the variable that names another one, if any.
    """

    NAME: str
    CONNECTION: dict[str, Any]
    INSTANCE: dict[str, Any]
    TRAITS: Traits
    ENVIRONMENT: tuple[str, ...]
    FILES: tuple[tuple[str, str], ...]

    def connect(self, options: dict[str, Any], proxy: Optional[ApiProxy] = None) -> Cloud:
        """The adapter for one region."""

    def instance_options(
        self, chosen: Mapping[str, Any], params: Mapping[str, Any], names: Sequence[str]
    ) -> dict[str, Any]:
        """The options of INSTANCE as a specification has them: ``chosen`` of the module's ``params``, for instances of
        these names. ``former_name``, where a cloud can rename an instance, is the name it had. Raises InvalidRequest
        for what contradicts itself."""
