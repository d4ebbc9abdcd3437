# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A role warns about what looks misspelt, and refuses nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.utils.display import Display

from ansible_collections.haven.gpu.plugins.lookup.near_names import LookupModule

ROLES = sorted((Path(__file__).parents[3] / "roles").iterdir())


class Templar:
    """Everything is its own value."""

    def template(self, value: Any) -> Any:
        return value


@pytest.fixture
def warned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    texts: list[str] = []
    monkeypatch.setattr(Display, "warning", lambda _display, text: texts.append(text))
    monkeypatch.setattr(LookupModule, "set_options", lambda *_arguments, **_options: None)
    return texts


def lookup(**variables: Any) -> list[str]:
    return LookupModule(templar=Templar()).run(["cuda"], variables)


def test_a_misspelt_variable_is_warned_about_with_the_one_that_is_meant(warned: list[str]) -> None:
    assert lookup(cuda_requird=True, cuda_required=True, cuda_version="12", egress_enforced=True) == ["cuda_requird"]
    assert warned == ["The role haven.gpu.cuda has no variable cuda_requird: cuda_required is probably meant."]


def test_ones_own_names_are_not_warned_about(warned: list[str]) -> None:
    assert lookup(cuda_requird=True, haven_own_variables=["cuda_requird"]) == []
    assert warned == []


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_every_role_warns(role: Path) -> None:
    assert f"query('haven.gpu.near_names', '{role.name}')" in (role / "tasks" / "main.yml").read_text()
