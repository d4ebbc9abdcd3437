# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The errors of this collection. A message says in one or two sentences what failed, why, and what to try."""

# ruff: noqa: N818 -- "except NoCapacity" reads as what happened
from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from ._models import Instance

# The maximum number of characters of a cloud's message that ours quotes.
_LONGEST = 300
_CUT = "[...]"


def one_line(text: str) -> str:
    """Return a cloud's message as one printable line of limited length, without a full stop, to be quoted."""
    line = "".join(character for character in " ".join(text.split()) if character.isprintable())
    return (line if len(line) <= _LONGEST else line[: _LONGEST - len(_CUT)] + _CUT).rstrip(". ")


def shown(text: str) -> str:
    """Return the text with each character that is not plainly visible written as its escape.

    A name from a cloud may contain characters that move the cursor or change the direction of writing, in the very
    place where somebody makes a decision.
    """
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def all_shown(value: Any) -> Any:
    """Return plain data with each text in it as shown() writes it. For results that are printed in any case."""
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, Mapping):
        return {all_shown(key): all_shown(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [all_shown(each) for each in value]
    return value


class HavenError(Exception):
    """Base class of all failures that a user can act on.

    ``reason`` is a stable word that a playbook can test. ``instances`` exist despite the failure.
    """

    reason = "error"
    instances: Sequence[Instance] = ()
    # Further return values of the module, by name.
    values: Mapping[str, Any] = MappingProxyType({})
    # The id of an instance that failed and was therefore deleted.
    removed: str = ""

    def __init__(self, message: str) -> None:
        super().__init__(shown(message))


class InvalidRequest(HavenError):
    """The options contradict each other, or the cloud refused a value."""

    reason = "invalid_request"


class NotFound(HavenError):
    """Something named in the options does not exist."""

    reason = "not_found"


class Refused(HavenError):
    """It is possible, but needs the user's consent: replacing, stopping, losing data."""

    reason = "refused"


class BadCredentials(HavenError):
    reason = "bad_credentials"


class Denied(HavenError):
    """A permission is missing. The message names it."""

    reason = "denied"


class QuotaExceeded(HavenError):
    reason = "quota"


class NoCapacity(HavenError):
    reason = "no_capacity"


class Throttled(HavenError):
    reason = "throttled"


class Obstructed(HavenError):
    """A proxy in this computer's environment is in the way. The same request fails again until that is corrected."""

    reason = "proxy_refused"


class Unreachable(HavenError):
    """The cloud's API or the instance does not answer."""

    reason = "unreachable"


class LostAnswer(Unreachable):
    """A request was sent, but there is no answer. It may still be carried out."""


class UnexpectedAnswer(HavenError):
    """The answer is not from the cloud's API, but a sign-in page, or from a proxy or another service. It says nothing
    about what exists."""

    reason = "unexpected_answer"


class TimedOut(HavenError):
    reason = "timeout"


class Unsupported(HavenError):
    reason = "unsupported"


class Untrusted(HavenError):
    """A machine shows a host key other than the known one, or none is known."""

    reason = "untrusted"


class LoginRefused(Unreachable):
    """The right sshd, of an instance or of a jump host, refuses the user or the keys."""

    reason = "login_refused"


class Incomplete(HavenError):
    """Part of the request failed. The message names it; the rest is done."""

    reason = "incomplete"


class NotebookError(HavenError):
    """A notebook server could not be reached, or did not work."""

    reason = "notebook"


class CloudFailure(HavenError):
    """The cloud returned an error that none of the other classes describes."""

    reason = "cloud_failure"


class TokenUsed(HavenError):
    """This creation's token belongs to an instance that is gone, or to one with other parameters. Not for users."""

    reason = "token_used"

    def __init__(self, message: str, *, terminated: bool) -> None:
        super().__init__(message)
        self.terminated = terminated


class MissingLibrary(HavenError):
    """A Python package is missing where the module runs."""

    reason = "missing_library"

    def __init__(self, library: str) -> None:
        super().__init__(f"The Python package {library} is missing: install it with pip install {library}.")
        self.library = library
