# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""uv and pip: what each would change in an environment, and how to change it."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Optional

from .._progress import progress
from .complaints import explained
from .models import PYTHON_VERSION, Spec, VenvError
from .process import run, run_heard
from .requirements import Requirements

PROBE = """
import importlib.util, json, os, platform, sys
pip = importlib.util.find_spec("pip")
print(json.dumps({
    "version": platform.python_version(),
    "base": os.path.realpath(getattr(sys, "_base_executable", sys.executable)),
    "pip": bool(pip),
}))
"""
PIP_CHANGE = re.compile(r"^(?:Would install|Successfully installed) (.+)$", re.MULTILINE)
UV_CHANGE = re.compile(r"^ ([-+~]) (\S+.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Found:
    """The environment's interpreter: its version, the program that it was created from, and whether it has pip."""

    version: str
    base: str
    pip: bool


def probe(python: str) -> Optional[Found]:
    """Return None if there is no such program or it cannot run, for instance because an upgrade removed its base."""
    if not os.access(python, os.X_OK):
        return None
    done = run([python, "-I", "-c", PROBE])
    return Found(**json.loads(done.stdout)) if done.returncode == 0 else None


class Installer(ABC):
    """An installer for the environment `spec`."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec

    def unsuitable(self, found: Found) -> str:
        """Why the environment must be created again, or an empty string."""
        wanted = self.spec.python
        if os.path.isabs(wanted):
            real = os.path.realpath(wanted)
            return "" if real == found.base else f"Python {wanted} instead of {found.base}"
        same = (found.version + ".").startswith(wanted + ".")
        return "" if same else f"Python {wanted} instead of {found.version}"

    @abstractmethod
    def foresee(self, requirements: Requirements, exists: bool) -> tuple[str, ...]:
        """The packages that would change, as `+ name==version` and `- name==version`. Fails for unavailable ones."""

    @abstractmethod
    def create(self) -> None:
        """Create an empty environment."""

    @abstractmethod
    def install(self, requirements: Requirements) -> tuple[str, ...]:
        """Change the packages, compile them, and return the changes."""

    def run(self, what: str, argv: list[str], advice: str, folder: str = "/") -> str:
        """Return the tool's output. Raises VenvError with the tool's own reason."""
        doing = "Resolving packages" if "--dry-run" in argv else what
        step = f"{doing[0].lower()}{doing[1:]} for {self.spec.label}"
        progress.begins(step)
        downloads = Downloads()
        done = run_heard(argv, lambda line: progress.known(f"{step}{downloads.after(line)}"), folder)
        if done.returncode != 0:
            raise VenvError(f"{what} for {self.spec.label} failed: {explained(done, advice)}.")
        return done.stdout + done.stderr


class Downloads:
    """What uv or pip are downloading, from the lines that they write. uv names large files only."""

    _BEGINS = re.compile(r"^( *)Downloading (\S+)(?: \(([\d.]+ ?\w+)\))?")
    _ENDS = re.compile(r"^ *Downloaded (\S+)")
    _COUNT = re.compile(r"^(Resolved|Prepared) (\d+) packages?")

    def __init__(self) -> None:
        self._count = ""
        self._open: dict[str, str] = {}

    def after(self, line: str) -> str:
        """What is known after this line, to be appended to a sentence."""
        begun, ended, count = self._BEGINS.match(line), self._ENDS.match(line), self._COUNT.match(line)
        if begun:
            indent, name, size = begun.groups()
            if indent:
                # Only pip indents it. It downloads one file at a time and does not say when that is done.
                self._open = {}
            name = name.rpartition("/")[2]
            self._open[name] = f"{name} ({size})" if size else name
        elif ended:
            self._open.pop(ended[1], None)
        elif count:
            self._count = f", {count[1].lower()} {count[2]}"
        elif line.startswith("Installing collected packages"):
            self._open = {}
        return self._count + (f", downloads {', '.join(self._open.values())}" if self._open else "")


PYTHON_ADVICE = "install that Python with system packages, name another, or allow uv to download it (python_downloads)"
PACKAGE_ADVICE = "correct its packages or requirements, or see that the package registry can be reached"


class Uv(Installer):
    """uv runs outside the environment, which does not need pip."""

    program = "/opt/haven/uv/bin/uv"

    def _pip_install(self, requirements: Requirements, *options: str) -> tuple[str, ...]:
        exact = ["--exact"] if self.spec.exact and "--target" not in options else []
        argv = [self.program, "pip", "install", *options, *exact, *requirements.arguments()]
        output = self.run("Installing packages", argv, PACKAGE_ADVICE, requirements.folder)
        return tuple(f"{sign} {package}" for sign, package in UV_CHANGE.findall(output))

    def foresee(self, requirements: Requirements, exists: bool) -> tuple[str, ...]:
        if not requirements.files or not os.access(self.program, os.X_OK):
            return ()
        if exists:
            if self._is_exact(requirements):
                return ()
            return self._pip_install(requirements, "--dry-run", "--python", self.spec.bin_python)
        with tempfile.TemporaryDirectory(prefix="haven-venv-") as nowhere:
            find = [self.program, "python", "find", "--system", self.spec.python]
            self.run(f"Finding Python {self.spec.python}", find, PYTHON_ADVICE)
            return self._pip_install(requirements, "--dry-run", "--python", self.spec.python, "--target", nowhere)

    def _is_exact(self, requirements: Requirements) -> bool:
        """Whether exactly the locked packages are installed, which can be checked without the network."""
        if not (self.spec.exact and requirements.hashed):
            return False
        argv = [self.program, "pip", "sync", "--dry-run", "--offline", "--python", self.spec.bin_python]
        done = run([*argv, *requirements.files], requirements.folder)
        return done.returncode == 0 and "Would make no changes" in done.stderr

    def create(self) -> None:
        argv = [self.program, "venv", "--no-project", "--python", self.spec.python, self.spec.path]
        self.run("Making the environment", argv, PYTHON_ADVICE)

    def install(self, requirements: Requirements) -> tuple[str, ...]:
        if not requirements.files:
            return ()
        return self._pip_install(requirements, "--compile-bytecode", "--python", self.spec.bin_python)


class Pip(Installer):
    """pip runs inside the environment, and compiles what it installs."""

    def unsuitable(self, found: Found) -> str:
        return super().unsuitable(found) or ("" if found.pip else "it has no pip")

    def _pip_install(self, requirements: Requirements, *options: str) -> tuple[str, ...]:
        if self.spec.exact:
            raise VenvError(f"pip cannot remove what {self.spec.label} does not list; use uv, or leave out exact.")
        argv = [self.spec.bin_python, "-m", "pip", "install", *options, *requirements.arguments()]
        output = self.run("Installing packages", argv, PACKAGE_ADVICE, requirements.folder)
        words = " ".join(PIP_CHANGE.findall(output)).split()  # name-version
        return tuple("+ {}=={}".format(*word.rpartition("-")[::2]) for word in words)

    def _installed(self) -> set[str]:
        """What is installed, as `_pip_install` writes it."""
        argv = [self.spec.bin_python, "-m", "pip", "list", "--format=json"]
        found = json.loads(run(argv).stdout or "[]")
        return {f"+ {package['name']}=={package['version']}" for package in found}

    def foresee(self, requirements: Requirements, exists: bool) -> tuple[str, ...]:
        if not exists:
            self._interpreter()
            return ()
        changes = self._pip_install(requirements, "--dry-run") if requirements.files else ()
        # pip installs what comes from a folder again and again, although only another commit can have changed it.
        return changes if requirements.moved or not changes else tuple(sorted(set(changes) - self._installed()))

    def _interpreter(self) -> str:
        wanted = self.spec.python
        found = shutil.which(f"python{wanted}" if PYTHON_VERSION.fullmatch(wanted) else wanted)
        if found is None:
            raise VenvError(
                f"Python {wanted}, wanted for {self.spec.label}, is not on this host; "
                "install it with system packages or name another."
            )
        return found

    def create(self) -> None:
        self.run("Making the environment", [self._interpreter(), "-m", "venv", self.spec.path], "install python3-venv")

    def install(self, requirements: Requirements) -> tuple[str, ...]:
        return self._pip_install(requirements) if requirements.files else ()


def installer_for(spec: Spec) -> Installer:
    return Pip(spec) if spec.installer == "pip" else Uv(spec)
