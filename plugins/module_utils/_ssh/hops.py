# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Jump hosts that are instances, given by name or tag, and looked up to find their current address. Pure.

Like all data from a cloud, that about these instances is untrusted. Their host keys are those recorded in their tags.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional, Union

from .._errors import InvalidRequest, NotFound
from .._models import Hop, Instance
from .checks import Authority, hops_from, is_address, is_alias, is_user, principal, public_key

# Passes the checks while the address is not known yet.
_NOWHERE = "to-be-looked-up.invalid"
# What ssh shows of a hop that does not run. The name never resolves (RFC 2606).
_NOT_RUNNING = "this-jump-host-does-not-run.invalid"


class NotRunning(NotFound):
    """A jump host that is an instance does not run, or is not created yet."""


@dataclass(frozen=True)
class HopLookup:
    """A jump host given by name or tags. ``rest`` are the user's other settings for it.

    With an ``authority``, a public key, its certificates decide which machine is trusted, not tags.
    """

    rest: Hop
    instance: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    authority: Optional[str] = None

    @property
    def shown(self) -> str:
        """Its name in messages."""
        return self.instance or ", ".join(f"{key}={value}" for key, value in self.tags)

    def means(self, instance: Instance) -> bool:
        named = not self.instance or instance.name == self.instance
        return named and all(instance.tags.get(key) == value for key, value in self.tags)


WantedHop = Union[Hop, HopLookup]


@dataclass(frozen=True)
class FoundHops:
    """The jump hosts with their addresses. ``ids`` are their instance ids, in the same order, or '' for others."""

    hops: tuple[Hop, ...] = ()
    ids: tuple[str, ...] = ()

    def to(self, id: str) -> FoundHops:
        """The hops to the instance with this id. For a jump host, those before it."""
        if id not in self.ids:
            return self
        depth = self.ids.index(id)
        return FoundHops(self.hops[:depth], self.ids[:depth])


def wanted_hops(value: object, authority: Optional[str] = None) -> tuple[WantedHop, ...]:
    """Return the hops in an option: as for :func:`hops_from`, or with ``instance`` or ``tag`` instead of ``host``.

    ``authority`` is the public key of the authority that signs the instances' host keys, if any. Raises InvalidRequest.
    """
    if not isinstance(value, Sequence) or isinstance(value, str):
        return tuple(hops_from(value))
    wanted = [_wanted(item, number) for number, item in enumerate(value, start=1)]
    return tuple(each if isinstance(each, Hop) else dataclasses.replace(each, authority=authority) for each in wanted)


def with_key(wanted: Iterable[WantedHop], key: str) -> tuple[WantedHop, ...]:
    """Return the hops with this key, a path or lines of public keys, for those that the user gave none."""
    return tuple(_with_key(each, key) if key else each for each in wanted)


def key_of(wanted: WantedHop) -> Optional[str]:
    """The key of a hop, whether it has to be looked up or not."""
    return wanted.key if isinstance(wanted, Hop) else wanted.rest.key


def _with_key(wanted: WantedHop, key: str) -> WantedHop:
    if isinstance(wanted, Hop):
        return wanted if wanted.key else dataclasses.replace(wanted, key=key)
    return dataclasses.replace(wanted, rest=dataclasses.replace(wanted.rest, key=wanted.rest.key or key))


def _wanted(item: Any, number: int) -> WantedHop:
    given = {key: value for key, value in item.items() if value not in (None, "", {})} if _is_mapping(item) else {}
    lookups = [key for key in ("host", "instance", "tag") if key in given]
    if lookups == ["host"] or not lookups:
        # In its place in the list, for the number in the message.
        return hops_from([Hop(_NOWHERE)] * (number - 1) + [given or item])[-1]
    if len(lookups) > 1:
        raise InvalidRequest(f"Hop {number} has {' and '.join(lookups)}: give one of them.")
    name, tags = given.pop("instance", ""), given.pop("tag", {})
    if not _is_mapping(tags):
        raise InvalidRequest(f"The tag of hop {number} must be a dictionary of keys and values.")
    rest = hops_from([Hop(_NOWHERE)] * (number - 1) + [{**given, "host": _NOWHERE}])[-1]
    return HopLookup(rest, str(name), tuple(sorted((str(key), str(value)) for key, value in tags.items())))


def _is_mapping(value: object) -> bool:
    return isinstance(value, Mapping)


def found(wanted: Iterable[WantedHop], instances: Iterable[Instance]) -> FoundHops:
    """Return the hops, with the current address and host key of those that are instances. Raises NotFound,
    which is NotRunning if one of them does not run.

    The first hop is reached at its public address, further ones at their private address. If several instances have the
    tags, the first by name is used.
    """
    running = sorted((each for each in instances if each.state == "running"), key=lambda each: (each.name, each.id))
    hops: list[Hop] = []
    ids: list[str] = []
    for each in wanted:
        instance = _instance(each, running) if isinstance(each, HopLookup) else None
        hops.append(each if isinstance(each, Hop) else _hop(each, instance, inside=bool(hops)))
        ids.append(instance.id if instance else "")
    return FoundHops(tuple(hops), tuple(ids))


def nowhere(wanted: Iterable[WantedHop]) -> FoundHops:
    """The hops where one of them does not run: those that would be looked up have a name that ssh cannot connect to."""
    hops = [each if isinstance(each, Hop) else dataclasses.replace(each.rest, host=_NOT_RUNNING) for each in wanted]
    return FoundHops(tuple(hops), ("",) * len(hops))


def _instance(wanted: HopLookup, running: Sequence[Instance]) -> Instance:
    meant = [each for each in running if wanted.means(each)]
    if not meant:
        raise NotRunning(
            f"The jump host {wanted.shown} is not among the instances that run: start it, or check the hops' instance "
            "or tag."
        )
    if wanted.instance and len(meant) > 1:
        ids = ", ".join(each.id for each in meant)
        raise NotFound(f"The jump host {wanted.shown} could be any of {ids}: rename all but one, or use tag.")
    return meant[0]


def _hop(wanted: HopLookup, instance: Optional[Instance], inside: bool) -> Hop:
    addresses = [instance.private_address, instance.public_address] if instance else []
    address = next((each for each in (addresses if inside else addresses[::-1]) if is_address(each)), None)
    if instance is None or address is None:
        raise NotFound(f"The jump host {wanted.shown} has no address: give it a public one.")
    user = instance.login_user if is_user(instance.login_user) else None
    return dataclasses.replace(
        wanted.rest,
        host=address,
        user=wanted.rest.user or user,
        host_key=wanted.rest.host_key or _host_key(wanted, instance),
    )


def _host_key(wanted: HopLookup, instance: Instance) -> Optional[str]:
    """The recorded host key, or the authority and the name that the certificate must contain, given by the user."""
    if not wanted.authority:
        return public_key(instance.host_key)
    name = principal(wanted.instance, instance.project)
    if not wanted.instance or not is_alias(name):
        # Otherwise, anyone who can write tags could choose among the machines with a certificate.
        raise InvalidRequest(
            f"The jump host {wanted.shown} has no host_key, and with a host_key_authority, no tag decides which "
            "machine is trusted: give the hop its host_key, or its instance instead of tag."
        )
    return Authority(wanted.authority, name).line


def plain(wanted: Iterable[WantedHop], what: str) -> tuple[Hop, ...]:
    """Return the hops if none has to be looked up. Otherwise raise InvalidRequest, which says what needs addresses."""
    hops = tuple(wanted)
    looked_up = [each.shown for each in hops if isinstance(each, HopLookup)]
    if looked_up:
        raise InvalidRequest(
            f"{what} needs the address of the jump host {looked_up[0]}, which nothing there can look up: give the hop "
            "its host (a DNS name, or an address that it keeps) and its host_key instead of instance or tag."
        )
    return tuple(each for each in hops if isinstance(each, Hop))
