"""Writes what is generated; `make generated` calls it, and the lint with --check.

That is what the clouds' folders say (tools/clouds.py); the table of the playbooks' variables, from arguments.yml; each
role's table of variables, from its argument_specs, and the example that `ansible-doc` shows for it, from its README;
what instance_info returns of an instance, which is what instance returns: a documentation fragment cannot carry it; the
action plugin of each module; and the map of the code (tools/code_map.py).

Usage: python -m tools.generated [--check]   (--check changes nothing and fails where a file is out of date)
"""

from __future__ import annotations

import pathlib
import re
import sys
from collections.abc import Iterator
from typing import Any

import yaml

from tools import clouds, code_map

ROOT = pathlib.Path(__file__).resolve().parent.parent
MODULES = ROOT / "plugins" / "modules"
ACTION = """\
# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

\"\"\"Shows what the module {name} says while it runs. Written by `make generated`; do not edit.\"\"\"

from __future__ import annotations

from ..plugin_utils._progress import ActionModule

__all__ = ["ActionModule"]
"""
BEGIN, END = "<!-- arguments -->", "<!-- /arguments -->"


def cell(value: Any) -> str:
    """One cell of a Markdown table: no line breaks, no bare pipes, and Ansible's markup as code."""
    text = " ".join(value) if isinstance(value, list) else str(value)
    text = re.sub(r"\b[VOCIEPMU]\(((?:[^()]|\([^()]*\))*)\)", r"`\1`", text)
    return " ".join(text.split()).replace("|", "\\|")


def default_of(option: dict[str, Any]) -> str:
    """What a user gets who says nothing."""
    if option.get("required"):
        return "**required**"
    if "default" not in option:
        return ""
    text = yaml.safe_dump(option["default"], default_flow_style=True, width=1000).removesuffix("...\n")
    return f"`{cell(text.strip())}`"


def rows(options: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """A row for each option, and below it one for each of its own."""
    for name, option in options.items():
        kind = option.get("type", "str") + (f" of {option['elements']}" if option.get("elements") else "")
        choices = f" One of {', '.join(map(str, option['choices']))}." if option.get("choices") else ""
        yield f"| `{prefix}{name}` | {kind} | {default_of(option)} | {cell(option['description'])}{choices} |"
        suffix = "[]." if option.get("elements") == "dict" else "."
        yield from rows(option.get("options", {}), f"{prefix}{name}{suffix}")


def table(role: pathlib.Path) -> str:
    """The Markdown table of a role's variables."""
    specs = yaml.safe_load((role / "meta" / "argument_specs.yml").read_text())["argument_specs"]
    head = ["| variable | type | default | what it is |", "|---|---|---|---|"]
    return "\n".join([*head, *rows(specs["main"].get("options", {}))])


def variables() -> str:
    """The Markdown table of the playbooks' variables."""
    described = yaml.safe_load((ROOT / "playbooks" / "vars" / "arguments.yml").read_text())
    lines = ["| variable | default | what it is |", "|---|---|---|"]
    for name, about in described.items():
        default = "**required**" if about.get("needed_by") else cell(about.get("default", ""))
        lines.append(f"| `{name}` | {default} | {cell(about['description'])} |")
    return "\n".join(lines)


def update(readme: pathlib.Path, text: str) -> str:
    """The README with `text` between its markers; fails where they are missing."""
    before, found, rest = readme.read_text().partition(BEGIN)
    dummy, closed, after = rest.partition(END)
    if not (found and closed):
        raise SystemExit(f"{readme}: put {BEGIN} and {END} where the table of variables belongs")
    return f"{before}{BEGIN}\n{text}\n{END}{after}"


def with_example(spec: pathlib.Path) -> str:
    """A role's argument_specs.yml with the first example of the README, which `ansible-doc -t role` shows."""
    example = re.search(
        r"^```yaml\n(.*?)^```$", (spec.parent.parent / "README.md").read_text(), re.MULTILINE | re.DOTALL
    )
    place = re.compile(
        r"(^  main:\n(?:    .*\n|\n)*?)(?:    examples: \|\n(?:      .*\n|\n)*)?(?=^    options:)", re.MULTILINE
    )
    text = spec.read_text()
    if not (example and place.search(text)):
        raise SystemExit(f"{spec}: the README needs an example, and `main` needs options")
    lines = "".join(f"      {line}".rstrip() + "\n" for line in example[1].splitlines())
    return place.sub(lambda found: f"{found[1]}    examples: |\n{lines}", text)


def instance_info() -> str:
    """instance_info.py with the documented values of instance.py; in both they end RETURN."""
    values = re.compile(r'(?<=^instances:\n)(.*?^  contains:\n)(.*?)(?=^""")', re.MULTILINE | re.DOTALL)
    found = values.search((MODULES / "instance.py").read_text())
    if not found:
        raise SystemExit("instance.py: RETURN must end with what `instances` contains")
    return values.sub(lambda old: old[1] + found[2], (MODULES / "instance_info.py").read_text())


def action_plugins() -> Iterator[tuple[pathlib.Path, str]]:
    """The action plugin of each module, which shows what the module says while it runs."""
    for module in sorted(MODULES.glob("[a-z]*.py")):
        yield ROOT / "plugins" / "action" / module.name, ACTION.format(name=module.stem)


def generated() -> Iterator[tuple[pathlib.Path, str]]:
    """Each file with generated parts, and what it should say."""
    for spec in sorted(ROOT.glob("roles/*/meta/argument_specs.yml")):
        readme = spec.parent.parent / "README.md"
        yield readme, update(readme, table(spec.parent.parent))
        yield spec, with_example(spec)
    yield MODULES / "instance_info.py", instance_info()
    yield from clouds.generated()
    # After the clouds, which write their variables into what it is made of.
    page = ROOT / "docs" / "variables.md"
    yield page, update(page, variables())
    yield from action_plugins()
    yield from code_map.generated()


def main() -> None:
    stale = []
    for file, wanted in generated():
        if not file.exists() or file.read_text() != wanted:
            stale.append(str(file.relative_to(ROOT)))
            if "--check" not in sys.argv:
                file.write_text(wanted)
    if stale and "--check" in sys.argv:
        raise SystemExit(f"out of date, run `make generated`: {', '.join(stale)}")


if __name__ == "__main__":
    main()
