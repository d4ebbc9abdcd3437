# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collector of cyclic garbage, which stays off no longer than it should."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from ansible_collections.haven.gpu.plugins.module_utils._collector import paused


class Node:
    """Part of a cycle, like a host and its group."""

    def __init__(self) -> None:
        self.other = self


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    yield
    gc.unfreeze()
    gc.enable()


def fail() -> None:
    with paused():
        raise ValueError("wrong")


def test_it_is_on_again_after_an_error() -> None:
    with pytest.raises(ValueError, match="wrong"):
        fail()
    assert gc.isenabled()


def test_within_another_pause_it_stays_off() -> None:
    with paused():
        with paused():
            pass
        assert not gc.isenabled()


def test_what_is_kept_is_freed_at_last_when_there_is_a_new_one() -> None:
    with paused(keep=True):
        node = weakref.ref(Node())
    gc.collect()
    assert node() is not None
    # As each refresh of an inventory drops the hosts of the one before.
    with paused(keep=True):
        assert node() is None
