"""Shared by every test: hypothesis measures no time, which on a busy machine would only say that it is busy."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("haven", deadline=None)
settings.load_profile("haven")
