# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Turns OpenStack's errors into errors that users can act on. Pure."""

from __future__ import annotations

import email.utils
import json
import re
import time
from collections.abc import Callable, Mapping
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


# How services say that a quota is used up. None of them has a status of its own for it: nova uses 403, neutron 409, and
# cinder 413. Placement's unified limits speak of a limit that a project is over.
_QUOTA = re.compile(
    r"quota|exceed|over (?:a )?limit|limit (?:is |was )?reached|maximum number of|too many", re.IGNORECASE
)
# How services and load balancers say that there were too many requests. nova and cinder use 413 for this, too.
_RATE = re.compile(
    r"\brate.?limit|too many requests|requests?(?:\(s\))? (?:per|can be made)|throttl|slow down", re.IGNORECASE
)
_TOO_LARGE = re.compile(r"too large|too long|body size", re.IGNORECASE)
# Names in messages, and the service that has the quota. nova passes on what the other two refuse.
_QUOTA_OF = (
    (r"\bports?\b|floating ?ips?|security.?group|\bnetworks?\b|\bsubnets?\b", "network"),
    (r"volume|gigabytes|snapshot|backup", "volume"),
)


# What nova counts, in its words and in those of unified limits.
_SERVERS = re.compile(r"\b(?:instances?|servers|cores|ram|VCPU|MEMORY_MB|Resource)\b", re.IGNORECASE)


class Quota(QuotaExceeded):
    """A quota that is used up. ``service`` is our name of the service that can say what is left of it, or empty."""

    def __init__(self, message: str, service: str = "") -> None:
        super().__init__(message)
        self.service = service


def from_status(status: int, message: str, action: str, service: str, retry_after: float = 0.0) -> HavenError:
    """Return the error for a refused request. ``action`` is its method and path.

    ``retry_after``: seconds that the service asked to wait, 0 if it did not.
    """
    said = tidy(message)
    if is_busy(status, message):
        return _throttled(said, action, service, retry_after, is_limit=status != 503)
    for matches, make in _KINDS:
        if matches(status, said):
            return make(status, said, action, service)
    why = f"{status}: {said or 'no reason given'}"
    if status >= 500:
        return CloudFailure(
            f"OpenStack's {service} service failed on {action} with {why}. Run again; if it stays like this, the "
            "operator of the cloud has to look at it."
        )
    return CloudFailure(
        f"OpenStack's {service} service refused {action} with {why}. Check the options against this message, or run "
        "again."
    )


def is_busy(status: int, message: str) -> bool:
    """Whether a service only asks to wait: it limits the rate of requests, or is not available for a moment."""
    if status in (429, 503):
        return True
    if status not in (403, 409, 413):
        return False
    if _RATE.search(message) and "quota" not in message.lower():
        return True
    return status == 413 and not _QUOTA.search(message) and not _TOO_LARGE.search(message)


def retry_after(headers: Mapping[str, str]) -> float:
    """Return the seconds to wait according to the header Retry-After, which has a number or a date; 0 without it."""
    text = str(headers.get("Retry-After") or "").strip()
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except (TypeError, ValueError, IndexError, OverflowError):
        return 0.0


def _quota_service(said: str, refused_by: str) -> str:
    """Return our name of the service whose quota a message is about."""
    return next((name for names, name in _QUOTA_OF if re.search(names, said, re.IGNORECASE)), refused_by)


def _counted_by(service: str, said: str) -> str:
    """Return the service if it can say what is left of what the message is about. nova counts only servers."""
    return service if service != "compute" or _SERVERS.search(said) else ""


# What nova's fault, or its record of the action, contains.
_NO_ROOM = re.compile(
    r"no valid host|not enough hosts|insufficient compute resources|insufficient free vgpu|pci device request .*failed",
    re.IGNORECASE,
)
# A fixed address that another port has, or that belongs to no subnet, in neutron's words and nova's.
_BAD_ADDRESS = re.compile(
    r"ip address \S+ (?:already allocated|is not a valid ip)|fixed ip (?:address )?\S+ is already in use", re.IGNORECASE
)
_NO_ADDRESS = re.compile(r"no more ip addresses|no fixed ips|no more free addresses", re.IGNORECASE)
_LOGGED_OUT = re.compile(r"requires authentication|\bunauthorized\b|HTTP 401|could not find token", re.IGNORECASE)
# That all hosts were tried says nothing about why they failed.
_TRIED_ALL = re.compile(
    r"(exceeded maximum number of retries|exhausted all hosts|exceeded max scheduling attempts)[^.]*(\.|$)",
    re.IGNORECASE,
)


def from_fault(message: str, name: str, details: str = "") -> HavenError:
    """Return the error for a server in ERROR, from nova's fault, and from what it recorded about the action."""
    told = next(filter(None, (tidy(_TRIED_ALL.sub(" ", each)) for each in (details, message))), "")
    said = " / ".join(dict.fromkeys(filter(None, (tidy(message), tidy(details)))))
    why = said or "no reason given"
    if _LOGGED_OUT.search(told):
        return BadCredentials(
            f"OpenStack could not create {name}, because the credentials expired or were revoked meanwhile ({why}): "
            "get new ones if it happens again, and run again."
        )
    if re.search(r"quota|TooManyInstances|LimitExceeded|maximum number of", told, re.IGNORECASE):
        return Quota(
            f"The project's quota does not allow {name} ({why}): free some, or ask for more.",
            _counted_by(_quota_service(told, "compute"), told),
        )
    if _NO_ADDRESS.search(told):
        return QuotaExceeded(f"The network of {name} has no free address ({why}): use another network.")
    if _NO_ROOM.search(told):
        return NoCapacity(
            f"OpenStack has no capacity for {name} ({why}): try another instance_type or availability zone, or later."
        )
    if said and not told:
        return CloudFailure(
            f"OpenStack's hosts accepted {name} and could not start it, and nova does not say why ({why}): run again, "
            "and ask the operator of the cloud if it stays like this."
        )
    return CloudFailure(
        f"OpenStack could not create {name} ({why}): if this is about an option, correct it; otherwise run again, and "
        "ask the operator of the cloud if it stays like this."
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
        f"These OpenStack credentials may not {permission} ({said or 'no reason given'}): ask for a role that may "
        "(mostly member), or add it to the application credential's access rules."
    )


def _quota(_status: int, said: str, _action: str, service: str) -> HavenError:
    owner = _quota_service(said, service)
    return Quota(
        f"The project's quota of the {owner} service does not allow it ({said}): free some, or ask for more.",
        _counted_by(owner, said),
    )


def _throttled(said: str, action: str, service: str, seconds: float, *, is_limit: bool) -> HavenError:
    why = "limits how often it may be asked, and refused" if is_limit else "stayed unavailable for"
    wait = f"{seconds:.0f} s, as it asks" if seconds else "a minute"
    words = f" ({said})" if said else ""
    return Throttled(f"OpenStack's {service} service {why} {action}{words}: wait {wait}, then run again.")


def _too_large(_status: int, said: str, action: str, service: str) -> HavenError:
    return InvalidRequest(
        f"{action} is too large for OpenStack's {service} service or a proxy before it ({said}): shorten user_data or "
        "tags."
    )


def _locked(_status: int, said: str, _action: str, _service: str) -> HavenError:
    return Refused(
        f"OpenStack does not allow it, because the instance is locked ({said}): for termination protection add "
        "termination_protection: false to the same call."
    )


def _addresses(_status: int, said: str, _action: str, _service: str) -> HavenError:
    return QuotaExceeded(f"There is no free address ({said}): use another network or pool, or release some.")


def _address(_status: int, said: str, _action: str, _service: str) -> HavenError:
    return InvalidRequest(f"The private_address cannot be used ({said}): give a free one of the subnet.")


def _taken(_status: int, said: str, _action: str, _service: str) -> HavenError:
    return Refused(f"This name is taken by something that haven.gpu did not create ({said}): choose another name.")


def _inactive(_status: int, said: str, _action: str, _service: str) -> HavenError:
    return InvalidRequest(f"The image cannot be used now ({said}): wait until it is active, or choose another one.")


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
    (lambda status, said: status in (403, 409, 413) and _QUOTA.search(said) is not None, _quota),
    (lambda status, said: status == 409 and "locked" in said, _locked),
    (lambda status, said: status in (400, 409) and "o more IP addresses" in said, _addresses),
    (lambda status, said: status in (400, 409) and _BAD_ADDRESS.search(said) is not None, _address),
    (lambda status, said: status == 409 and re.search("key ?pair .*already exists", said, re.I) is not None, _taken),
    (lambda status, said: status == 400 and re.search("image .*not active", said, re.I) is not None, _inactive),
    (lambda status, _said: status == 401, _unauthorized),
    (lambda status, _said: status == 403, _forbidden),
    (lambda status, _said: status == 413, _too_large),
    (lambda status, said: status in (400, 409) and "ultiple possible networks" in said, _networks),
    (lambda status, said: status in (400, 409) and "nable to automatically allocate" in said, _networks),
    (_is_missing, _missing),
    (lambda status, said: status == 400 and re.search("flavor's", said, re.I) is not None, _flavor),
    (lambda status, said: status == 400 and "nvalid" in said, _invalid),
    (lambda status, _said: status == 409, _state),
)
