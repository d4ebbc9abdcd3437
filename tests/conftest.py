"""Shared by every test: what `make test` leaves out; and hypothesis measures no time, which only says who is busy."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

settings.register_profile("haven", deadline=None)
settings.load_profile("haven")
# Its assertions tell both sides, as those of test files do.
pytest.register_assert_rewrite("tests.clouds.contract")
# `make test` sets it.
SHORT = "HAVEN_TEST_SHORT" in os.environ


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left = [item for item in items if SHORT and item.get_closest_marker("long")]
    if left:
        items[:] = [item for item in items if item not in left]
        config.hook.pytest_deselected(items=left)
