"""The inventories that users copy: which of their lines are marked, and a copy in which these are filled in.

A mark is a comment that begins with "change this:" or "where there is one:" and says how to find the value. It is about
the first line below that is no comment, or, where its paragraph has comments only, about the last of them, which is
then uncommented.

As a program it is an editor: `python tests/shipped.py FILE` fills in FILE with the values in the JSON file that
HAVEN_FILL_IN names.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import re
import sys
from collections.abc import Mapping

INVENTORIES = pathlib.Path(__file__).resolve().parent.parent / "inventories"
# Those that the documentation tells users to copy, by cloud.
COPIED = {"ec2": "example_ec2", "openstack": "openstack_secure"}

CHANGE = "change this"
IF_THERE = "where there is one"
_MARK = re.compile(rf"\s*# ({CHANGE}|{IF_THERE}): (.*)")
_COMMENT = re.compile(r"\s*# (.*)")
_VALUE = re.compile(r"(\s*)(?:# )?(\w+):( .*|)")


@dataclasses.dataclass(frozen=True)
class Mark:
    """A line to be filled in: ``kind`` is CHANGE or IF_THERE, ``how`` says where its value comes from."""

    kind: str
    key: str
    how: str
    number: int  # of the line that holds the value, from 0


class MarkError(Exception):
    """A mark stands above no value, or what is to be filled in is not what is marked."""


def marks(text: str) -> list[Mark]:
    """The marks of a file, in order. Raises MarkError."""
    lines = text.splitlines()
    return [_mark(lines, number) for number, line in enumerate(lines) if _MARK.fullmatch(line)]


def _mark(lines: list[str], start: int) -> Mark:
    found = _MARK.fullmatch(lines[start])
    assert found is not None
    kind, *how = found.groups()
    last = start
    for line in lines[start + 1 :]:
        comment = _COMMENT.fullmatch(line)
        if not line.strip() or _MARK.fullmatch(line):
            break
        last += 1
        if comment is None:
            break
        how.append(comment.group(1))
    value = _VALUE.fullmatch(lines[last])
    if last == start or value is None:
        raise MarkError(f"Line {start + 1} marks no value.")
    if _COMMENT.fullmatch(lines[last]):
        how.pop()
    return Mark(kind, value.group(2), " ".join(how), last)


def filled(text: str, values: Mapping[str, str]) -> str:
    """The file with these values, which are YAML, at its marks; what is marked IF_THERE may be left out.

    Raises MarkError where a line to be changed has no value, or a value has no mark.
    """
    lines = text.splitlines()
    found = {mark.key: mark for mark in marks(text)}
    unmarked = sorted(set(values) - set(found))
    unfilled = sorted(key for key, mark in found.items() if mark.kind == CHANGE and key not in values)
    if unmarked or unfilled:
        raise MarkError(f"Not marked: {unmarked}. Marked, and without a value: {unfilled}.")
    for key, value in values.items():
        indent = re.match(r"\s*", lines[found[key].number])
        assert indent is not None
        lines[found[key].number] = f"{indent.group()}{key}: {value}"
    return "\n".join(lines) + "\n"


def main(file: pathlib.Path) -> None:
    values = json.loads(pathlib.Path(os.environ["HAVEN_FILL_IN"]).read_text(encoding="utf-8"))
    file.write_text(filled(file.read_text(encoding="utf-8"), values), encoding="utf-8")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
