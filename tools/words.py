"""Finds words that docs/glossary.md replaces; the lint calls it.

tools/words.yml lists them. What is read is what people read: documentation, messages, comments, and the names of
tasks. In Python that is strings and comments, so that a variable may keep a short name.

Usage: python -m tools.words [FILE ...]   (without files: everything that is listed below)
"""

from __future__ import annotations

import dataclasses
import io
import pathlib
import re
import sys
import tokenize
from collections.abc import Iterable, Iterator
from typing import Any

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent
LIST = ROOT / "tools" / "words.yml"
READ = (
    "*.md",
    "*.yml",
    "Makefile",
    "docs/*.md",
    "changelogs/fragments/*.yml",
    "inventories/**/*.yml",
    "playbooks/**/*.yml",
    "plugins/**/*.py",
    "plugins/**/*.yml",
    "roles/**/*.md",
    "roles/**/*.yml",
    "roles/**/*.j2",
    "roles/**/*.py",
    "roles/**/*.sh",
)
# The glossary names what it replaces.
SKIPPED = ("docs/glossary.md",)
_PROSE = {tokenize.STRING, tokenize.COMMENT} | {getattr(tokenize, name, -1) for name in ("FSTRING_MIDDLE",)}


@dataclasses.dataclass
class Exemption:
    """Lines of `file` (a pattern of names) with `text` in them may have the word; `because` says why."""

    file: str
    text: str
    because: str
    used: bool = False

    def covers(self, file: str, line: str) -> bool:
        found = pathlib.PurePath(file).match(self.file) and self.text in line
        self.used = self.used or found
        return found


@dataclasses.dataclass
class Word:
    """A word that is not used, as a regular expression, and what to write."""

    pattern: re.Pattern[str]
    use: str
    exemptions: list[Exemption]


def listed(text: str) -> list[Word]:
    """The words of a list like words.yml. A space in a word stands for a line break with its comment sign, too."""
    words = []
    for entry in yaml.safe_load(text):
        pattern = entry["word"].replace(" ", r"[\s#]+")
        exemptions = [Exemption(**each) for each in entry.get("except", [])]
        words.append(Word(re.compile(rf"(?<![\w./-])(?:{pattern})(?![\w-])", re.IGNORECASE), entry["use"], exemptions))
    return words


def prose(file: str, text: str) -> str:
    """The text with blanks where nobody reads words: in Python everything but strings and comments."""
    if not file.endswith(".py"):
        return text
    lines = text.splitlines(keepends=True)
    kept = [re.sub(r"[^\n]", " ", line) for line in lines]
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in _PROSE:
            continue
        (first, left), (last, right) = token.start, token.end
        for number in range(first, last + 1):
            old, line = kept[number - 1], lines[number - 1]
            begin, end = left if number == first else 0, right if number == last else len(line)
            kept[number - 1] = old[:begin] + line[begin:end] + old[end:]
    return "".join(kept)


def found(file: str, text: str, words: Iterable[Word]) -> Iterator[str]:
    """A line for each word in the text that is not exempt: where it is, and what to write."""
    lines, read = text.splitlines(), prose(file, text)
    for word in words:
        for match in word.pattern.finditer(read):
            number = read.count("\n", 0, match.start()) + 1
            if not any(each.covers(file, lines[number - 1]) for each in word.exemptions):
                yield f"{file}:{number}: {' '.join(match[0].split())!r}: write {word.use}"


def files() -> list[pathlib.Path]:
    every = {file for pattern in READ for file in ROOT.glob(pattern) if file.is_file()}
    return sorted(every - {ROOT / name for name in SKIPPED})


def main(argv: list[str]) -> None:
    words = listed(LIST.read_text())
    wrong: list[Any] = []
    for file in [pathlib.Path(name).resolve() for name in argv] or files():
        wrong += found(str(file.relative_to(ROOT)), file.read_text(), words)
    if not argv:
        unused = [each for word in words for each in word.exemptions if not each.used]
        wrong += [f"tools/words.yml: nothing needs the exception for {each.file}: {each.text}" for each in unused]
    if wrong:
        raise SystemExit("\n".join([*wrong, "Words are explained in docs/glossary.md."]))


if __name__ == "__main__":
    main(sys.argv[1:])
