# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a jump host's sshd reads of its members."""

from __future__ import annotations

import datetime

from ansible_collections.haven.gpu.plugins.filter.member_key_files import member_key_files

KEYS = ["ssh-ed25519 AAAA alice", "ssh-ed25519 BBBB"]


def test_each_member_has_a_file_in_which_every_key_may_only_forward() -> None:
    first, second = member_key_files([{"name": "alice", "ssh_keys": KEYS}, {"name": "bob", "ssh_keys": []}], "/keys")
    assert first["path"] == "/keys/alice"
    assert first["content"].splitlines()[1:] == [f"restrict,port-forwarding {key}" for key in KEYS]
    assert (second["path"], second["content"].count("\n")) == ("/keys/bob", 1)


def test_the_keys_expire_with_the_member() -> None:
    for day in ("2027-01-31", datetime.date(2027, 1, 31)):  # YAML makes a date of it where nobody quotes it
        (file,) = member_key_files([{"name": "alice", "ssh_keys": KEYS[:1], "expires": day}], "/keys")
        assert file["content"].endswith('restrict,port-forwarding,expiry-time="20270131" ssh-ed25519 AAAA alice\n')


def test_no_day_is_no_expiry() -> None:
    for day in (None, ""):
        (file,) = member_key_files([{"name": "alice", "ssh_keys": KEYS[:1], "expires": day}], "/keys")
        assert "expiry" not in file["content"]
