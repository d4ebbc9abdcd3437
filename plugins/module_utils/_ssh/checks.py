# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks for hops, machines, keys, and paths before they are passed to ssh. Pure.

Values from the *user* must be right: functions named ``require…`` raise InvalidRequest, with a sentence that begins
with the value's description ("The user of hop 2"). Values from a *cloud* are only tested, by functions named ``is…``
and by :func:`public_key`, and the caller leaves out those that are not clearly valid.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Optional

from .._errors import InvalidRequest
from .._models import Hop

VERIFIED = "verified"
TOFU = "tofu"

# Used with fullmatch. No pattern allows a space, a quote, a token (%), a wildcard, or a leading "-".
_ALIAS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_NAME = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9])?\.?")
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9._@-]{0,63}")
_SOCKET = re.compile(r"/[A-Za-z0-9._/-]{1,100}")
# Control characters end the line, quotes and backslashes end the word, and "${" cannot be escaped in ssh_config.
_UNSAFE_IN_PATH = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029\"'\\]|\$\{")
KEY_TYPES = frozenset(
    [
        "ssh-ed25519",
        "ssh-rsa",
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp384",
        "ecdsa-sha2-nistp521",
        "sk-ssh-ed25519@openssh.com",
        "sk-ecdsa-sha2-nistp256@openssh.com",
    ]
)
_HOP_FIELDS = frozenset(["host", "port", "user", "key", "host_key", "inside_address"])


def is_alias(text: object) -> bool:
    """Whether ssh treats the text as one plain name, on a command line and in a Host line."""
    return isinstance(text, str) and _ALIAS.fullmatch(text) is not None


def is_socket(text: object) -> bool:
    """Whether the text is a plain absolute path, such as that of a unix socket on a machine."""
    return isinstance(text, str) and _SOCKET.fullmatch(text) is not None


def is_user(text: object) -> bool:
    return isinstance(text, str) and _USER.fullmatch(text) is not None


def is_address(text: object) -> bool:
    """Whether the text is an IPv4 or IPv6 address (without a zone) or a host name."""
    if not isinstance(text, str):
        return False
    if _NAME.fullmatch(text):
        return True
    try:
        return "%" not in text and ipaddress.ip_address(text).version == 6
    except ValueError:
        return False


def _is_ip_address(text: str) -> bool:
    try:
        return bool(ipaddress.ip_address(text))
    except ValueError:
        return False


def public_key(text: object) -> Optional[str]:
    """Return ``type base64`` of an OpenSSH public key, without its comment, or None if the text is not exactly one key.

    The type must match the one inside the blob (RFC 4253, 6.6).
    """
    if not isinstance(text, str) or len(text) > 4096 or not text.isprintable():
        return None
    words = text.split()
    if len(words) < 2 or words[0] not in KEY_TYPES:
        return None
    try:
        blob = base64.b64decode(words[1], validate=True)
    except (binascii.Error, ValueError):
        return None
    name = words[0].encode()
    head = struct.pack(">I", len(name)) + name
    if not blob.startswith(head) or len(blob) <= len(head):
        return None
    return f"{words[0]} {words[1]}"


def public_keys(text: object) -> tuple[str, ...]:
    """Return each line of the text as by :func:`public_key`, or nothing if one of them is not a public key."""
    keys = [public_key(line) for line in text.splitlines()] if isinstance(text, str) else []
    return tuple(filter(None, keys)) if all(keys) else ()


def lines_of_keys(keys: object) -> str:
    """Return public keys, such as those of a user, in the form in which ``key`` can have them instead of a path.

    Those that are not plainly one key, for instance because they have options, are left out.
    """
    listed = [keys] if isinstance(keys, str) else keys if isinstance(keys, Sequence) else []
    return "\n".join(dict.fromkeys(filter(None, (public_key(str(each).strip()) for each in listed))))


class Authority(NamedTuple):
    """A signer's public key, and the name that the certificate must contain, or '' for the host's own name."""

    key: str
    name: str = ""

    @property
    def line(self) -> str:
        """The form in which it is written instead of a host key."""
        return " ".join(filter(None, ("@cert-authority", self.name, self.key)))


def authority(text: object) -> Optional[Authority]:
    """Parse ``@cert-authority [name] type base64``. Return None for anything else."""
    marker, _blank, rest = text.strip().partition(" ") if isinstance(text, str) else ("", "", "")
    name, _blank, key = rest.strip().partition(" ")
    if name in KEY_TYPES:
        name, key = "", rest
    signer = public_key(key.strip())
    return Authority(signer, name) if marker == "@cert-authority" and signer and (not name or is_alias(name)) else None


def principal(name: str, project: str) -> str:
    """The name in a machine's certificate, which is unique and known before the machine is created."""
    return f"{name}.{project}".lower()


def hops_from(value: object) -> list[Hop]:
    """Return the hops in an option or variable: a list of dictionaries with host, port, user, key, and host_key.

    Raises InvalidRequest for anything that ssh could misread.
    """
    if value is None or value == "":
        return []
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise InvalidRequest("The hops must be a list of dictionaries with host, port, user, key and host_key.")
    return [_hop_from(item, number) for number, item in enumerate(value, start=1)]


def _hop_from(item: object, number: int) -> Hop:
    if isinstance(item, Hop):
        _require_hop(item, number)
        return item
    if not isinstance(item, Mapping) or not item.get("host"):
        raise InvalidRequest(f"Hop {number} must be a dictionary with at least a host.")
    require_known_fields(item, _HOP_FIELDS, f"Hop {number}")
    fields: dict[str, Any] = {name: str(item[name]).strip() for name in _HOP_FIELDS if item.get(name) not in (None, "")}
    if fields["host"].startswith("[") and fields["host"].endswith("]"):
        fields["host"] = fields["host"][1:-1]
    fields["port"] = require_port(fields.get("port", 22), f"Hop {number}")
    hop = Hop(**fields)
    _require_hop(hop, number)
    return hop


def _require_hop(hop: Hop, number: int) -> None:
    require_address(hop.host, f"The host of hop {number}")
    require_port(hop.port, f"Hop {number}")
    if hop.user is not None:
        require_user(hop.user, f"The user of hop {number}")
    if hop.host_key is not None:
        require_host_key(hop.host_key, f"The host_key of hop {number}")
    if hop.key is not None and not public_keys(hop.key):
        require_path(hop.key, f"The path of the key of hop {number}")
    if hop.inside_address is not None and not _is_ip_address(hop.inside_address):
        raise InvalidRequest(
            f"The inside_address of hop {number} is no IP address: {shown(hop.inside_address)}; give the one that the "
            "instances see."
        )


def require_known_fields(item: Mapping[Any, Any], known: Iterable[str], what: str) -> None:
    """Check the fields of a dictionary from the user."""
    unknown = sorted(str(name) for name in item if name not in known)
    if unknown:
        raise InvalidRequest(f"{what} has unknown fields ({', '.join(unknown)}): use {', '.join(sorted(known))}.")


def require_alias(text: object, what: str) -> str:
    if not isinstance(text, str) or not is_alias(text):
        raise InvalidRequest(f"{what} cannot be used: {shown(text)}; use letters, digits, dots, and dashes.")
    return text


def require_address(text: object, what: str) -> str:
    if not isinstance(text, str) or not is_address(text):
        raise InvalidRequest(f"{what} is neither a host name nor an address: {shown(text)}.")
    return text


def require_user(text: object, what: str) -> str:
    if not isinstance(text, str) or not is_user(text):
        raise InvalidRequest(f"{what} is not a user name: {shown(text)}.")
    return text


def require_port(value: object, what: str) -> int:
    """Check a port. ``what`` is the thing that has it."""
    text = str(value)
    if not (re.fullmatch(r"[0-9]{1,5}", text) and 0 < int(text) < 65536):
        raise InvalidRequest(f"{what} has no valid port: {shown(value)}; use 1 to 65535.")
    return int(text)


def require_socket(text: object, what: str) -> str:
    if not isinstance(text, str) or not is_socket(text):
        raise InvalidRequest(f"{what} must be a plain absolute path, not {shown(text)}.")
    return text


def require_path(path: str, what: str) -> str:
    """Check that a path can be written to an SSH configuration."""
    if not path or path.startswith("-") or path.lower() == "none" or _UNSAFE_IN_PATH.search(path):
        raise InvalidRequest(
            f"{what} cannot be written to an ssh configuration: {shown(path)}; avoid quotes, backslashes, ${{ and"
            " control characters."
        )
    return path


def require_host_key(text: object, what: str, *, may_be_signed: bool = True) -> str:
    """Check a host key. ``may_be_signed``: it can also be a certificate authority, see :func:`authority`."""
    if isinstance(text, str) and (public_key(text) or (may_be_signed and authority(text))):
        return text
    signed = ", or give @cert-authority and the public key of your certificate authority" if may_be_signed else ""
    raise InvalidRequest(
        f"{what} is not an OpenSSH public key such as 'ssh-ed25519 AAAA...': read it on that host from"
        f" /etc/ssh/ssh_host_ed25519_key.pub{signed}."
    )


def require_checking(text: str) -> str:
    """Check the value of host_keys."""
    if text not in (VERIFIED, TOFU):
        raise InvalidRequest(f"host_keys must be verified or tofu, not {shown(text)}.")
    return text


def shown(value: object) -> str:
    """Return the value for a comment or message: one line of plain ASCII, shortened."""
    return ascii(value)[:60]
