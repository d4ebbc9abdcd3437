# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Cached listings in ansible-core's cache, one for each different query."""

from __future__ import annotations

import glob
import json
import os
import time
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any, Optional

from ...module_utils._errors import HavenError
from ...module_utils._models import Instance
from ...module_utils._ssh.files import PRIVATE
from .._hosts import variables as _hosts
from .._settings import Settings, cache_key
from . import listings as _sources


class Cache:
    """``kept`` is ansible-core's inventory cache, ``save`` writes it, and ``folder`` is where its files are, if any."""

    def __init__(self, kept: MutableMapping[str, Any], save: Callable[[], None], folder: str) -> None:
        self._kept = kept
        self._save = save
        self._folder = os.path.expanduser(folder)

    def answers(self, sources: Sequence[Settings], since: Optional[Sequence[float]]) -> list[_sources.Answer]:
        """Return the listing of each source: the cached one if it is newer than its time in ``moments``, or new.

        Without ``moments``, nothing is taken from the cache. A failure is not cached and does not replace a listing.
        """
        identity = _sources.identity()
        keys = [cache_key(source, _hosts.FIELDS, identity) for source in sources]
        began = time.time()
        cached = [self._get(key, moment) for key, moment in zip(keys, since or [began] * len(keys))]
        missing = [source for source, known in zip(sources, cached) if known is None]
        asked = iter(_sources.listings(missing) if missing else [])
        answers = [next(asked) if known is None else known for known in cached]
        fresh = {
            key: answer
            for key, answer, known in zip(keys, answers, cached)
            if known is None and not isinstance(answer, HavenError)
        }
        if fresh:
            self._put(fresh, began)
        return answers

    def _get(self, key: str, moment: float) -> Optional[list[Instance]]:
        try:
            cached = json.loads(self._kept[key])
            return [_hosts.unpack(packed) for packed in cached["machines"]] if cached["at"] > moment else None
        except (KeyError, TypeError, ValueError):
            return None

    def _put(self, listings: Mapping[str, list[Instance]], began: float) -> None:
        """Write the cache now and make it private: ansible-core's plugins leave it readable by everyone."""
        for key, instances in listings.items():
            # As one string, because ansible-core would traverse, tag, and copy everything in other values.
            packed = [_hosts.pack(instance) for instance in instances]
            self._kept[key] = json.dumps({"at": began, "machines": packed})
        self._save()
        for key in listings:
            # ansible-core adds prefixes to the key.
            for file in glob.glob(f"{glob.escape(self._folder)}/*{key}"):
                os.chmod(file, PRIVATE)
