# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Address ranges that collide with nothing."""

from __future__ import annotations

from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sandbox.errors import UnsuitableMachineError
from tests.sandbox.ranges import PUBLIC, Ranges, pick

SUBNETS = st.builds(
    lambda address, prefix: IPv4Network((address, prefix), strict=False),
    st.integers(10 << 24, (11 << 24) - 1),
    st.integers(9, 32),
)


@given(st.text(), st.lists(SUBNETS, max_size=20))
def test_the_range_picked_is_private_free_and_the_same_every_time(seed: str, taken: list[IPv4Network]) -> None:
    if not list(free_blocks(taken)):
        return
    found = pick(seed, taken)
    assert found.prefixlen == 20
    assert found.subnet_of(IPv4Network("10.0.0.0/8"))
    assert not any(found.overlaps(network) for network in taken)
    assert pick(seed, taken) == found


def free_blocks(taken: list[IPv4Network]) -> list[IPv4Network]:
    blocks = IPv4Network("10.0.0.0/8").subnets(new_prefix=20)
    return [block for block in blocks if not any(block.overlaps(network) for network in taken)]


def test_different_sandboxes_get_different_ranges() -> None:
    assert len({pick(f"/build/{number}", []) for number in range(20)}) == 20


def test_a_default_route_takes_nothing_away() -> None:
    assert pick("x", [IPv4Network("0.0.0.0/0")]) == pick("x", [])


def test_a_machine_that_routes_all_private_addresses_is_told_so() -> None:
    with pytest.raises(UnsuitableMachineError, match="No /20"):
        pick("x", [IPv4Network("10.0.0.0/8")])


def test_the_addresses_of_a_sandbox_are_apart() -> None:
    ranges = Ranges(IPv4Network("10.7.16.0/20"))
    inside = [ranges.api, ranges.proxy, ranges.gate]
    # A cloud gives out the fifth address and those after it.
    assert all(address in list(ranges.subnet)[:4] for address in inside)
    outside = [ranges.outside, ranges.gate_outside]
    assert len({*inside, *outside}) == 5
    assert all(address in PUBLIC and address not in ranges.public for address in outside)
    assert ranges.public.subnet_of(PUBLIC)
