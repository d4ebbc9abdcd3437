# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All failures that a user meets are of one tree, and each kind has a word that a playbook can test."""

from __future__ import annotations

import importlib
import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from ansible_collections.haven.gpu.plugins.module_utils import _module
from ansible_collections.haven.gpu.plugins.module_utils._errors import HavenError, Incomplete
from ansible_collections.haven.gpu.plugins.module_utils._models import Instance

PLUGINS = Path(__file__).parents[3] / "plugins"
# What a cloud's own folder raises and catches, and turns into one of the tree before anybody else sees it.
INSIDE = re.compile(r".*\.module_utils\._clouds\.[a-z0-9]+\..+")


def kinds() -> Iterator[type[Exception]]:
    """Every exception that some file of ours defines."""
    for path in sorted(PLUGINS.rglob("*.py")):
        name = ".".join(path.relative_to(PLUGINS.parent).with_suffix("").parts)
        module = importlib.import_module(f"ansible_collections.haven.gpu.{name.removesuffix('.__init__')}")
        for _name, each in inspect.getmembers(module, inspect.isclass):
            if issubclass(each, Exception) and each.__module__ == module.__name__:
                yield each


def test_every_failure_is_of_one_tree() -> None:
    found = list(kinds())
    assert {"HavenError", "NotebookError", "TunnelError", "VenvError"} <= {each.__name__ for each in found}
    assert [each for each in found if not issubclass(each, HavenError) and not INSIDE.fullmatch(each.__module__)] == []


def test_each_kind_says_what_it_is_in_one_plain_word() -> None:
    reasons = {each: each.reason for each in kinds() if issubclass(each, HavenError)}
    assert [reason for reason in reasons.values() if not re.fullmatch(r"[a-z_]+", reason)] == []
    # Who says nothing of their own is of the kind they are derived from, which a playbook tests for.
    own = [each.reason for each in reasons if "reason" in vars(each)]
    assert len(own) == len(set(own))


def test_what_a_failure_returns_about_others_cannot_move_a_cursor() -> None:
    """ansible-core prints the result of a failure, and leaves characters such as U+202E as they are."""
    failed: dict[str, Any] = {}
    module = SimpleNamespace(fail_json=lambda **values: failed.update(values))
    error = Incomplete("Not all: \u202e.")
    error.instances = [Instance("i-1", "o\x9b2J", "p", "ec2", "r", "running", tags={"team\u202e": "\x1b]0;x\x07"})]
    error.values = {"left": [{"name": "two\nlines", "used": None}]}
    _module._fail(cast(Any, module), error)
    assert failed["left"] == [{"name": "two\\nlines", "used": None}]
    assert failed["instances"][0]["tags"] == {"team\\u202e": "\\x1b]0;x\\x07"}
    assert json.dumps(failed, ensure_ascii=False).isprintable()
