# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tokens that end early, in keystone's process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from oslo_config import cfg

from . import keys


class Tokens:
    """What tests may ask of keystone."""

    def __init__(self, repository: Path) -> None:
        self._repository = repository
        self._seconds = cfg.CONF.token.expiration
        self.verbs = {("POST", "tokens"): self._change, ("POST", "reset"): lambda _asked: self._live(self._seconds)}

    def _change(self, asked: dict[str, Any]) -> None:
        """{"seconds": N}: how long tokens issued from now on live; {"revoke": true}: those issued so far end."""
        if "seconds" in asked:
            self._live(int(asked["seconds"]))
        if asked.get("revoke"):
            from keystone.token import provider

            keys.renew(self._repository)
            provider.TOKENS_REGION.invalidate()

    @staticmethod
    def _live(seconds: int) -> None:
        cfg.CONF.set_override("expiration", seconds, group="token")
