"""What is generated from the folders of the clouds (plugins/module_utils/_clouds/NAME/), for tools/generated.py.

AnsiballZ packs for a module only the imports that are written out, and documentation is static text; so the registry,
the documentation of what each cloud has, and the places where a playbook hands it on are files that are made.
"""

from __future__ import annotations

import json
import pathlib
import re
from collections.abc import Iterator
from typing import Any

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent
CLOUDS = ROOT / "plugins" / "module_utils" / "_clouds"
BEGIN, END = "# generated from the clouds", "# end of what is generated"


class _Dumper(yaml.SafeDumper):
    """Lists indented below their key, as in all of our YAML."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> Any:
        return super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=">" if len(value) > 80 else None)


_Dumper.add_representer(str, _text)


def dumped(value: Any) -> str:
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=100, allow_unicode=True)
    return text


def clouds() -> dict[str, dict[str, Any]]:
    """By its name, what each cloud says of itself in documentation.yml."""
    files = sorted(CLOUDS.glob("*/documentation.yml"))
    return {file.parent.name: yaml.safe_load(file.read_text()) for file in files}


def head(docstring: str) -> str:
    licence = (CLOUDS / "answer.py").read_text().partition('"""')[0]
    return f'{licence}"""{docstring} Written by `make generated`; do not edit."""\n\n'


def registry(names: list[str]) -> str:
    entries = "\n".join(f'    "{name}": {name},' for name in names)
    return head("All clouds, by name.") + (
        "from __future__ import annotations\n\nfrom typing import TYPE_CHECKING\n\n"
        f"from . import {', '.join(names)}\n\n"
        "if TYPE_CHECKING:\n    from .._cloud import CloudPackage\n\n"
        "# Written out, because Ansible packs for a module only what it can see.\n"
        f"CLOUDS: dict[str, CloudPackage] = {{\n{entries}\n}}\n"
    )


def _cloud_option(names: list[str], *, required: bool) -> dict[str, Any]:
    if not required:
        described = ["The cloud to list.", "The default is the variable C(haven_cloud)."]
        return {"description": described, "type": "str", "choices": names}
    described = ["The cloud to use. The default is the environment variable E(HAVEN_CLOUD)."]
    return {"description": described, "type": "str", "choices": names, "required": True}


def _requirements(found: dict[str, dict[str, Any]]) -> list[str]:
    needed = {name: about["requirement"] for name, about in found.items()}
    return [f"{package} (for O(cloud={name}))" for name, package in needed.items() if package != "none"]


def fragments(found: dict[str, dict[str, Any]]) -> str:
    """The documentation fragments haven.gpu.clouds, haven.gpu.clouds.instances and haven.gpu.clouds.inventory."""
    names = list(found)

    def document(*, instances: bool) -> str:
        options = {"cloud": _cloud_option(names, required=True)}
        for name, about in found.items():
            own = about["instances"] if instances else {}
            suboptions = {**about["connection"]["suboptions"], **own}
            options[name] = {**about["connection"], "type": "dict", "suboptions": suboptions}
        return dumped({"options": options, "requirements": _requirements(found)})

    inventory = {"cloud": _cloud_option(names, required=False)}
    for name, about in found.items():
        inventory[name] = {"description": about["inventory"], "type": "dict"}
    needed = _requirements(found)
    return head("Documentation of the options of each cloud.") + (
        "from __future__ import annotations\n\nfrom typing import ClassVar\n\n\n"
        "class ModuleDocFragment:\n"
        '    """Options of the connection, the same with those of instances, and those of the inventory."""\n\n'
        f'    DOCUMENTATION: ClassVar[str] = r"""\n{document(instances=False)}"""\n\n'
        f'    INSTANCES: ClassVar[str] = r"""\n{document(instances=True)}"""\n\n'
        f'    INVENTORY: ClassVar[str] = r"""\n{dumped({"options": inventory, "requirements": needed})}"""\n'
    )


def marked(file: pathlib.Path, text: str) -> str:
    """The file with the text between its markers, indented as they are."""
    block = re.compile(rf"^([ ]*){BEGIN}.*?^[ ]*{END}$", re.MULTILINE | re.DOTALL)
    old = file.read_text()
    if len(block.findall(old)) != 1:
        raise SystemExit(f"{file}: put one line '{BEGIN}' and one '{END}' around what is generated")

    def filled(match: re.Match[str]) -> str:
        indent = match[1]
        lines = [f"{indent}{line}".rstrip() for line in text.splitlines()]
        return "\n".join([f"{indent}{BEGIN}", *lines, f"{indent}{END}"])

    return block.sub(filled, old)


def contract(title: str, folder: str, sdk: list[str]) -> str:
    """The import contract that keeps an SDK in the folder of its cloud."""
    inside = [f"plugins.module_utils._clouds.{folder}.* -> {each}" for each in sdk]
    lines = [
        "[[tool.importlinter.contracts]]",
        f'name = "The SDK of {title} stays in its cloud\'s folder"',
        'type = "forbidden"',
        'source_modules = ["plugins.**"]',
        f"forbidden_modules = {json.dumps(sdk)}",
        "as_packages = false",
        "allow_indirect_imports = true",
        f"ignore_imports = {json.dumps(inside, indent=2)}",
        'unmatched_ignore_imports_alerting = "none"',
    ]
    return "\n".join(lines)


def generated() -> Iterator[tuple[pathlib.Path, str]]:
    """Each file, and what it should say."""
    found = clouds()
    names = list(found)
    yield CLOUDS / "registry.py", registry(names)
    yield ROOT / "plugins" / "doc_fragments" / "clouds.py", fragments(found)
    sources = {"cloud": {"description": "Like O(cloud).", "type": "str", "choices": names}}
    sources |= {
        name: {"description": f"Like O({name}), which it replaces as a whole.", "type": "dict"} for name in names
    }
    file = ROOT / "plugins" / "doc_fragments" / "sources.py"
    yield file, marked(file, dumped(sources))
    file = ROOT / "playbooks" / "vars" / "cloud.yml"
    yield file, marked(file, "\n".join(f'{name}: "{{{{ haven_{name} | default({{}}) }}}}"' for name in names))
    file = ROOT / "playbooks" / "provision.yml"
    both = '{0}: "{{{{ haven_{0} | default({{}}) | combine(__haven_wanted.{0} | default({{}})) }}}}"'
    yield file, marked(file, "\n".join(both.format(name) for name in names))
    file = ROOT / "playbooks" / "vars" / "arguments.yml"
    described = {
        f"haven_{name}": {"type": "dict", "entries": "cloud", "default": "`{}`", "description": about["variable"]}
        for name, about in found.items()
    }
    yield file, marked(file, dumped(described))
    file = ROOT / "pyproject.toml"
    loading = {name: about for name, about in found.items() if about["sdk"]}
    contracts = [contract(about["title"], name, about["sdk"]) for name, about in loading.items()]
    yield file, marked(file, "\n\n".join(contracts))
    file = ROOT / "playbooks" / "stop.yml"
    yield file, marked(file, dumped({name: about["stopped"] for name, about in found.items()}))
