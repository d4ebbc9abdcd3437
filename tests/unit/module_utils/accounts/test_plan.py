# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who is locked, who is left, and what somebody who returns gets back."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any, Optional

import pytest

from ansible_collections.haven.gpu.plugins.module_utils._accounts.keys import BEGIN, END, with_keys
from ansible_collections.haven.gpu.plugins.module_utils._accounts.models import (
    Found,
    Locked,
    Plan,
    Wanted,
    wanted_accounts,
)
from ansible_collections.haven.gpu.plugins.module_utils._accounts.plan import EXPIRED, is_apart, plan
from ansible_collections.haven.gpu.plugins.module_utils._errors import InvalidRequest

TODAY = 20_000


def key(word: str) -> str:
    kind = b"ssh-ed25519"
    blob = len(kind).to_bytes(4, "big") + kind + word.encode().ljust(36, b"=")
    return f"ssh-ed25519 {base64.b64encode(blob).decode()} {word}"


OURS = Found(uid=1001, gid=1001, home="/home/bob", ours=True)
THEIRS = replace(OURS, ours=False)


def planned(found: Optional[Found], protected: tuple[str, ...] = (), **wanted: Any) -> Plan:
    return plan(Wanted(name="bob", **wanted), found, protected, TODAY)


def test_an_account_is_made_once_with_its_keys() -> None:
    first = planned(None, ssh_keys=(key("laptop"),))
    assert first.create
    assert first.keys == f"{BEGIN}\n{key('laptop')}\n{END}\n"
    assert planned(replace(OURS, keys=first.keys), ssh_keys=(key("laptop"),)) == Plan()
    assert planned(None, state="exists").create
    assert planned(replace(OURS, expires=EXPIRED, locked=Locked(1001)), state="exists") == Plan()


def test_a_leaver_whose_account_we_made_is_out_in_every_way() -> None:
    active = replace(OURS, password=True, keys=key("laptop"), processes=True, lingers=True, files=("/home/bob",))
    out = planned(active, state="absent")
    assert out.settings == {"expires": str(EXPIRED), "password": "lock"}
    assert (out.disable_keys, out.end_sessions, out.end_lingering, out.remove) == (True, True, True, ())
    assert out.remember == Locked(1001, None, password=True)
    locked = replace(OURS, expires=EXPIRED, locked=out.remember, files=("/home/bob",))
    assert planned(locked, state="absent") == Plan()


@pytest.mark.parametrize("what", [{"processes": True}, {"lingers": True}, {"keys": key("laptop")}, {"password": True}])
def test_what_an_interrupted_run_left_of_a_leaver_is_ended(what: dict[str, Any]) -> None:
    locked = replace(OURS, expires=EXPIRED, locked=Locked(1001), **what)
    assert planned(locked, state="absent").changed


def test_an_account_that_was_there_before_is_left_without_the_keys_that_we_added() -> None:
    own = f"{key('own')}\n"
    used = replace(THEIRS, password=True, processes=True, lingers=True, keys=with_keys(own, [key("ours")]))
    left = planned(used, state="absent", remove_files=True)
    assert left == Plan(left=left.left, keys=own, steps=left.steps)
    assert "before" in left.left
    again = planned(replace(used, keys=own), state="absent")
    assert (again.left, again.changed) == (left.left, False)


@pytest.mark.parametrize(("found", "protected"), [(replace(OURS, uid=0), ()), (OURS, ("bob",)), (THEIRS, ("bob",))])
def test_root_and_whom_ansible_connects_as_are_left_with_all_their_keys(found: Found, protected: tuple[str]) -> None:
    left = planned(replace(found, keys=with_keys("", [key("ours")])), protected, state="absent", remove_files=True)
    assert left.left
    assert not left.changed


def test_who_never_had_an_account_does_not_get_one_by_leaving() -> None:
    assert planned(None, state="absent") == Plan()


def test_who_returns_gets_back_what_was_taken_and_nothing_else() -> None:
    gone = replace(OURS, expires=EXPIRED, locked=Locked(1001, expires=TODAY + 9, password=True))
    back = planned(gone, ssh_keys=(key("new"),))
    assert back.settings == {"expires": str(TODAY + 9), "password": "unlock"}
    assert key("new") in str(back.keys)
    assert back.forget
    assert planned(replace(gone, locked=Locked(1001))).settings == {"expires": ""}


def test_an_account_that_somebody_else_locked_stays_locked_and_that_is_said() -> None:
    for expired in (replace(OURS, expires=EXPIRED), replace(THEIRS, expires=EXPIRED, locked=Locked(1001))):
        stays = planned(expired)
        assert not stays.settings
        assert "chage" in stays.warnings[0]
    # Locking it once more notes what they did, and gives no more than that back.
    out = planned(replace(OURS, expires=TODAY - 5, password=True), state="absent")
    assert out.settings == {"password": "lock"}
    assert out.remember == Locked(1001, expires=TODAY - 5, password=True)


def test_only_a_shell_that_was_asked_for_replaces_one_that_is_there() -> None:
    zsh = Found(1001, 1001, "/home/bob", "/bin/zsh")
    assert planned(zsh) == Plan()
    assert planned(zsh, **{"shell": "/bin/bash"}).settings == {"shell": "/bin/bash"}


def test_files_go_only_when_that_was_asked_for_and_only_where_they_are_the_leavers_alone() -> None:
    locked = replace(
        OURS, expires=EXPIRED, files=("/home/bob", "/srv/notebooks/bob"), removable=("/srv/notebooks/bob",)
    )
    out = planned(locked, state="absent", remove_files=True)
    assert out.remove == ("/srv/notebooks/bob",)
    assert "/home/bob" in out.warnings[0]
    assert planned(locked, state="absent").remove == ()
    assert planned(replace(OURS, home_exists=False, locked=Locked(1001), expires=EXPIRED)).make_home


@pytest.mark.parametrize("path", ["/", "/home", "/home/bob", "/home/bob/"])
def test_a_folder_with_a_mount_or_another_home_in_it_is_nobodys_alone(path: str) -> None:
    assert not is_apart(path, ["/home/bob/data"])
    assert not is_apart(path, ["/home/bob"])
    assert is_apart("/home/bob", ["/", "/home", "/home/bobby", "/home/alice"])


def test_other_accounts_that_a_leavers_key_opens_are_named() -> None:
    for found in (OURS, THEIRS):
        assert "debian" in planned(replace(found, elsewhere=("debian",)), state="absent").warnings[-1]


def test_the_users_own_lines_stay_as_they_are() -> None:
    own = f'# mine\r\nrestrict,command="x y" {key("own")}\r\nno newline at the end'
    assert with_keys(own, []) == own
    with_ours = with_keys(own, [key("own"), key("ours")])
    assert with_ours == f"{own}\n{BEGIN}\n{key('ours')}\n{END}\n"
    assert with_keys(with_ours, [key("own"), key("ours")]) == with_ours
    assert with_keys(with_ours, []) == own + "\n"
    # Where the user took the end of our block away, what follows is theirs.
    assert key("ours") in with_keys(with_ours.replace(f"{END}\n", ""), [])


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ([{"name": "Al", "state": "present"}], "'Al' cannot be the name"),
        ([{"name": "al\n", "state": "present"}], "cannot be the name"),
        ([{"name": "al", "state": "present"}] * 2, "al is listed more than once"),
        ([{"name": "al", "state": "present", "ssh_keys": ["ssh-ed25519 AAAA"]}], "ssh_keys of al: 'ssh-ed25519 AAAA'"),
        ([{"name": "al", "state": "present", "ssh_keys": [key("x").replace("ed25519", "rsa", 1)]}], "not an OpenSSH"),
        ([{"name": "al", "state": "present", "ssh_keys": ["{{ undefined }}"]}], "not an OpenSSH"),
        ([{"name": "al", "state": "present", "remove_files": True}], "files of al"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(entries: list[dict[str, Any]], reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason.replace("(", r"\(")):
        wanted_accounts(entries)


def test_one_text_may_hold_several_keys() -> None:
    (wanted,) = wanted_accounts(
        [{"name": "al", "state": "present", "ssh_keys": [f"# two\n{key('a')}\n\n{key('b')}\n"]}]
    )
    assert wanted.ssh_keys == (key("a"), key("b"))
