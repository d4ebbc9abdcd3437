"""What the documentation tells readers to type, read from it, so that tests type exactly that."""

from __future__ import annotations

import dataclasses
import pathlib
import re

from markdown_it import MarkdownIt

ROOT = pathlib.Path(__file__).resolve().parent.parent
# In the line before a block: <!-- not run by a test: REASON -->
_NOT_RUN = re.compile(r"<!-- not run by a test: (.+?) -->\s*")
_ROW = re.compile(r"\| *(?P<what>[^|]+?) *\| `(?P<command>[^`]+)` *\|")


@dataclasses.dataclass(frozen=True)
class Block:
    """A fenced block: the file and the heading that it stands below, its language, and its lines.

    ``not_run``: why no test runs it, or ''.
    """

    file: str
    heading: str
    language: str
    lines: tuple[str, ...]
    not_run: str = ""

    @property
    def commands(self) -> list[str]:
        """What to type, line by line, comments included."""
        return [line.removeprefix("$ ") for line in self.lines]


def files() -> list[str]:
    """The documentation, relative to the repository."""
    found = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("roles/*/README.md"), *ROOT.glob("tests/**/*.md")]
    return sorted(str(path.relative_to(ROOT)) for path in found)


def blocks(file: str) -> list[Block]:
    """All fenced blocks of a file, in order."""
    found: list[Block] = []
    heading, not_run, in_heading = "", "", False
    for token in MarkdownIt().parse((ROOT / file).read_text(encoding="utf-8")):
        if token.type == "heading_open":
            in_heading = True
        elif token.type == "inline" and in_heading:
            heading, in_heading = token.content, False
        elif token.type == "fence":
            found.append(Block(file, heading, token.info.strip(), tuple(token.content.splitlines()), not_run))
        reason = _NOT_RUN.fullmatch(token.content) if token.type == "html_block" else None
        not_run = reason.group(1) if reason else ""
    return found


def commands(file: str, heading: str) -> list[str]:
    """The commands of the one block below that heading that tests run. Raises ValueError where there is not one."""
    (block,) = (
        each for each in blocks(file) if each.heading == heading and each.language == "console" and not each.not_run
    )
    return block.commands


def table(file: str, heading: str) -> dict[str, str]:
    """The commands of the table below that heading, by what they are for."""
    text = (ROOT / file).read_text(encoding="utf-8").partition(f"## {heading}\n")[2].partition("\n#")[0]
    return {row["what"]: row["command"] for row in _ROW.finditer(text)}
