"""Shared by every test: hypothesis measures no time, which on a busy machine would only say that it is busy."""

from __future__ import annotations

import pytest
from hypothesis import settings

settings.register_profile("haven", deadline=None)
settings.load_profile("haven")
# Its assertions tell both sides, as those of test files do.
pytest.register_assert_rewrite("tests.clouds.contract")
