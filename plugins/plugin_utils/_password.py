# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Password hashes that are the same on every run, with a different salt for each account."""

from __future__ import annotations

import hashlib
import hmac

# The costs that jupyter_server uses; it reads them back from the hash. Memory is in KiB.
# Source: jupyter_server/auth/security.py, passwd().
TIME_COST = 10
MEMORY_COST = 10240
PARALLELISM = 8
HASH_LENGTH = 32  # bytes
SALT_LENGTH = 16  # bytes, the length RFC 9106 recommends
MIN_SECRET_LENGTH = 16  # characters


def derived_salt(secret: str, host: str, user: str) -> bytes:
    """Return the salt of one account: 16 bytes that only holders of `secret` can predict.

    Raises ValueError if the secret is too short, or if a name is missing, so that two accounts would share a salt.
    """
    if len(secret) < MIN_SECRET_LENGTH:
        raise ValueError(f"The secret must have at least {MIN_SECRET_LENGTH} characters; make one with a generator.")
    if not host or not user:
        raise ValueError("Both host and user must be given, because the salt must differ between accounts.")
    # The separator cannot occur in a name, so no two pairs give the same message.
    message = "\0".join(("haven.gpu jupyter", host, user)).encode()
    return hmac.new(secret.encode(), message, hashlib.sha256).digest()[:SALT_LENGTH]


def argon2_hash(password: str, *, secret: str, host: str, user: str) -> str:
    """Return the hash that jupyter_server's PasswordIdentityProvider.hashed_password expects: `argon2:$argon2id$...`.

    Raises ValueError for an empty password and like `derived_salt`, and ImportError without argon2-cffi.
    """
    if not password:
        raise ValueError("The password is empty, and an empty password would let everyone in.")
    salt = derived_salt(secret, host, user)
    from argon2.low_level import Type, hash_secret

    digest = hash_secret(
        password.encode(),
        salt,
        time_cost=TIME_COST,
        memory_cost=MEMORY_COST,
        parallelism=PARALLELISM,
        hash_len=HASH_LENGTH,
        type=Type.ID,
    )
    return f"argon2:{digest.decode()}"
