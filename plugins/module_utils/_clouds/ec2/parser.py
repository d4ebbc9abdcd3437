# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A faster parser for EC2's XML: listings of thousands of instances spend most of their time there.

For every element of the answer, botocore looks at every element of its model, and it guesses the format of times. Here
the model is read once, and only the elements of the answer are looked up. Everything else is left to botocore. Elements
that a call does not need are removed before the XML is parsed (:func:`without`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from functools import lru_cache
from typing import Any
from xml.etree import ElementTree

from ..._own_proxy import WANTS_LOGIN
from ..._shortcuts import taken

Element = ElementTree.Element
Read = Callable[[Element], Any]
# The names of the elements that are currently not needed.
_unwanted: ContextVar[tuple[bytes, ...]] = ContextVar("_unwanted", default=())
# The action whose answer is being read.
_action: ContextVar[str] = ContextVar("_action", default="")


class NotTheApiError(Exception):
    """The answer is not EC2's answer to the action that was called."""


class ProxyWantsLoginError(Exception):
    """A proxy has answered in place of EC2."""


@contextmanager
def answering(action: str) -> Iterator[None]:
    """Accept only answers to this action within the block. Raises NotTheApiError for others."""
    token = _action.set(action)
    try:
        yield
    finally:
        _action.reset(token)


@contextmanager
def without(*names: str) -> Iterator[None]:
    """Leave these elements out of the answers to calls that this thread makes within the block. They must not be
    nested."""
    token = _unwanted.set(tuple(name.encode() for name in names))
    try:
        yield
    finally:
        _unwanted.reset(token)


class Factory:
    """A botocore session's component ``response_parser_factory``, which wraps the existing one."""

    def __init__(self, usual: Any) -> None:
        self._usual = usual

    def create_parser(self, protocol_name: str) -> Any:
        usual = self._usual.create_parser(protocol_name)
        return Parser(usual) if protocol_name == "ec2" else usual


class Parser:
    """Uses botocore's parser for everything except successful answers of known shapes."""

    def __init__(self, usual: Any) -> None:
        self._usual = usual

    def parse(self, response: Mapping[str, Any], shape: Any) -> Any:
        if response["status_code"] == WANTS_LOGIN:
            # With a page, not with an error of the API.
            raise ProxyWantsLoginError
        if response["status_code"] >= 300:
            return self._usual.parse(response, shape)
        shortcut = taken("parser")
        body = _lighter(response["body"]) if shortcut else response["body"]
        try:
            root = ElementTree.fromstring(body)  # noqa: S314 -- as botocore does; expat's limits hold
        except ElementTree.ParseError as error:
            raise NotTheApiError from error
        # Another document would not contain what we look for, which would look like an empty answer.
        if _local(root.tag) != f"{_action.get()}Response":
            raise NotTheApiError
        try:
            read = _reader(shape) if shortcut and shape is not None else None
        except _Unknown:
            read = None
        if read is None:
            return self._usual.parse(response, shape)
        parsed = read(root)
        metadata = {"HTTPStatusCode": response["status_code"]}
        metadata["HTTPHeaders"] = {name.lower(): value for name, value in response["headers"].items()}
        for child in root:
            if _local(child.tag) == "requestId":
                metadata["RequestId"] = child.text
        parsed["ResponseMetadata"] = metadata
        return parsed


def _lighter(body: bytes) -> bytes:
    """Return the answer without the unwanted elements.

    In XML, "<" always begins an element, except in comments and the like, which EC2 does not use.
    """
    if b"<!" in body:
        return body
    for name in _unwanted.get():
        end = b"</%s>" % name
        first, *others = body.split(b"<%s>" % name)
        body = b"".join([first, *(other.partition(end)[2] for other in others)])
    return body


class _Unknown(Exception):  # noqa: N818 -- caught by name
    """A shape that EC2 has not used so far."""


# By the name of the shape. Names are unique in a service's model, and only EC2 uses this protocol.
_readers: dict[str, Read] = {}


def _reader(shape: Any) -> Read:
    """Return a function that converts an element of that shape to a value. Raises _Unknown."""
    if shape.name not in _readers:
        make = _KINDS.get(shape.type_name)
        if make is None or shape.serialization.keys() - {"name"}:
            raise _Unknown
        _readers[shape.name] = make(shape)
    return _readers[shape.name]


@lru_cache(maxsize=4096)
def _shared(text: str) -> str:
    """Return the same object for equal texts, because most texts are the same for many instances."""
    return text


def _local(tag: str) -> str:
    """A tag without its namespace."""
    return tag.rpartition("}")[2]


def _structure(shape: Any) -> Read:
    members = {
        member.serialization.get("name", name): (name, _reader(member)) for name, member in shape.members.items()
    }

    def read(element: Element) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for child in element:
            member = members.get(child.tag)
            if member is None:
                member = members.get(_local(child.tag))
                if member is None:
                    continue
                # With its namespace, as in the following elements.
                members[child.tag] = member
            if member[0] not in found:
                found[member[0]] = member[1](child)
        return found

    return read


def _list(shape: Any) -> Read:
    item = _reader(shape.member)
    return lambda element: [item(child) for child in element]


def _text(_shape: Any) -> Read:
    return lambda element: _shared(element.text or "")


def _integer(_shape: Any) -> Read:
    return lambda element: int(element.text or "")


def _float(_shape: Any) -> Read:
    return lambda element: float(element.text or "")


def _boolean(_shape: Any) -> Read:
    return lambda element: element.text == "true"


def _timestamp(_shape: Any) -> Read:
    return lambda element: _moment(element.text or "")


def _moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        # Python before 3.11 does not accept the Z.
        return _guessed(text)
    return found if found.tzinfo else _guessed(text)


def _guessed(text: str) -> datetime:
    # Imported here, because without botocore it is not needed.
    from botocore.utils import parse_timestamp

    return parse_timestamp(text)


_KINDS: dict[str, Callable[[Any], Read]] = {
    "structure": _structure,
    "list": _list,
    "string": _text,
    "character": _text,
    "integer": _integer,
    "long": _integer,
    "float": _float,
    "double": _float,
    "boolean": _boolean,
    "timestamp": _timestamp,
}
