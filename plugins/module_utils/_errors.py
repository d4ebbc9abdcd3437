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

# Characters of a cloud's own words that a message repeats.
_LONGEST = 300
_CUT = "[...]"


def one_line(text: str) -> str:
    """What a cloud says as one printable line of bounded length, without a full stop: more is said after it."""
    line = "".join(character for character in " ".join(text.split()) if character.isprintable())
    return (line if len(line) <= _LONGEST else line[: _LONGEST - len(_CUT)] + _CUT).rstrip(". ")


def shown(text: str) -> str:
    """The text with each character that is more than its own picture written as its escape.

    A name from a cloud may hold what moves a cursor or turns the direction of writing, just where somebody decides.
    """
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


class HavenError(Exception):
    """Base of all failures a user can act on.

    ``reason`` is a stable word a playbook can test; ``instances`` are the instances that exist in spite of the failure.
    """

    reason = "error"
    instances: Sequence[Instance] = ()
    # What else a module returns with it, by name.
    values: Mapping[str, Any] = MappingProxyType({})
    # The id of the instance that failed and was removed for it.
    removed: str = ""

    def __init__(self, message: str) -> None:
        super().__init__(shown(message))


class InvalidRequest(HavenError):
    """The options contradict each other, or the cloud refused a value."""

    reason = "invalid_request"


class NotFound(HavenError):
    """Something the options name does not exist."""

    reason = "not_found"


class Refused(HavenError):
    """It can be done, but not without the user saying so: replacing, stopping, losing data."""

    reason = "refused"


class BadCredentials(HavenError):
    reason = "bad_credentials"


class Denied(HavenError):
    """A permission is missing; the message names it."""

    reason = "denied"


class QuotaExceeded(HavenError):
    reason = "quota"


class NoCapacity(HavenError):
    reason = "no_capacity"


class Throttled(HavenError):
    reason = "throttled"


class Unreachable(HavenError):
    """The cloud's API, or the instance, does not answer."""

    reason = "unreachable"


class LostAnswer(Unreachable):
    """A request was sent and nothing is known of what became of it; it may still be carried out."""


class UnexpectedAnswer(HavenError):
    """What answered is not the cloud's API: a sign-in page, a proxy's, another service's. It says nothing of what is
    there and what is not."""

    reason = "unexpected_answer"


class TimedOut(HavenError):
    reason = "timeout"


class Unsupported(HavenError):
    reason = "unsupported"


class Untrusted(HavenError):
    """Somebody shows a host key that is not the known one, or none is known."""

    reason = "untrusted"


class Incomplete(HavenError):
    """Some of what was asked for could not be done; the message names it, and the rest is done."""

    reason = "incomplete"


class NotebookError(HavenError):
    """A notebook server could not be reached, or did not do what it was asked."""

    reason = "notebook"


class CloudFailure(HavenError):
    """The cloud answered with an error of its own that none of the others describes."""

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
