"""The search for planted secrets finds them and what is made of them, however they are written."""

from __future__ import annotations

import base64
import json
import shlex
import urllib.parse
from collections.abc import Callable

import pytest

from tests.story.canaries import ODD, Canaries, hash_of

SECRET = f"canary-{ODD}-0123456789abcdef"
CANARIES = Canaries(
    password=SECRET,
    secret="another secret entirely",
    proxy_password="x" * 12,
    user_data="y" * 12,
    cloud_secret_key="z" * 12,
    cloud_session_token="w" * 12,
    tls_passphrase="v" * 12,
    tls_key="-----BEGIN\nuuuuuuuuuuuu\n",
    cloud_access_key="",
    tls_certificate="",
)


def basic(shift: int) -> Callable[[str], str]:
    """As a client sends a name and a password, at one of the three alignments."""
    return lambda secret: base64.b64encode(f"{'u' * shift}:{secret}".encode()).decode()


@pytest.mark.parametrize(
    "written",
    [
        str,
        urllib.parse.quote,
        urllib.parse.quote_plus,
        lambda secret: urllib.parse.quote(urllib.parse.quote(secret, safe=""), safe=""),
        lambda secret: json.dumps({"a": [secret]}),
        lambda secret: json.dumps(json.dumps({"a": [secret]})),
        lambda secret: json.dumps({"a": secret}, ensure_ascii=False),
        lambda secret: str([{"content": f"line\n{secret}\n"}]),
        lambda secret: ascii({"content": secret.encode()}),
        shlex.quote,
        basic(0),
        basic(1),
        basic(2),
        lambda secret: base64.b64encode(urllib.parse.quote(secret).encode()).decode(),
        lambda secret: base64.urlsafe_b64encode(secret.encode()).decode(),
        lambda secret: secret.encode().hex(),
        lambda secret: secret.encode().hex().upper(),
    ],
)
def test_a_secret_is_found_however_it_is_written(written: Callable[[str], str]) -> None:
    assert CANARIES.found_in(f"before {written(SECRET)} after".encode()) == {"password"}


@pytest.mark.parametrize("written", [str, json.dumps, lambda text: str([f"'{text}'"]), basic(1)])
def test_the_hash_made_of_the_password_is_found(written: Callable[[str], str]) -> None:
    digest = hash_of(CANARIES.password, CANARIES.secret)
    assert digest.startswith("argon2:$argon2id$")
    assert CANARIES.found_in(written(digest).encode()) == {"hash of the password"}


def test_what_is_no_secret_is_not_found() -> None:
    assert CANARIES.found_in(b"canary password hash argon2 " + "Pässword".encode()) == set()
