# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The requested state of a virtual environment, and the plan to reach it."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field
from typing import Any, Optional

from .._errors import HavenError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
PYTHON_VERSION = re.compile(r"\d+(\.\d+){0,2}")
SYSTEM_PYTHON = "/usr/bin/python3"


class VenvError(HavenError):
    """An error about an environment, with one sentence for the user."""


@dataclass(frozen=True)
class Repository:
    """A git repository whose `file` lists the requirements. `version` is a branch, tag, or full commit."""

    url: str
    file: str
    version: str
    dest: str
    shallow: bool


@dataclass(frozen=True)
class Spec:
    """A requested environment. `home` is the user's folder of environments, `path` the environment itself."""

    name: str
    user: str
    path: str
    home: str
    python: str = SYSTEM_PYTHON
    installer: str = "uv"
    packages: tuple[str, ...] = ()
    requirements: str = ""
    repository: Optional[Repository] = None
    require_hashes: Optional[bool] = None
    only_binary: bool = False
    exact: bool = False
    display_name: str = ""
    kernel_env: dict[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        return f"environment {self.name} of {self.user}"

    @property
    def bin_python(self) -> str:
        return os.path.join(self.path, "bin", "python")


@dataclass(frozen=True)
class Plan:
    """The plan for one environment. `rebuild` is the reason to create it again, or empty."""

    commit: tuple[str, str] = ("", "")
    rebuild: str = ""
    packages: tuple[str, ...] = ()
    kernel: tuple[str, str] = ("", "")
    remove: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        moved = self.commit[0] != self.commit[1] or self.kernel[0] != self.kernel[1]
        return bool(self.rebuild or self.packages or self.remove or moved)

    def diff(self, label: str) -> dict[str, str]:
        """Before and after as Ansible shows them. A package is a line `name==version`."""
        before = [line[2:] for line in self.packages if line.startswith("- ")]
        after = [line[2:] for line in self.packages if line.startswith("+ ")]
        before += [f"remove {path}" for path in self.remove]
        if self.rebuild:
            after.insert(0, f"new environment: {self.rebuild}")
        if self.commit[0] != self.commit[1]:
            before.insert(0, f"commit {self.commit[0] or 'none'}")
            after.insert(0, f"commit {self.commit[1]}")
        if self.kernel[0] != self.kernel[1]:
            kernel_before, kernel_after = _without_values(self.kernel)
            before.append(kernel_before)
            after.append(kernel_after)
        return {
            "before_header": label,
            "after_header": label,
            "before": "".join(f"{line}\n" for line in before if line),
            "after": "".join(f"{line}\n" for line in after if line),
        }


def _without_values(kernel: tuple[str, str]) -> tuple[str, str]:
    """Both kernel.json without the values of variables, which may be secrets, but showing which of them differ."""
    before, after = contents = [json.loads(text) if text else {} for text in kernel]
    # The user may have edited it.
    old, new = (env if isinstance(env := content.get("env"), dict) else {} for content in contents)
    before["env"] = dict.fromkeys(old, "not shown")
    after["env"] = {
        name: "not shown" if old.get(name, value) == value else "another, not shown" for name, value in new.items()
    }
    shown = [json.dumps(content, indent=1, ensure_ascii=False) for content in contents]
    return shown[0] if kernel[0] else "", shown[1] if kernel[1] else ""


def spec_from(entry: dict[str, Any], root: str) -> Spec:
    """Check an entry of the module's `environments`. Raises VenvError for values that no installer could use."""
    name, user = entry["name"], entry["user"]
    for what, value in (("name", name), ("user", user)):
        if not NAME.fullmatch(value):
            raise VenvError(
                f"The {what} {value!r} of an environment cannot be a folder's name; "
                "use letters, digits, dot, dash and underscore."
            )
    label = f"environment {name} of {user}"
    python = entry.get("python") or SYSTEM_PYTHON
    if not (PYTHON_VERSION.fullmatch(python) or os.path.isabs(python)):
        raise VenvError(f"The python {python!r} of {label} is neither a version such as 3.12 nor an absolute path.")
    home = os.path.join(root, user)
    kernel = entry.get("kernel")
    display_name = name if kernel is True else kernel or ""
    return Spec(
        name=name,
        user=user,
        path=_absolute(entry.get("path"), user, label) or os.path.join(home, name),
        home=home,
        python=python,
        installer=entry.get("installer") or "uv",
        packages=tuple(entry.get("packages") or ()),
        requirements=entry.get("requirements") or "",
        repository=_repository_from(entry, home, label),
        require_hashes=entry.get("require_hashes"),
        only_binary=bool(entry.get("only_binary")),
        exact=bool(entry.get("exact")),
        display_name=str(display_name),
        kernel_env={key: str(value) for key, value in (entry.get("kernel_env") or {}).items()},
    )


def _absolute(path: str | None, user: str, label: str) -> str:
    """Return `path` with a leading ~ replaced by the user's home, not root's. Empty stays empty."""
    expanded = os.path.expanduser(f"~{user}{path[1:]}") if path and path.startswith("~/") else path or ""
    if expanded and not os.path.isabs(expanded):
        raise VenvError(f"The path {path!r} of {label} is not absolute; begin it with / or ~/.")
    return os.path.normpath(expanded) if expanded else ""


def _repository_from(entry: dict[str, Any], home: str, label: str) -> Repository | None:
    wanted = entry.get("repository")
    if not wanted:
        return None
    if re.match(r"\w+://[^/@]*:[^/@]*@", wanted["url"]):
        raise VenvError(
            f"The repository URL of {label} holds a password, which every user of the host could read; "
            "put it into the user's git credential store instead."
        )
    if os.path.isabs(wanted["file"]) or ".." in wanted["file"].split("/"):
        raise VenvError(f"The file {wanted['file']!r} of {label} must lie inside its repository.")
    return Repository(
        url=wanted["url"],
        file=wanted["file"],
        version=wanted.get("version") or "HEAD",
        dest=_absolute(wanted.get("dest"), entry["user"], label) or os.path.join(home, ".repositories", entry["name"]),
        shallow=not wanted.get("dest"),
    )
