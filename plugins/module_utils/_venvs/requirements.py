# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Collects the requirement files of one environment for an installer."""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

from .models import Spec, VenvError

HASH = re.compile(r"--hash[= ]")
# One package of a lock file on one line, without any option, address, or path that pip or uv would follow.
LOCKED = re.compile(r"[A-Za-z0-9][\w.-]*(\[[\w., -]*\])?==[\w.!+]+( *;((?!--)[^#])*?)?( +--hash=\w+:[0-9a-f]+)+")
# The option that includes another file, and what is installed from a folder or a file beside the list.
INCLUDED = re.compile(r"^\s*(?:-r|--requirement)[ =]*(\S+)", re.MULTILINE)
LOCAL = re.compile(r"^\s*(?:(?:-e|--editable)[ =]*([^\s\[#;]+)|(\.\.?(?:/[^\s\[#;]*)?)(?=[\s\[#;]|$))", re.MULTILINE)
# As pip finds an encoding in one of the first two lines. Python's own rule: PEP 263.
DECLARED = re.compile(rb"^[^\n]*?#.*?coding[:=][ \t]*([-\w.]+)|^[^\n]*\n[^\n]*?#.*?coding[:=][ \t]*([-\w.]+)")
MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
KERNEL = re.compile(r"^ipykernel\b(?!-)", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True)
class Requirements:
    """The files to install from, whether every package in them must have a hash, and whether it must be a wheel.

    ``folder`` is where paths in them begin. ``projects`` are the files by which installers know the projects there.
    ``moved`` is whether the repository got another commit.
    """

    files: tuple[str, ...]
    hashed: bool
    only_binary: bool = False
    folder: str = "/"
    projects: tuple[str, ...] = ()
    moved: bool = False

    def arguments(self) -> list[str]:
        flags = (["--require-hashes"] if self.hashed else []) + (["--only-binary", ":all:"] if self.only_binary else [])
        return flags + [word for file in self.files for word in ("-r", file)]


def gather(spec: Spec, checkout: str, folder: str) -> Requirements:
    """Write lists and texts to `folder`, and read the repository's file in `checkout`."""
    files: list[str] = []
    texts: list[str] = []
    start = "/"
    projects: tuple[str, ...] = ()
    if spec.repository:
        file = os.path.join(checkout, spec.repository.file)
        if not os.path.isfile(file):
            raise VenvError(
                f"{spec.repository.url} has no file {spec.repository.file} at version {spec.repository.version}, "
                f"which {spec.label} is to be made from; correct repository.file or repository.version."
            )
        files.append(file)
        texts = list(_texts(file, spec, set()))
        paths = [editable or path for editable, path in LOCAL.findall("\n".join(texts)) if "://" not in editable]
        start = _start(paths, file, checkout)
        projects = tuple(each for path in paths for each in _project_files(os.path.join(start, path)))
    lines = "".join(f"{package}\n" for package in spec.packages)
    for name, text in (("requirements.txt", spec.requirements), ("packages.txt", lines)):
        if text:
            files.append(_write(folder, name, text))
            texts.append(text)
    text = "\n".join(texts)
    hashed = bool(HASH.search(text)) if spec.require_hashes is None else spec.require_hashes
    if spec.display_name and not KERNEL.search(text):
        if hashed:
            raise VenvError(
                f"The hashed requirements of {spec.label} lack ipykernel, without which it cannot be a kernel; "
                "add ipykernel and lock them again, or set kernel: false."
            )
        files.append(_write(folder, "kernel.txt", "ipykernel\n"))
    return Requirements(tuple(files), hashed, spec.only_binary, start, projects)


def refuse_unlocked(spec: Spec) -> None:
    """Raise VenvError unless the installation runs no code from a package: only wheels with hashes."""
    lines = _logical_lines(spec.requirements)
    locked = bool(lines) and all(LOCKED.fullmatch(line) for line in lines)
    elsewhere = spec.packages or spec.repository or spec.display_name
    if not (locked and spec.require_hashes and spec.only_binary) or elsewhere:
        raise VenvError(
            f"Root's environment {spec.name} could run code of its packages as root: set require_hashes: true, "
            "only_binary: true, and requirements in which each line has the form name==version --hash=sha256:…, and no "
            "packages, repository, or kernel; or choose another user."
        )


def _logical_lines(text: str) -> list[str]:
    """The lines of a requirements file as pip reads them, with continued lines joined, and without comments."""
    lines = (re.sub(r"(^|\s+)#.*$", "", line).strip() for line in re.sub(r"\\\n\s*", " ", text).split("\n"))
    return [line for line in lines if line]


def _write(folder: str, name: str, text: str) -> str:
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def _texts(path: str, spec: Spec, seen: set[str]) -> Iterator[str]:
    """The text of a requirements file, and of the files that it includes. VenvError: it cannot be read as text."""
    seen.add(os.path.realpath(path))
    with open(path, "rb") as file:
        content = file.read()
    try:
        text = decode(content, declared=spec.installer == "pip")
    except (ValueError, LookupError) as error:
        source = f"{spec.repository.url} at version {spec.repository.version}" if spec.repository else spec.label
        raise VenvError(
            f"The file {os.path.basename(path)} of {source} is neither UTF-8 nor UTF-16 with a byte order mark "
            f"({error}); save it as UTF-8."
        ) from None
    yield text
    for name in INCLUDED.findall(text):
        included = os.path.join(os.path.dirname(path), name)
        if os.path.isfile(included) and os.path.realpath(included) not in seen:
            yield from _texts(included, spec, seen)


def decode(content: bytes, declared: bool) -> str:
    """Return a requirements file's text as the installers read it. ValueError, LookupError: they could not.

    Both know UTF-8 and the byte order mark of UTF-16, in which PowerShell writes. Only pip obeys a declared encoding.
    """
    for mark, encoding in MARKS.items():
        if content.startswith(mark):
            return content.decode(encoding)
    found = DECLARED.match(content) if declared else None
    text = content.decode((found.group(1) or found.group(2)).decode() if found else "utf-8")
    if "\0" in text:
        raise ValueError("it contains NUL")
    return text


def _start(paths: list[str], file: str, checkout: str) -> str:
    """The folder that paths in the repository's file begin at: the file's own if all lead to something there.

    Otherwise the top of the repository, where people run `pip install -r requirements/all.txt`.
    """
    folder = os.path.dirname(file)
    beside = all(
        os.path.isfile(path) or _project_files(path) for path in (os.path.join(folder, path) for path in paths)
    )
    return folder if beside else checkout


def _project_files(path: str) -> list[str]:
    """The files that make this folder a project. uv looks at their times to see whether the project has changed."""
    files = (os.path.join(path, name) for name in ("pyproject.toml", "setup.py", "setup.cfg"))
    return [file for file in files if os.path.isfile(file)]
