# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a cloud must be able to do, in few verbs, and the way to one.

An adapter maps its SDK's shapes to :mod:`_models` and its errors to :mod:`_errors`, retries what may be retried, and
decides nothing: what to do is decided in :mod:`_plan`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Optional, Protocol

from ._errors import HavenError, InvalidRequest
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
)

if TYPE_CHECKING:
    from ._api_proxy import ApiProxy


class Cloud(Protocol):
    """One region of one cloud, as one identity."""

    name: str
    region: str
    pacing: Pacing
    # Whether a restarted instance is seen to be pending until it is up again.
    restart_shows: bool

    def in_region(self, region: str) -> Cloud:
        """The same identity in another region of the cloud; cheaper than connecting anew."""

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

    def regions(self) -> list[str]:
        """The regions that the account may use."""

    def refresh(self, ids: Sequence[str]) -> dict[str, Instance]:
        """The instances with these ids as they are now; one not visible yet is missing from the answer."""

    def with_volumes(self, instances: Sequence[Instance]) -> list[Instance]:
        """The same instances with their disks' sizes, types and encryption."""

    def with_attributes(self, instances: Sequence[Instance], names: Iterable[str]) -> list[Instance]:
        """The same instances with attributes outside the listing: termination_protection, shutdown_behavior,
        user_data (as bytes, or as _cloud_init's digest where the cloud does not give it back). Each may take a
        call, so only those the user set are asked for."""

    def image(self, choice: ImageChoice) -> Image: ...

    def gpu(self, instance_type: str) -> Optional[Gpu]:
        """The GPUs of an instance type; None when it has none or is not known."""

    def firewall_ids(self, project: str, names: Iterable[str]) -> Mapping[str, str]:
        """The ids of the project's firewalls of these names, as far as they exist; an id stands for itself. Only what
        carries the project's mark is its firewall, whatever its name is. Asks the cloud once for each name."""

    def create(self, spec: Spec, image: Image, generation: int) -> Instance:
        """Create the instance, tags included, under a token made of project, name and generation.

        The same token gives the same instance, however often it is sent. Raises TokenUsed when it was spent.
        """

    def settle(self, instances: Sequence[Instance]) -> list[Instance]:
        """The instances that count for those made just now: others where another controller made them, too."""

    def failure(self, instance: Instance, wanted: str) -> HavenError:
        """Why an instance went away or failed instead of reaching a state. One that never ran is removed for good."""

    def terminate(self, ids: Sequence[str]) -> None: ...

    def start(self, ids: Sequence[str]) -> None: ...

    def stop(self, ids: Sequence[str], *, hibernate: bool = False) -> None: ...

    def restart(self, ids: Sequence[str]) -> None: ...

    def shelve(self, ids: Sequence[str]) -> None: ...

    def rebuild(self, instance: Instance, spec: Spec, image: Optional[Image]) -> None:
        """Make the instance's root disk anew, from the image or from its own; its recorded host key is forgotten."""

    def update(self, instance: Instance, change: Change) -> None:
        """Carry out one change of kind "update"."""

    def tag(self, ids: Sequence[str], tags: Mapping[str, str]) -> None: ...

    def untag(self, ids: Sequence[str], keys: Sequence[str]) -> None: ...

    def console(self, instance: Instance) -> str:
        """The instance's console output, as far as the cloud has it."""

    def leftovers(self, project: str, names: Iterable[str]) -> list[Resource]:
        """What belongs to instances of these names, whether they exist or not, and may outlive them: disks, on
        OpenStack also ports and floating addresses that no instance has."""

    def remove(self, resource: Resource) -> None:
        """Remove something that is no instance, by its id, waiting a bounded time for a last instance to let go of it.
        That it is gone already is no error."""

    def key_pair(self, project: str, name: str) -> Optional[KeyPair]: ...

    def import_key_pair(self, spec: KeyPairSpec) -> KeyPair: ...

    def firewall(self, project: str, name: str, network: Optional[str]) -> Optional[Firewall]: ...

    def create_firewall(self, spec: FirewallSpec) -> Firewall: ...

    def open_firewall(self, firewall: Firewall, rules: Sequence[Rule]) -> None: ...

    def close_firewall(self, firewall: Firewall, rules: Sequence[Rule]) -> None: ...

    def resources(self, project: str) -> list[Resource]:
        """Everything that carries the project's tag and is not gone."""


def connect(cloud: str, options: Optional[Mapping[str, Any]] = None, proxy: Optional[ApiProxy] = None) -> Cloud:
    """The adapter for ``cloud``, with its own options (region, credentials, endpoint).

    Nothing is asked yet, but OpenStack begins to make a token. ``proxy`` is the way to an API that only a jump host
    reaches; it has to stay open as long as the adapter is used.
    Raises MissingLibrary, BadCredentials, InvalidRequest, Unsupported.
    """
    if cloud == "ec2":
        from ._clouds import ec2

        return ec2.connect(dict(options or {}), proxy)
    if cloud == "openstack":
        from ._clouds._openstack_client import Connection

        connection = Connection(dict(options or {}), proxy)
        connection.log_in()
        # This takes about as long as keystone does.
        from ._clouds.openstack import OpenStack

        return OpenStack(connection)
    raise InvalidRequest(f"There is no cloud called {cloud!r}: choose ec2 or openstack.")
