# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A sentence for each mistake, with the user and the variable."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.haven.gpu.plugins.filter.user_faults import user_faults

ALICE = {"name": "alice", "password": "canary", "ssh_keys": ["ssh-ed25519 AAAA"]}


def test_good_users_have_no_faults() -> None:
    assert user_faults([ALICE, {"name": "bob", "state": "absent"}, {"name": "carol", "password": "x"}]) == []
    assert user_faults([]) == []


@pytest.mark.parametrize(
    ("user", "said"),
    [
        ({"name": "Alice Smith"}, "The name 'Alice Smith' in haven_users cannot be an account"),
        ({"name": "a" * 33}, "cannot be an account"),
        ({"name": "www-data"}, "'www-data' in haven_users is that of a program's account"),
        ({"name": False}, "The name of user 1 in haven_users is false, which YAML also reads no, off, and n as"),
        ({"name": 1234}, "The name of user 1 in haven_users is a number: put the name in quotes."),
        ({"name": ["alice"]}, "The name of user 1 in haven_users is a list."),
        ({"name": ""}, "User 1 of haven_users has no name."),
        ({"password": 12345678}, "The password of 'alice' in haven_users is no text: put it in quotes."),
        ({"password": True}, "The password of 'alice' in haven_users is no text"),
        ({"password": ["x"]}, "The password of 'alice' in haven_users is no text"),
        ({"name": "root"}, "The name 'root' in haven_users is the administrator's"),
        ({"state": "gone"}, "The state of 'alice' in haven_users is 'gone': use present or absent."),
        ({"password": ""}, "The user 'alice' in haven_users has no password"),
        ({"password": None}, "has no password"),
    ],
    ids=str,
)
def test_each_mistake_is_a_sentence_of_its_own(user: dict[str, Any], said: str) -> None:
    (fault,) = user_faults([{**ALICE, **user}])
    assert said in fault
    assert "canary" not in fault


def test_a_missing_password_is_said_only_where_one_is_needed() -> None:
    (fault,) = user_faults([{"name": "alice"}], variable="jupyter_users")
    assert "'alice' in jupyter_users has no password" in fault
    assert user_faults([{"name": "alice"}], passwords=False) == []


def test_several_mistakes_are_told_together() -> None:
    faults = user_faults([ALICE, ALICE, {"password": "x"}, {"name": "bob"}])
    assert [fault.split(" ")[0] for fault in faults] == ["User", "haven_users", "The"]
    assert "lists 'alice' more than once" in faults[1]


@pytest.mark.parametrize("users", ["alice", {"name": "alice"}, None, 3], ids=str)
def test_what_is_no_list_is_said_to_be_none(users: Any) -> None:
    (fault,) = user_faults(users)
    assert fault.startswith("haven_users is not a list of users")


def test_an_entry_that_is_no_user_has_no_name() -> None:
    assert user_faults(["alice"]) == ["User 1 of haven_users has no name: write it as {name: alice}."]


def test_the_first_present_user_needs_a_key_where_it_becomes_the_key_pair() -> None:
    (fault,) = user_faults([{"name": "gone", "state": "absent"}, {"name": "bob", "password": "x"}, ALICE], keys=True)
    assert fault.startswith("The first user in haven_users, 'bob', has no ssh_keys")
    assert user_faults([ALICE, {"name": "bob", "password": "x"}], keys=True) == []
    (fault,) = user_faults([{"name": "gone", "state": "absent"}], keys=True)
    assert "no user who is present" in fault


def test_an_empty_list_is_refused_only_where_somebody_is_needed() -> None:
    (fault,) = user_faults([], empty=False)
    assert fault.startswith("haven_users is empty")


def test_a_private_key_is_called_one_and_not_shown() -> None:
    key = "-----BEGIN OPENSSH PRIVATE KEY-----\nssh-ed25519 canary\n-----END OPENSSH PRIVATE KEY-----"
    (fault,) = user_faults([{**ALICE, "ssh_keys": ["ssh-rsa AAAA", key]}])
    assert fault.startswith("Key 2 of 'alice' in haven_users is a private key")
    assert "canary" not in fault


@pytest.mark.parametrize("key", ["~/.ssh/id_ed25519.pub", "AAAAC3Nz", ""])
def test_what_is_no_public_key_is_said_without_showing_it(key: str) -> None:
    (fault,) = user_faults([{**ALICE, "ssh_keys": ["ssh-rsa AAAA", key]}])
    assert fault.startswith("Key 2 of 'alice' in haven_users is not an OpenSSH public key")
    assert user_faults([{**ALICE, "ssh_keys": ['from="10.0.0.1" ssh-ed25519 AAAA bob']}]) == []
