# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a role documents as a variable's default is what somebody gets who does not set the variable."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

ROLES = sorted(path.parent.parent for path in Path(__file__).parents[3].glob("roles/*/meta/argument_specs.yml"))


def read(path: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(path.read_text()))


def documented(role: Path) -> dict[str, dict[str, Any]]:
    """The variables of all entry points."""
    entry_points = read(role / "meta/argument_specs.yml")["argument_specs"].values()
    return {name: option for entry in entry_points for name, option in entry.get("options", {}).items()}


def is_expression(value: Any) -> bool:
    return isinstance(value, str) and "{{" in value


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_every_variable_has_a_default_and_is_documented(role: Path) -> None:
    optional = {name for name, option in documented(role).items() if not option.get("required")}
    assert set(read(role / "defaults/main.yml")) == optional


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_the_documented_default_is_the_default(role: Path) -> None:
    options = documented(role)
    for name, value in read(role / "defaults/main.yml").items():
        option = options[name]
        if is_expression(value):
            # What it comes to is said in words: there is no one value.
            assert "default" not in option, name
            assert "default" in str(option["description"]).lower() or " set" in str(option["description"]), name
        else:
            assert ("default" in option, option.get("default"), type(option.get("default"))) == (
                True,
                value,
                type(value),
            ), name


def test_what_a_certificate_is_by_default_is_what_is_documented() -> None:
    (role,) = (role for role in ROLES if role.name == "tls")
    options = documented(role)["tls_certificates"]["options"]
    used = read(role / "vars/main.yml")["__tls_defaults"]
    assert used == {name: options[name]["default"] for name in used}
