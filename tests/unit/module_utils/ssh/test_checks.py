# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the user wrote is taken, or refused in a sentence that says which value; a key is a key, whoever wrote it."""

from __future__ import annotations

import pytest

from ansible_collections.haven.gpu.plugins.module_utils._errors import InvalidRequest
from ansible_collections.haven.gpu.plugins.module_utils._models import Hop
from ansible_collections.haven.gpu.plugins.module_utils._ssh.checks import hops_from, public_key, require_path
from tests.unit.module_utils.ssh.readings import KEY


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (KEY, KEY),
        (f" {KEY}  root@machine ", KEY),
        (f"{KEY}\n", None),
        (KEY.replace("ssh-ed25519", "ssh-rsa"), None),
        (f"@cert-authority * {KEY}", None),
        (KEY[:-2], None),
        (KEY + "!", None),
        ("ssh-ed25519", None),
        ("ssh-dss AAAA", None),
        ("", None),
        (None, None),
        (7, None),
    ],
)
def test_a_host_key_is_exactly_one_public_key(text: object, expected: str | None) -> None:
    assert public_key(text) == expected


@pytest.mark.parametrize("name", ["*", "a,b", "-oX", "!a", "a\nb", "|1|a|b"])
def test_an_authority_vouches_for_one_plain_name(name: str) -> None:
    with pytest.raises(InvalidRequest, match="host_key of hop 1 is not"):
        hops_from([{"host": "10.0.0.9", "host_key": f"@cert-authority {name} {KEY}"}])


def test_hops_are_read_from_plain_data() -> None:
    data = [{"host": "[fd00::9]", "port": "2200"}, {"host": "b.example.org", "user": "x", "key": "", "host_key": None}]
    assert hops_from(data) == [Hop("fd00::9", port=2200), Hop("b.example.org", user="x")]
    assert hops_from(None) == hops_from([]) == []


@pytest.mark.parametrize(
    ("hop", "complaint"),
    [
        ({"host": "-oProxyCommand=x"}, "neither a host name nor an address"),
        ({"host": "a b"}, "neither"),
        ({"host": "fe80::1%eth0"}, "neither"),
        ({"host": "a\n  User b"}, "neither"),
        ({"host": "a", "user": "-l"}, "not a user name"),
        ({"host": "a", "user": "%r"}, "not a user name"),
        ({"host": "a", "port": "22a"}, "no valid port"),
        ({"host": "a", "port": 0}, "no valid port"),
        ({"host": "a", "port": "9" * 5000}, "no valid port"),
        ({"host": "a", "port": 70000}, "no valid port"),
        ({"host": "a", "key": 'a"b'}, "path of the key of hop 1"),
        ({"host": "a", "key": "${HOME}/x"}, "path of the key of hop 1"),
        ({"host": "a", "key": "none"}, "path of the key of hop 1"),
        ({"host": "a", "host_key": "ssh-ed25519 AAAA..."}, "not an OpenSSH public key"),
        ({"host": "a", "hostkey": "x"}, "unknown fields"),
        ({"user": "a"}, "at least a host"),
        ("gate.example.org", "at least a host"),
    ],
)
def test_a_hop_that_ssh_could_misread_is_refused_with_its_number(hop: object, complaint: str) -> None:
    with pytest.raises(InvalidRequest, match=complaint) as caught:
        hops_from([hop])
    assert "hop 1" in str(caught.value).lower()


@pytest.mark.parametrize("path", ["", "none", "-x", 'a"b', "a\nb", "a\\b", "${X}/y", "a'b"])
def test_a_path_that_cannot_be_written_safely_is_refused(path: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^The key cannot be written to an ssh configuration"):
        require_path(path, "The key")
