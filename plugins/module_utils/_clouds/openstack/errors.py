# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Turns OpenStack's errors into errors that users can act on. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from ..._errors import (
    BadCredentials,
    CloudFailure,
    Denied,
    HavenError,
    InvalidRequest,
    NoCapacity,
    NotFound,
    QuotaExceeded,
    Refused,
    Throttled,
    one_line,
)

_POLICY = re.compile(
    r"Policy doesn't allow ([a-z_]+:[A-Za-z0-9_:.-]+)|(?:rule:)?([a-z_]+(?::[a-z_]+)*) is disallowed by policy"
    r"|not authorized to perform the requested action: ([a-z_:]+)",
    re.IGNORECASE,
)
# A missing thing's name in a message, our name for it, and what to do.
_MISSING = (
    (r"\bimage\b", "image", "give the id or name of an image this project can see"),
    (r"\bflavor\b", "flavor", "give the name or id of one that this project may use as instance_type"),
    (r"key ?pair|key_name|keyname", "key pair", "import it with haven.gpu.keypair, or name the user's own key in "
     "openstack.key_name"),
    (r"security ?group", "firewall", "create it with haven.gpu.firewall first"),
    (r"\bsubnet", "subnet", "give the id of a subnet this project can use"),
    (r"\bnetwork", "network", "give the name or id of a network this project can use"),
    (r"floating ?ip", "floating IP", "give an address that belongs to this project"),
    (r"\bport\b", "port", "give the id of a port of this project"),
    (r"availability zone", "availability zone", "give one of this cloud's zones"),
    (r"volume type", "volume type", "give one of this cloud's types"),
    (r"\bvolume\b", "volume", "it may have been deleted in the meantime: run again"),
    (r"\binstance\b|\bserver\b", "instance", "it may have been removed in the meantime: run again"),
)  # fmt: skip


def from_status(status: int, message: str, action: str, service: str) -> HavenError:
    """Return the error for a refused request. ``action`` is its method and path."""
    said = tidy(message)
    for matches, make in _KINDS:
        if matches(status, said):
            return make(status, said, action, service)
    return CloudFailure(
        f"OpenStack's {service} service refused {action} with {status}: {said or 'no reason given'}. "
        "Check the options against this message, or run again."
    )


def from_fault(message: str, name: str) -> HavenError:
    """Return the error for a server in ERROR, from nova's fault."""
    said = tidy(message)
    if re.search(r"no valid host|not enough hosts|exhausted all hosts|insufficient compute resources", said, re.I):
        return NoCapacity(
            f"OpenStack has no capacity for {name} ({said}): try another instance_type or availability zone, or later."
        )
    if re.search(r"quota|TooManyInstances|VolumeLimitExceeded", said, re.I):
        return QuotaExceeded(f"The project's quota does not allow {name} ({said}): free some, or ask for more.")
    if re.search(r"no more ip addresses|no fixed ips|no more free addresses", said, re.I):
        return QuotaExceeded(f"The network of {name} has no free address ({said}): use another network.")
    return CloudFailure(
        f"OpenStack could not create {name} ({said or 'no reason given'}): check the options against this message, "
        "or run again."
    )


def quoted(text: str) -> str:
    """Quote a text as part of a path."""
    return quote(text, safe="")


def message_of(body: str) -> str:
    """Return the message in an error's body, which is different for every service."""
    try:
        found = _text_in(json.loads(body))
    except ValueError:
        # Usually a proxy's page: return the text between its tags.
        return re.sub(r"<[^>]*>", " ", body)
    return found or body


def is_from(service: str, body: str) -> bool:
    """Whether an error's body looks like the service's own. glance returns HTML, as others might."""
    if service == "image":
        return True
    try:
        found = json.loads(body)
    except ValueError:
        return False
    # A proxy that answers in JSON has the message at the top level.
    return isinstance(found, dict) and any(
        key == "NeutronError" or (isinstance(value, dict) and "message" in value) for key, value in found.items()
    )


def _text_in(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return " ".join(filter(None, (_text_in(each) for each in value)))
    if not isinstance(value, dict):
        return ""
    for key in ("message", "detail", "title"):
        if isinstance(value.get(key), str) and value[key]:
            return str(value[key])
    return " ".join(filter(None, (_text_in(each) for each in value.values() if isinstance(each, (dict, list)))))


def tidy(message: str) -> str:
    """Return one line of limited length, without the refused value, which may be a secret, and the request ID."""
    text = re.sub(r"\sValue:\s.*?\.\s+(?=')", " ", message, flags=re.DOTALL)
    return one_line(re.sub(r"\s?\(HTTP \d+\)(\s\(Request-ID: [^)]*\))?", "", text))


def _unauthorized(_status: int, said: str, action: str, service: str) -> HavenError:
    return BadCredentials(
        f"OpenStack's {service} service does not accept these credentials for {action} ({said}): they have expired, "
        "were revoked, or are an application credential whose access rules lack this request."
    )


def _forbidden(_status: int, said: str, action: str, service: str) -> HavenError:
    named = _POLICY.search(said)
    rule = next((each for each in named.groups() if each), "") if named else ""
    permission = f"{rule} ({action} of the {service} service)" if rule else f"{action} of the {service} service"
    return Denied(
        f"These OpenStack credentials may not {permission}: ask for a role that may (mostly member), or add it to the "
        "application credential's access rules."
    )


def _quota(_status: int, said: str, _action: str, service: str) -> HavenError:
    return QuotaExceeded(
        f"The project's quota of the {service} service does not allow it ({said}): free some, or ask for more."
    )


def _throttled(status: int, _said: str, action: str, service: str) -> HavenError:
    why = "kept throttling" if status == 429 else "stayed unavailable for"
    return Throttled(f"OpenStack's {service} service {why} {action}: wait a minute, then run again.")


def _locked(_status: int, said: str, _action: str, _service: str) -> HavenError:
    return Refused(
        f"OpenStack does not allow it, because the instance is locked ({said}): for termination protection add "
        "termination_protection: false to the same call."
    )


def _addresses(_status: int, said: str, _action: str, _service: str) -> HavenError:
    return QuotaExceeded(f"There is no free address ({said}): use another network or pool, or release some.")


def _state(_status: int, said: str, action: str, _service: str) -> HavenError:
    return CloudFailure(f"OpenStack cannot {action} now ({said}): wait a moment and run again.")


def _missing(_status: int, said: str, _action: str, _service: str) -> HavenError:
    for pattern, kind, advice in _MISSING:
        if re.search(pattern, said, re.IGNORECASE):
            return NotFound(f"OpenStack does not know the {kind} ({said}): {advice}.")
    return NotFound(f"OpenStack does not know what was asked for ({said}): check names and ids, or run again.")


def _flavor(_status: int, said: str, _action: str, _service: str) -> HavenError:
    return InvalidRequest(
        f"OpenStack does not offer this instance type for this image and these disks ({said}): choose another one."
    )


def _invalid(_status: int, said: str, action: str, service: str) -> HavenError:
    return InvalidRequest(
        f"OpenStack's {service} service refused {action} with these options ({said}): correct the option named there."
    )


def _networks(_status: int, said: str, _action: str, _service: str) -> HavenError:
    return InvalidRequest(f"OpenStack cannot tell which network to use ({said}): name one in openstack.networks.")


def _is_missing(status: int, said: str) -> bool:
    about = re.search(r"could not be found|not found|does not exist|Invalid key_name|Can not find|not available", said)
    return status == 404 or (status == 400 and about is not None)


_Make = Callable[[int, str, str, str], HavenError]
# In order: the first that matches (status, message) is used.
_KINDS: tuple[tuple[Callable[[int, str], bool], _Make], ...] = (
    (
        lambda status, said: status in (403, 409, 413) and re.search("quota|exceeds|limit", said, re.I) is not None,
        _quota,
    ),
    (lambda status, said: status == 409 and "locked" in said, _locked),
    (lambda status, said: status in (400, 409) and "o more IP addresses" in said, _addresses),
    (lambda status, _said: status == 401, _unauthorized),
    (lambda status, _said: status == 403, _forbidden),
    (lambda status, _said: status in (413, 429, 503), _throttled),
    (lambda status, said: status in (400, 409) and "ultiple possible networks" in said, _networks),
    (lambda status, said: status in (400, 409) and "nable to automatically allocate" in said, _networks),
    (_is_missing, _missing),
    (lambda status, said: status == 400 and re.search("flavor's", said, re.I) is not None, _flavor),
    (lambda status, said: status == 400 and "nvalid" in said, _invalid),
    (lambda status, _said: status == 409, _state),
)
