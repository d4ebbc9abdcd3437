# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Protocol that a cloud implements: what reads, what creates and changes, and what deletes.

An adapter converts its SDK's data to :mod:`_models` and its errors to :mod:`_errors`, and retries what can be retried.
It decides nothing; :mod:`_plan` does. CONTRIBUTING.md says how to add a cloud.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Optional, Protocol, runtime_checkable

from ._errors import HavenError
from ._models import (
    Change,
    Finding,
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
    Wishes,
)
from ._retry import Deadline

if TYPE_CHECKING:
    from ._ssh.api_proxy import ApiProxy


class Asks(Protocol):
    """Everything that only reads."""

    name: str
    # Empty where nobody said one and the cloud took its own.
    region: str
    pacing: Pacing
    # When all waiting of a run is over, as the user chose it. A cloud's own limits end waiting earlier, never later.
    deadline: Deadline
    # Whether a restarted instance is listed as pending until it is up again.
    restart_shows: bool

    def in_region(self, region: str) -> Cloud:
        """The same identity in another region of the cloud. Cheaper than a new connection."""

    def regions(self) -> list[str]:
        """The regions that the account can use."""

    def instances(
        self,
        project: Optional[str] = None,
        names: Iterable[str] = (),
        *,
        states: Iterable[str] = (),
        filters: Optional[Mapping[str, Sequence[str]]] = None,
        details: bool = False,
    ) -> list[Instance]:
        """All instances of a project (None: of every project), including terminated ones unless ``states`` is given.
        One listing, whatever their number. ``filters`` are the cloud's own, by name; a filter on the state replaces
        ``states``. With ``details``, each instance also has everything that the cloud returned."""

    def refresh(self, ids: Sequence[str]) -> dict[str, Instance]:
        """The instances with these ids as they are now, without those that are not visible yet. It never lists any
        others."""

    def with_volumes(self, instances: Sequence[Instance]) -> list[Instance]:
        """The same instances with the sizes, types, and encryption of their disks."""

    def with_attributes(self, instances: Sequence[Instance], names: Iterable[str]) -> list[Instance]:
        """The same instances with attributes outside the listing: termination_protection, shutdown_behavior,
        user_data (as bytes, or as _cloud_init's digest if the cloud does not return it), and firewall_ids. Each may
        take a call, so only those that the user set are requested."""

    def image(self, choice: ImageChoice) -> Image:
        """The image to use. Raises NotFound, or InvalidRequest if the cloud cannot choose images like this."""

    def gpu(self, instance_type: str) -> Optional[Gpu]:
        """The GPUs of an instance type, or None if it has none or is unknown."""

    def console(self, instance: Instance) -> str:
        """The instance's console output, as far as it is available."""

    def failure(self, instance: Instance, wanted: str) -> HavenError:
        """Why an instance disappeared or failed instead of reaching a state, as far as the cloud says."""

    def leftovers(self, project: str, names: Iterable[str]) -> list[Resource]:
        """What belongs to instances of these names, existing or not, and can outlive them: disks, and on some clouds
        unused ports and addresses."""

    def resources(self, project: str) -> list[Resource]:
        """Everything that carries the project's mark and is not gone."""

    def key_pair(self, project: str, name: str) -> Optional[KeyPair]:
        """The project's key pair of this name. Raises Refused if one without the project's mark has the name."""

    def firewall(self, project: str, name: str, network: Optional[str]) -> Optional[Firewall]:
        """The project's firewall of this name. If one without the project's mark has the name, this raises Refused, or
        create_firewall() does."""

    def network_of(self, subnet: Optional[str]) -> Optional[str]:
        """The network that firewalls must be in for instances in this subnet (None: where the cloud puts instances
        without one). None where firewalls belong to no network, or if there is no such network. Raises NotFound for an
        unknown subnet."""

    def firewall_ids(self, project: str, names: Iterable[str], subnet: Optional[str] = None) -> Mapping[str, str]:
        """The ids of the project's firewalls of these names, as far as they exist; an id is returned as it is. Only a
        firewall with the project's mark counts, whatever its name is. Of several in different networks, it is the one
        for instances in ``subnet``. One call for each name."""


class Changes(Protocol):
    """Everything that creates or changes something."""

    def create(self, spec: Spec, image: Image, generation: int) -> Instance:
        """Create the instance with its tags, using a token derived from project, name, and generation.

        One request creates one instance, even if its answer is lost: it is sent again only if the token makes that
        safe, or after checking. For several requests, the token or settle() ensures it. Raises TokenUsed if the token
        was used, LostAnswer if the instance may still be created, and NotFound for a firewall that is not in the
        project. If it is refused, nothing that was created for it is left.
        """

    def settle(self, instances: Sequence[Instance]) -> list[Instance]:
        """The instances that remain of those just created. If another controller also created them, its instances may
        remain, and those created here are deleted."""

    def start(self, ids: Sequence[str]) -> None: ...

    def stop(self, ids: Sequence[str], *, hibernate: bool = False) -> None: ...

    def restart(self, ids: Sequence[str]) -> None: ...

    def update(self, instance: Instance, change: Change) -> None:
        """Apply one change of kind "update", by its ``field``. Raises InvalidRequest if it cannot be changed."""

    def tag(self, ids: Sequence[str], tags: Mapping[str, str]) -> None:
        """Set these tags and keep the others."""

    def untag(self, ids: Sequence[str], keys: Sequence[str]) -> None:
        """Remove these tags. A missing tag is not an error."""

    def import_key_pair(self, spec: KeyPairSpec) -> KeyPair:
        """Import it, or return the project's existing one of this name. Raises Refused like key_pair()."""

    def create_firewall(self, spec: FirewallSpec) -> Firewall:
        """Create it, closed for incoming traffic and, as usual in clouds, open for outgoing traffic; or return the
        project's existing one of this name. Raises Refused for one without the project's mark."""

    def open_firewall(self, firewall: Firewall, rules: Sequence[Rule]) -> None:
        """Add these rules to the firewall as this adapter read it. An existing rule is not an error."""

    def close_firewall(self, firewall: Firewall, rules: Sequence[Rule]) -> None:
        """Remove these rules from the firewall as this adapter read it. A missing rule is not an error."""


class Removes(Protocol):
    """Everything that deletes something."""

    def terminate(self, ids: Sequence[str]) -> None:
        """Start deleting instances with everything that is deleted with them. A missing one is not an error."""

    def discard(self, instance: Instance) -> None:
        """Delete an instance that never ran, with everything that this run created for it."""

    def remove(self, resource: Resource) -> None:
        """Delete something other than an instance, by its id. Waits for a limited time until no instance uses it. If it
        is missing, that is not an error."""


class Cloud(Asks, Changes, Removes, Protocol):
    """One region of one cloud, with one identity."""


@runtime_checkable
class Shelves(Protocol):
    """A cloud that can give back the capacity of an instance and keep its disk."""

    def shelve(self, ids: Sequence[str]) -> None: ...


@runtime_checkable
class Rebuilds(Protocol):
    """A cloud that can create the root disk of an instance again."""

    def rebuild(self, instance: Instance, spec: Spec, image: Optional[Image]) -> None:
        """Use the given image, or the instance's own. Removes its recorded host key."""


@runtime_checkable
class Foresees(Protocol):
    """A cloud that can be asked beforehand what a creation would be refused for."""

    def foresee(self, wishes: Wishes) -> list[Finding]:
        """Ask about permissions, quotas, and everything that the wishes name, and create nothing.

        The number of calls depends on how many different images, instance types, and networks there are, not on the
        number of instances. A question that may not be asked is a finding, not an error.
        """


class CloudPackage(Protocol):
    """What the folder of a cloud exports. Only ``connect`` loads the SDK.

    NAME is what users write. CONNECTION and INSTANCE are argument specifications of the options under that name: for
    the connection, and for instances. ENVIRONMENT and FILES are what the SDK reads: prefixes of environment variables,
    and files, each with the variable that names another file, if any.
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
        """The options of INSTANCE for a Spec: ``chosen`` from the module's ``params``, for instances of these names.
        ``former_name``, on clouds that can rename an instance, is its previous name. Raises InvalidRequest for
        contradictions."""
