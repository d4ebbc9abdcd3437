# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""User data for cloud-init, and its console output. Pure.

cloud-init prints an instance's host keys only on its first boot, and only if the image did not disable that. We add a
part that runs at every boot after the keys exist and always prints them in the same format, so that anyone who can read
the console can identify the instance. Another part can contain a host key. The user's own user data is sent along with
them, unchanged.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import hashlib
import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Optional

from ._errors import InvalidRequest
from ._models import HostKey, Spec

# The email package is imported where it is used: most runs write no user data, and are faster without it.
if TYPE_CHECKING:
    from email.message import Message

# EC2 takes 16 KiB of user data before its base64 form; cloud-init unpacks gzip.
LIMIT = 16 * 1024
BEGIN = "-----BEGIN SSH HOST KEY KEYS-----"
END = "-----END SSH HOST KEY KEYS-----"
FILENAME = "haven-host-keys"
INJECTED = "haven-host-key"
AUTHORIZED = "haven-ssh-keys"
_OURS = (FILENAME, INJECTED, AUTHORIZED)

# One printf, so that no kernel message appears between the lines.
SCRIPT = f"""\
#!/bin/sh
# haven.gpu: say on the console who this instance is, at every boot.
printf '\\n%s\\n%s\\n%s\\n' '{BEGIN}' "$(cat /etc/ssh/ssh_host_*_key.pub)" '{END}' > /dev/console
"""

_BLOCK = re.compile(re.escape(BEGIN) + r"(.*?)" + re.escape(END), re.DOTALL)
# The default of final_message in cloud-init's module "Final Message".
_FINISHED = re.compile(r"[Cc]loud-init v\. ?\S+ finished at ")
_ED25519 = re.compile(r"ssh-ed25519 ([A-Za-z0-9+/]+={0,2})")
_ED25519_PREFIX = b"\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20"


def wanted(spec: Spec) -> Optional[bytes]:
    """The user data for a new instance, or None if there is none to send. Raises InvalidRequest if it is too long."""
    if spec.record_host_key or spec.ssh_keys:
        return compose(spec.user_data, spec.host_key, spec.ssh_keys, report=spec.record_host_key)
    return spec.user_data.encode() if spec.user_data else None


def compose(
    user_data: Optional[str],
    host_key: Optional[HostKey] = None,
    ssh_keys: Sequence[str] = (),
    *,
    report: bool = True,
) -> bytes:
    """The user data to send: ours and the user's, as a MIME message for cloud-init, compressed if it is too long.

    ``ssh_keys`` may log in to the image's own account, besides those of a key pair. ``report``: whether the instance
    says its host keys on the console.

    The same text gives the same bytes, because a repeated creation must have the same parameters. Raises InvalidRequest
    if it is still too long.
    """
    from email.mime.multipart import MIMEMultipart

    # The boundary must not occur in a part and must not be random.
    digest = hashlib.sha256((user_data or "").encode()).hexdigest()
    message = MIMEMultipart(boundary=f"haven-{digest[:32]}")
    if report:
        # Run by cloud-init at every boot, in its last stage: the keys exist then.
        message.attach(_part("x-shellscript-per-boot", SCRIPT, FILENAME))
    if host_key:
        # Before the user's part: if two parts have ssh_keys, cloud-init uses the first.
        given = {"ed25519_private": host_key.private}
        if host_key.certificate:
            given["ed25519_certificate"] = host_key.certificate
        keys = {"ssh_deletekeys": True, "ssh_keys": given}
        message.attach(_part("cloud-config", f"#cloud-config\n{json.dumps(keys)}\n", INJECTED))
    if user_data:
        message.attach(_users_part(user_data))
    if ssh_keys:
        # After the user's part, and added to its keys: without merge_how, cloud-init would take the user's alone.
        settings = ("no_replace", "recurse_list")
        merge = [{"name": "list", "settings": ["append"]}, {"name": "dict", "settings": list(settings)}]
        keys = {"ssh_authorized_keys": list(ssh_keys), "merge_how": merge}
        message.attach(_part("cloud-config", f"#cloud-config\n{json.dumps(keys)}\n", AUTHORIZED))
    data = message.as_string().encode()
    if len(data) <= LIMIT:
        return data
    packed = gzip.compress(data, mtime=0)
    if len(packed) <= LIMIT:
        return packed
    raise InvalidRequest(
        f"The user data is {len(packed)} bytes long even when compressed and the cloud takes {LIMIT}: "
        "keep it short and let a role do the rest."
    )


def original(data: bytes) -> str:
    """The user's own part of an instance's user data, or all of it if it is not ours."""
    from email import message_from_string
    from email.message import Message

    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    text = data.decode("utf-8", "replace")
    if not any(name in text for name in _OURS):
        return text
    parts = message_from_string(text).get_payload()
    if not isinstance(parts, list):
        return text
    for part in parts:
        if isinstance(part, Message) and part.get_filename() not in _OURS:
            return _text_of(part)
    return ""


def same(actual: bytes, wanted: str) -> bool:
    """Whether an instance's user data contains this text, ignoring line ends and a final newline."""
    return (
        original(actual).split() == wanted.split() if _is_mime(wanted) else _plain(original(actual)) == _plain(wanted)
    )


def digest(project: str, text: str) -> str:
    """A fingerprint of user data for clouds that do not return it. Ignores line ends, like same().

    It is slow on purpose, and salted: user data may contain a password, and anyone who can read metadata can read this.
    """
    words = (" ".join(text.split()) if _is_mime(text) else _plain(text)).encode()
    return hashlib.scrypt(words, salt=project.encode(), n=2**14, r=8, p=1, dklen=24).hex()


def host_key(console: str) -> Optional[str]:
    """The ed25519 host key that the instance printed last, as ``ssh-ed25519 AAAA…``, or None.

    Only a complete block with a valid key counts, because the console contains untrusted text from the instance.
    """
    for block in reversed(_BLOCK.findall(console)):
        for encoded in _ED25519.findall(block):
            if _is_ed25519(encoded):
                return f"ssh-ed25519 {encoded}"
    return None


def finished(console: str) -> bool:
    """Whether cloud-init has finished, as far as the console says: it prints its ``final_message`` at the end."""
    return _FINISHED.search(console) is not None


def since(before: str, now: str) -> str:
    """The console output since ``before``. The console may have been cleared, or may have lost its beginning."""
    if now.startswith(before):
        return now[len(before) :]
    last = before.strip()[-200:]
    _old, found, new = now.rpartition(last) if last else ("", "", now)
    return new if found or not last else now


def _is_ed25519(encoded: str) -> bool:
    try:
        blob = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return False
    return len(blob) == len(_ED25519_PREFIX) + 32 and blob.startswith(_ED25519_PREFIX)


def _plain(text: str) -> str:
    return "\n".join(text.splitlines())


def _is_mime(text: str) -> bool:
    return text.lstrip().lower().startswith(("content-type: multipart/", "mime-version:"))


def _part(subtype: str, text: str, filename: Optional[str] = None) -> Message:
    from email.mime.nonmultipart import MIMENonMultipart

    part = MIMENonMultipart("text", subtype, charset="utf-8")
    part.set_payload(text, "us-ascii" if text.isascii() else "utf-8")
    if filename:
        part.add_header("Content-Disposition", "attachment", filename=filename)
    return part


def _users_part(user_data: str) -> Message:
    if _is_mime(user_data):
        from email import message_from_string

        return message_from_string(user_data.lstrip())
    # text/plain: cloud-init looks at the first line itself (#cloud-config, #!, #include, ## template: jinja).
    return _part("plain", user_data)


def _text_of(part: Message) -> str:
    if part.is_multipart():
        return part.as_string()
    payload = part.get_payload(decode=True)
    return payload.decode("utf-8", "replace") if isinstance(payload, bytes) else ""
