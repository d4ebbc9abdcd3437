# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Key pairs: fingerprints in AWS's form, tags within AWS's limits."""

from __future__ import annotations

import base64
import hashlib
from typing import Any, ClassVar

from moto.ec2.responses.key_pairs import KeyPairs as MotoKeyPairs

from .cloud import Cloud
from .models import error
from .tags import check_specifications

IMPORTED = ("ssh-rsa", "ssh-ed25519")


def ed25519_fingerprint(public_key: bytes) -> str:
    """SHA-256 in base64, with its padding and without a prefix, as AWS writes it for ed25519 keys."""
    blob = base64.b64decode(public_key.split()[1])
    return base64.b64encode(hashlib.sha256(blob).digest()).decode()


class KeyPairs(MotoKeyPairs):  # type: ignore[misc]
    """moto's answers about key pairs, corrected."""

    cloud: ClassVar[Cloud]

    def create_key_pair(self) -> Any:
        check_specifications(self._parse_tag_specification(), {"key-pair"})
        return self._with_fingerprint(super().create_key_pair())

    def import_key_pair(self) -> Any:
        if not self._get_param("KeyName"):
            raise error("MissingParameter", "The request must contain the parameter KeyName")
        check_specifications(self._parse_tag_specification(), {"key-pair"})
        self._check_kind()
        return self._with_fingerprint(super().import_key_pair())

    def _check_kind(self) -> None:
        """AWS takes no ECDSA keys, no keys of FIDO tokens, no certificates, and no options before a key."""
        material = self._get_param("PublicKeyMaterial") or b""
        line = (material if isinstance(material, bytes) else material.encode()).split()
        if not line or line[0].decode(errors="replace") not in IMPORTED:
            raise error("InvalidKey.Format", "Key is not in valid OpenSSH public key format")

    def delete_key_pair(self) -> Any:
        """Also by id, which moto ignores."""
        wanted = self._get_param("KeyPairId")
        if wanted and not self._get_param("KeyName"):
            named = [pair.key_name for pair in self.ec2_backend.key_pairs.values() if pair.id == wanted]
            if not named:
                raise error("InvalidKeyPair.NotFound", f"The key pair ID '{wanted}' does not exist")
            self.params["KeyName"] = named[0]
        return super().delete_key_pair()

    @staticmethod
    def _with_fingerprint(answer: Any) -> Any:
        pair = answer.result
        if pair.key_type == "ed25519":
            pair.key_fingerprint = ed25519_fingerprint(pair.material_public)
        return answer
