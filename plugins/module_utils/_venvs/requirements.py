# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Collects the requirement files of one environment for an installer."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from .models import Spec, VenvError

HASH = re.compile(r"--hash[= ]")
# One package of a lock file on one line, without any option, address, or path that pip or uv would follow.
LOCKED = re.compile(r"[A-Za-z0-9][\w.-]*(\[[\w., -]*\])?==[\w.!+]+( *;((?!--)[^#])*?)?( +--hash=\w+:[0-9a-f]+)+")
KERNEL = re.compile(r"^ipykernel\b(?!-)", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True)
class Requirements:
    """The files to install from, whether every package in them must have a hash, and whether it must be a wheel."""

    files: tuple[str, ...]
    hashed: bool
    only_binary: bool = False

    def arguments(self) -> list[str]:
        flags = (["--require-hashes"] if self.hashed else []) + (["--only-binary", ":all:"] if self.only_binary else [])
        return flags + [word for file in self.files for word in ("-r", file)]


def gather(spec: Spec, checkout: str, folder: str) -> Requirements:
    """Write lists and texts to `folder`, and read the repository's file in `checkout`."""
    files: list[str] = []
    if spec.repository:
        file = os.path.join(checkout, spec.repository.file)
        if not os.path.isfile(file):
            raise VenvError(
                f"{spec.repository.url} has no file {spec.repository.file} at version {spec.repository.version}, "
                f"which {spec.label} is to be made from; correct repository.file or repository.version."
            )
        files.append(file)
    lines = "".join(f"{package}\n" for package in spec.packages)
    for name, text in (("requirements.txt", spec.requirements), ("packages.txt", lines)):
        if text:
            files.append(_write(folder, name, text))
    text = "\n".join(_read(file) for file in files)
    hashed = bool(HASH.search(text)) if spec.require_hashes is None else spec.require_hashes
    if spec.display_name and not KERNEL.search(text):
        if hashed:
            raise VenvError(
                f"The hashed requirements of {spec.label} lack ipykernel, without which it cannot be a kernel; "
                "add ipykernel and lock them again, or set kernel: false."
            )
        files.append(_write(folder, "kernel.txt", "ipykernel\n"))
    return Requirements(tuple(files), hashed, spec.only_binary)


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


def _read(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()
