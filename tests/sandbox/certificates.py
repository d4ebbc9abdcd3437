# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates for names of the sandbox, and authorities that vouch for them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .processes import run

_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30")
_AUTHORITY = ("-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")


def make(authority: Path, with_key: Path, title: str, names: Sequence[str]) -> None:
    """Make a certificate for names, and the authority that vouches for it and for nothing else.

    authority: where its certificate goes; its key is thrown away. with_key: where the certificate goes, with its key,
    for its owner only.
    """
    key, authority_key, certificate = (with_key.with_suffix(end) for end in (".key", ".authority-key", ".alone"))
    run(
        *("openssl", "req", "-x509", *_NEW_KEY, *_AUTHORITY, "-subj", f"/O=haven sandbox/CN=haven sandbox {title}"),
        *("-keyout", authority_key, "-out", authority),
    )
    run(
        *("openssl", "req", "-x509", *_NEW_KEY, "-subj", f"/O=haven sandbox/CN={names[0]}"),
        *("-CA", authority, "-CAkey", authority_key),
        *("-addext", "subjectAltName=" + ",".join(f"DNS:{name}" for name in names)),
        *("-addext", "basicConstraints=critical,CA:FALSE", "-keyout", key, "-out", certificate),
    )
    with_key.touch(mode=0o600)
    with_key.write_bytes(certificate.read_bytes() + key.read_bytes())
    for path in (key, authority_key, certificate):
        path.unlink()
