# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HavenModule, an AnsibleModule that never logs option values. Imports little, for small modules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

from ansible.module_utils.basic import AnsibleModule

from ._progress import progress

NOT_SHOWN = "not shown"


class HavenModule(AnsibleModule):  # type: ignore[misc]  # ansible-core has no types
    """Logs the names of its options, never their values. Values of ``hidden`` suboptions are not in its results either.

    ansible-core logs the repr of a list or dictionary. If that escapes a character in a secret, ansible-core does not
    recognize the secret and logs it. AnsibleModule(no_log=True) does not help, because the task's no_log overwrites it.
    """

    hidden: frozenset[str] = frozenset()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        progress.open()
        super().__init__(*args, **kwargs)

    def log(self, msg: str, log_args: Optional[Mapping[str, Any]] = None) -> None:
        # Only the log entry about the call has arguments.
        if log_args is not None:
            given = sorted(name for name in log_args if self.params.get(name) is not None)
            msg = f"Invoked with the options {', '.join(given)}; their values are not logged" if given else "Invoked"
        super().log(msg)

    def exit_json(self, **kwargs: Any) -> None:
        super().exit_json(**self._invocation(), **kwargs)

    def fail_json(self, msg: str, **kwargs: Any) -> None:
        super().fail_json(msg, **self._invocation(), **kwargs)

    def _invocation(self) -> dict[str, Any]:
        """The call as results show it at -vvv, unless that is left to ansible-core."""
        if not self.hidden:
            return {}
        shown = {name: self._shown(name, value) for name, value in self.params.items()}
        return {"invocation": {"module_args": shown}}

    def _shown(self, name: str, value: Any) -> Any:
        # A structure that was refused may still be a string that contains everything.
        structured = self.argument_spec.get(name, {}).get("type") in ("dict", "list")
        return NOT_SHOWN if structured and isinstance(value, str) else self._without_hidden(value)

    def _without_hidden(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {
                key: NOT_SHOWN if key in self.hidden and part is not None else self._without_hidden(part)
                for key, part in value.items()
            }
        return [self._without_hidden(part) for part in value] if isinstance(value, (list, tuple)) else value
