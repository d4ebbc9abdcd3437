# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hash must be the same on every run, and be what jupyter_server's own check accepts."""

from __future__ import annotations

from typing import Any

import argon2
import pytest
from ansible.errors import AnsibleFilterError
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.haven.gpu.plugins.filter.argon2_hash import FilterModule
from ansible_collections.haven.gpu.plugins.plugin_utils._password import derived_salt

SECRET = "a project's secret, long enough"
PASSWORD = "correct horse"
argon2_hash = FilterModule().filters()["argon2_hash"]


def hashed(password: str = PASSWORD, **changed: Any) -> str:
    return argon2_hash(password, **{"secret": SECRET, "host": "jupyter-demo", "user": "alice", **changed})


def accepts(digest: str, password: str) -> bool:
    """What jupyter_server.auth.security.passwd_check does with a hash of this kind."""
    kind, _, encoded = digest.partition(":")
    assert kind == "argon2"
    try:
        return argon2.PasswordHasher().verify(encoded, password)
    except argon2.exceptions.VerifyMismatchError:
        return False


def test_a_second_run_gives_the_same_hash() -> None:
    assert hashed() == hashed()


def test_the_password_and_no_other_is_accepted() -> None:
    assert accepts(hashed("pässword ✓"), "pässword ✓")
    assert not accepts(hashed("pässword ✓"), "password")


def test_the_hash_is_argon2id_with_the_costs_of_jupyter_server() -> None:
    assert hashed().startswith("argon2:$argon2id$v=19$m=10240,t=10,p=8$")


@pytest.mark.parametrize("other", [{"secret": SECRET + "!"}, {"host": "jupyter-two"}, {"user": "bob"}])
def test_another_account_or_secret_gives_another_hash(other: dict[str, str]) -> None:
    assert hashed(**other) != hashed()


@given(
    st.lists(
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1), min_size=4, max_size=4
    )
)
def test_no_two_accounts_share_a_salt(names: list[str]) -> None:
    one, two = tuple(names[:2]), tuple(names[2:])
    assert (derived_salt(SECRET, *one) == derived_salt(SECRET, *two)) == (one == two)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"password": ""}, "password is empty"),
        ({"secret": "short"}, "at least 16 characters"),
        ({"host": ""}, "host and user"),
        ({"user": ""}, "host and user"),
        ({"password": 12345678}, "quotes around numbers"),
    ],
)
def test_a_bad_argument_is_refused_with_its_reason_and_without_its_value(
    arguments: dict[str, Any], reason: str
) -> None:
    with pytest.raises(AnsibleFilterError, match=reason) as refusal:
        hashed(**arguments)
    assert not any(str(value) in str(refusal.value) for value in arguments.values() if value)
