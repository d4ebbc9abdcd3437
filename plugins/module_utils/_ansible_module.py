# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HavenModule, an AnsibleModule that never logs option values. Imports little, for small modules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

from ansible.module_utils.basic import AnsibleModule

NOT_SHOWN = "not shown"


class HavenModule(AnsibleModule):  # type: ignore[misc]  # ansible-core has no types
    """Logs the names of its options and never their values; ``hidden`` suboptions are not in its results either.

    ansible-core logs a list or dictionary as Python writes it, where an escaped character makes a secret another text
    than the one that is taken out. AnsibleModule(no_log=True) is no way out: the task's no_log overwrites it.
    """

    hidden: frozenset[str] = frozenset()

    def log(self, msg: str, log_args: Optional[Mapping[str, Any]] = None) -> None:
        # Only the line that says how the module was called comes with arguments.
        if log_args is not None:
            given = sorted(name for name in log_args if self.params.get(name) is not None)
            msg = f"Invoked with the options {', '.join(given)}; their values are not logged" if given else "Invoked"
        super().log(msg)

    def exit_json(self, **kwargs: Any) -> None:
        super().exit_json(**self._invocation(), **kwargs)

    def fail_json(self, msg: str, **kwargs: Any) -> None:
        super().fail_json(msg, **self._invocation(), **kwargs)

    def _invocation(self) -> dict[str, Any]:
        """What results show of the call at -vvv, where that is not left to ansible-core."""
        if not self.hidden:
            return {}
        shown = {name: self._shown(name, value) for name, value in self.params.items()}
        return {"invocation": {"module_args": shown}}

    def _shown(self, name: str, value: Any) -> Any:
        # A structure that was refused may still be a text with everything in it.
        structured = self.argument_spec.get(name, {}).get("type") in ("dict", "list")
        return NOT_SHOWN if structured and isinstance(value, str) else self._without_hidden(value)

    def _without_hidden(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {
                key: NOT_SHOWN if key in self.hidden and part is not None else self._without_hidden(part)
                for key, part in value.items()
            }
        return [self._without_hidden(part) for part in value] if isinstance(value, (list, tuple)) else value
