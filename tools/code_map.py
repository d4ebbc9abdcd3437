"""docs/code.md: what each file of plugins/ is for, in the first line that it says of itself; for tools/generated.py."""

from __future__ import annotations

import ast
import pathlib
import re
from collections.abc import Iterator

ROOT = pathlib.Path(__file__).resolve().parent.parent
PLUGINS = ROOT / "plugins"
HEAD = """# Map of the code

What each file in `plugins/` is for: its `short_description`, or the first line of its docstring.
`make generated` writes this page.
"""


def says(file: pathlib.Path) -> str:
    """The short description of a module or plugin, else the first line of the docstring; fails if there is neither."""
    text = file.read_text()
    described = re.search(r"^short_description: (.*)$", text, re.MULTILINE)
    line = described[1] if described else (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]
    if not line:
        raise SystemExit(f"{file}: begin with a docstring whose first line says what the file is for")
    return line.replace("``", "`").replace("|", "\\|")


def tables() -> Iterator[str]:
    """A table for each folder that has files with code."""
    folders = sorted({file.parent for file in PLUGINS.rglob("*.py")})
    for folder in folders:
        files = [file for file in sorted(folder.glob("*.py")) if file.read_text().strip()]
        if files:
            rows = [f"| [{file.name}](../{file.relative_to(ROOT)}) | {says(file)} |" for file in files]
            yield "\n".join([f"## {folder.relative_to(ROOT)}", "", "| file | what it is for |", "|---|---|", *rows])


def generated() -> Iterator[tuple[pathlib.Path, str]]:
    """The page, and what it should say."""
    yield ROOT / "docs" / "code.md", "\n\n".join([HEAD.rstrip(), *tables()]) + "\n"
