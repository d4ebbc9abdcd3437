# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""User data reaches cloud-init as it was given, and only real host keys are believed."""

from __future__ import annotations

import base64
import dataclasses
import gzip
import struct
from email import message_from_bytes

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.haven.gpu.plugins.module_utils import _cloud_init as cloud_init
from ansible_collections.haven.gpu.plugins.module_utils._errors import InvalidRequest
from ansible_collections.haven.gpu.plugins.module_utils._models import HostKey, Spec

texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"], include_characters="\n\t"), max_size=200)


def key(seed: bytes = b"k") -> str:
    blob = struct.pack(">I", 11) + b"ssh-ed25519" + struct.pack(">I", 32) + (seed * 32)[:32]
    return f"ssh-ed25519 {base64.b64encode(blob).decode()}"


def block(*lines: str) -> str:
    return "\n".join([cloud_init.BEGIN, *lines, cloud_init.END]) + "\n"


@given(texts)
def test_what_the_user_wrote_comes_back_unchanged(text: str) -> None:
    assert cloud_init.same(cloud_init.compose(text), text)


@given(texts, texts)
def test_another_text_is_another_text(one: str, other: str) -> None:
    different = one.splitlines() != other.splitlines()
    assert cloud_init.same(cloud_init.compose(one), other) is not different


@given(texts)
def test_the_same_wish_gives_the_same_bytes(text: str) -> None:
    assert cloud_init.compose(text) == cloud_init.compose(text)


def test_our_part_runs_at_every_boot_and_the_users_is_left_to_cloud_init() -> None:
    parts = message_from_bytes(cloud_init.compose("#cloud-config\n{}\n")).get_payload()
    assert isinstance(parts, list)
    assert [part.get_content_type() for part in parts] == ["text/x-shellscript-per-boot", "text/plain"]  # type: ignore[union-attr]
    assert parts[0].get_filename() == cloud_init.FILENAME  # type: ignore[union-attr]
    assert parts[0].get_payload(decode=True).startswith(b"#!/bin/sh\n")  # type: ignore[union-attr]


def test_an_injected_host_key_is_a_part_before_the_users_and_not_taken_for_it() -> None:
    host_key = HostKey(public=key(), private="-----BEGIN\nx\n-----END\n")
    text = "#cloud-config\nruncmd: [ls]\n"
    data = cloud_init.compose(text, host_key)
    parts = message_from_bytes(data).get_payload()
    assert isinstance(parts, list)
    assert [part.get_content_type() for part in parts] == [  # type: ignore[union-attr]
        "text/x-shellscript-per-boot",
        "text/cloud-config",
        "text/plain",
    ]
    said = yaml.safe_load(parts[1].get_payload(decode=True))  # type: ignore[union-attr]
    assert said == {"ssh_deletekeys": True, "ssh_keys": {"ed25519_private": host_key.private}}
    assert cloud_init.same(data, text)
    assert cloud_init.original(cloud_init.compose(None, host_key)) == ""
    assert host_key.private not in repr(host_key)


def test_multipart_user_data_is_nested() -> None:
    head = 'Content-Type: multipart/mixed; boundary="b"\nMIME-Version: 1.0\n\n'
    text = head + "--b\nContent-Type: text/cloud-config\n\na: 1\n--b--\n"
    message = message_from_bytes(cloud_init.compose(text))
    assert [part.get_content_type() for part in message.walk()] == [
        "multipart/mixed",
        "text/x-shellscript-per-boot",
        "multipart/mixed",
        "text/cloud-config",
    ]
    assert cloud_init.same(cloud_init.compose(text), text)
    assert not cloud_init.same(cloud_init.compose(text), text.replace("a: 1", "a: 2"))


def test_long_user_data_is_compressed_and_too_long_is_refused() -> None:
    text = "#!/bin/sh\n" + "echo hello\n" * 3000
    data = cloud_init.compose(text)
    assert len(data) < cloud_init.LIMIT
    assert gzip.decompress(data).startswith(b"Content-Type: multipart/mixed")
    assert cloud_init.same(data, text)
    with pytest.raises(InvalidRequest, match="16384"):
        cloud_init.compose("".join(chr(33 + hash_ % 90) for hash_ in (pow(7, n, 1000003) for n in range(40000))))


def test_foreign_user_data_is_compared_as_it_is() -> None:
    assert cloud_init.same(b"#!/bin/sh\n", "#!/bin/sh")
    assert not cloud_init.same(b"", "#!/bin/sh")


def test_the_key_printed_last_counts() -> None:
    console = block(f"{key(b'a')} root@x") + "login:\r\n" + block("ssh-rsa AAAA", f"{key(b'b')} root@x\r")
    assert cloud_init.host_key(console) == key(b"b")


@pytest.mark.parametrize(
    "console",
    [
        "",
        key(),
        f"{cloud_init.BEGIN}\n{key()}\n",
        block("ssh-rsa AAAAB3NzaC1yc2E="),
        block("ssh-ed25519 AAAA"),
        block(f"{key()[:-4]}===="),
        block("ssh-ed25519 " + base64.b64encode(b"\0\0\0\7ssh-rsa" + b"x" * 40).decode()),
    ],
)
def test_what_is_not_a_whole_ed25519_key_is_not_believed(console: str) -> None:
    assert cloud_init.host_key(console) is None


@given(st.text(max_size=300))
def test_any_console_is_survived(console: str) -> None:
    found = cloud_init.host_key(block(console))
    assert found is None or len(found.split()) == 2


@pytest.mark.parametrize(
    ("before", "now", "new"),
    [
        ("", "boot", "boot"),
        ("old boot\n", "old boot\nnew", "new"),
        ("one\n", "one\none\n", "one\n"),
        ("old boot\n", "new", "new"),
        ("x" * 500 + "\nend of old", "x" * 300 + "\nend of old\nnew", "\nnew"),
    ],
)
def test_what_a_console_says_since(before: str, now: str, new: str) -> None:
    assert cloud_init.since(before, now) == new


@pytest.mark.parametrize(
    ("said", "finished"),
    [
        ("[   31.4] cloud-init[812]: Cloud-init v. 24.1.3-0ubuntu1~22.04.1 finished at Mon, 30 Nov 2026", True),
        ("Cloud-init v. 22.4.2 finished at Mon, 30 Nov 2026", True),
        ("[   11.0] cloud-init[790]: Cloud-init v. 24.1.3 running 'modules:final' at Mon, 30 Nov 2026", False),
        ("ci-info: no authorized SSH keys fingerprints found for user ubuntu.", False),
        ("", False),
    ],
)
def test_the_console_says_when_cloud_init_has_finished(said: str, finished: bool) -> None:
    assert cloud_init.finished(f"login: \r\n{said}\r\n") is finished


FIDO = "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29t alice@token"


@pytest.mark.parametrize("report", [True, False])
@pytest.mark.parametrize("text", [None, "#cloud-config\nssh_authorized_keys: [mine]\n", "#!/bin/sh\n"])
def test_keys_are_added_to_the_users_own_and_not_taken_for_their_part(text: str | None, report: bool) -> None:
    sent = cloud_init.compose(text, None, [FIDO], report=report)
    assert cloud_init.original(sent) == (text or "")
    parts = message_from_bytes(sent).get_payload()
    assert isinstance(parts, list)
    names = [part.get_filename() for part in parts]  # type: ignore[union-attr]
    expected = [*([cloud_init.FILENAME] if report else []), *([None] if text else []), cloud_init.AUTHORIZED]
    # The last, so that it says how it is merged into what was before.
    assert names == expected
    config = yaml.safe_load(parts[-1].get_payload(decode=True))  # type: ignore[union-attr]
    assert config["ssh_authorized_keys"] == [FIDO]
    assert config["merge_how"] == [
        {"name": "list", "settings": ["append"]},
        {"name": "dict", "settings": ["no_replace", "recurse_list"]},
    ]


def test_without_anything_of_ours_the_users_text_is_sent_as_it_is() -> None:
    bare = Spec("p", "one", record_host_key=False)
    assert cloud_init.wanted(bare) is None
    assert cloud_init.wanted(dataclasses.replace(bare, user_data="#!x")) == b"#!x"
    assert FIDO.encode() in (cloud_init.wanted(dataclasses.replace(bare, ssh_keys=(FIDO,))) or b"")
