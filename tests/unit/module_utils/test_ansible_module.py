# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""No module of the collection writes a secret to the log, however deep in its options and whatever it consists of."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils import basic
from ansible.module_utils.testing import patch_module_args

from ansible_collections.haven.gpu.plugins.module_utils import _ansible_module
from ansible_collections.haven.gpu.plugins.module_utils._module import argument_spec
from ansible_collections.haven.gpu.plugins.modules import files, venv

MODULES = sorted(path.stem for path in Path(files.__file__).parent.glob("[a-z]*.py"))
CLOUDS = argument_spec({})
# Python writes each of these characters in another way inside a list or a dictionary.
SECRET = "canary 'one' \"two\" \\three ä\nfour"
PARTS = ("canary", "one", "two", "three", "four")


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What reaches syslog or the journal."""
    lines: list[str] = []

    class Journal:
        @staticmethod
        def send(**fields: Any) -> None:
            lines.append(str(fields))

    monkeypatch.setattr(basic, "has_journal", True)
    monkeypatch.setattr(basic, "journal", Journal, raising=False)
    monkeypatch.setattr(basic.syslog, "syslog", lambda *line: lines.append(str(line)))
    return lines


def call(spec: dict[str, Any], arguments: dict[str, Any]) -> None:
    # As ansible-core gives it to every module: this overwrites AnsibleModule(no_log=True).
    with patch_module_args({**arguments, "_ansible_no_log": False}):
        _ansible_module.HavenModule(argument_spec=spec)


@pytest.mark.parametrize("name", MODULES)
def test_each_module_is_such_a_module(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    class MadeError(Exception):
        pass

    def made(*dummy: Any, **dummies: Any) -> None:
        raise MadeError

    monkeypatch.setattr(_ansible_module.HavenModule, "__init__", made)
    with pytest.raises(MadeError):
        importlib.import_module(f"ansible_collections.haven.gpu.plugins.modules.{name}").main()


@pytest.mark.parametrize(
    ("spec", "arguments"),
    [
        (CLOUDS, {"openstack": {"auth": {"password": SECRET}}}),
        (CLOUDS, {"ec2": {"secret_key": SECRET, "session_token": SECRET}}),
        (files.SPEC, {"files": [{"path": "/x", "content": SECRET}]}),
        (venv.SPEC, {"environments": [{"name": "x", "user": "y", "kernel_env": {"TOKEN": SECRET}}]}),
    ],
    ids=["openstack.auth", "ec2", "files", "kernel_env"],
)
def test_the_log_names_the_options_and_holds_no_value(
    logged: list[str], spec: dict[str, Any], arguments: dict[str, Any]
) -> None:
    common = {"cloud": "ec2", "project": "p"} if spec is CLOUDS else {}
    call(spec, {**common, **arguments})
    text = "\n".join(logged)
    assert next(iter(arguments)) in text
    assert not [part for part in PARTS if part in text]


def test_what_a_module_says_itself_is_logged_as_it_is(logged: list[str]) -> None:
    with patch_module_args({"_ansible_no_log": False}):
        _ansible_module.HavenModule(argument_spec={}).log("installed")
    assert "Invoked" in logged[0]
    assert "installed" in logged[1]


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        (files, {"files": [{"path": "/nowhere/at/all", "content": SECRET}]}),
        (files, {"files": [{"path": "/nowhere/at/all", "content": SECRET, "misspelt": 1}]}),
        (files, {"files": json.dumps([{"content": SECRET}])}),
        (venv, {"environments": [{"name": "/", "user": "y", "kernel_env": {"TOKEN": SECRET}, "requirements": SECRET}]}),
        (venv, {"environments": [{"name": "/", "misspelt": 1, "kernel_env": {"TOKEN": SECRET}}]}),
    ],
)
def test_a_call_that_fails_does_not_show_what_is_hidden(
    capfd: pytest.CaptureFixture[str], module: Any, arguments: dict[str, Any]
) -> None:
    flags = {"_ansible_inject_invocation": True} if "inject_invocation" in basic.PASS_VARS else {}
    with patch_module_args({**arguments, **flags}), pytest.raises(SystemExit):
        module.main()
    answer = json.loads(capfd.readouterr().out)
    assert answer["failed"]
    assert answer["invocation"]["module_args"]
    assert not [part for part in PARTS if part in json.dumps(answer)]
