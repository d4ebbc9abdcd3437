# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings one environment to the requested state. Everything here runs as the environment's user."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass, replace
from typing import Optional

from . import kernel, repository
from .installers import Found, Installer, installer_for, probe
from .models import Plan, Spec, VenvError
from .requirements import Requirements, gather

# What an environment's folder can contain before pyvenv.cfg is written, if a run was killed.
PARTS = {"bin", "lib", "lib64", "include", "share", "etc", ".gitignore", ".lock", "CACHEDIR.TAG"}


@dataclass(frozen=True)
class Outcome:
    """What was or would be done, and the environment's Python version (empty if there is none)."""

    plan: Plan
    python_version: str = ""


def converge(spec: Spec, check: bool, python_downloads: bool) -> Outcome:
    """Plan the changes and, unless `check`, apply them. After a failure, the environment is unchanged."""
    kernel_before = kernel.current(spec)
    with tempfile.TemporaryDirectory(prefix="haven-venv-") as scratch:
        _set_up_uv(spec, scratch, python_downloads)
        commit, checkout = _repository(spec, check, scratch)
        requirements = replace(gather(spec, checkout, scratch), moved=commit[0] != commit[1])
        if requirements.moved:
            for file in requirements.projects:
                os.utime(file)  # git has not, where the commit changes other files of the project
        installer = installer_for(spec)
        found = probe(spec.bin_python)
        rebuild = why_rebuild(spec, installer, found)
        plan = Plan(
            commit=commit,
            rebuild=rebuild,
            packages=installer.foresee(requirements, exists=not rebuild),
            kernel=(kernel_before, kernel.wanted(spec)),
        )
        if not check and plan.changed:
            plan = _apply(spec, installer, requirements, plan)
            found = probe(spec.bin_python)
    return Outcome(plan, found.version if found else "")


def remove(spec: Spec, check: bool) -> Outcome:
    """Remove the environment, its kernel, and its checkout. A repository's own `dest` is kept."""
    _refuse_foreign(spec)
    kernel_before = kernel.current(spec)
    paths = [spec.path, beside(spec, "old"), beside(spec, "trash")]
    if spec.repository and spec.repository.shallow:
        paths.append(spec.repository.dest)
    plan = Plan(remove=tuple(path for path in paths if os.path.lexists(path)), kernel=(kernel_before, ""))
    if not check:
        if kernel_before:
            kernel.write(spec, "")
        for path in plan.remove:
            shutil.rmtree(path)
    return Outcome(plan)


def beside(spec: Spec, word: str) -> str:
    """Where the environment is kept while its successor is created (old), and where it is deleted (trash)."""
    folder, name = os.path.split(spec.path)
    return os.path.join(folder, f".{name}.{word}")


def why_rebuild(spec: Spec, installer: Installer, found: Optional[Found]) -> str:
    """The reason to create the environment again, or an empty string."""
    if os.path.lexists(beside(spec, "old")):
        return "its last change was interrupted"
    if not os.path.lexists(spec.path):
        return "it does not exist"
    _refuse_foreign(spec)
    return installer.unsuitable(found) if found else "its Python does not run"


def _refuse_foreign(spec: Spec) -> None:
    if not os.path.lexists(spec.path):
        return
    inside = set(os.listdir(spec.path)) if os.path.isdir(spec.path) and not os.path.islink(spec.path) else {"itself"}
    if "pyvenv.cfg" not in inside and not inside <= PARTS:
        raise VenvError(f"{spec.path} exists and is not a virtual environment; rename {spec.label}, or move it away.")


def _set_up_uv(spec: Spec, scratch: str, python_downloads: bool) -> None:
    # On the same file system as the environments, so that uv links instead of copying. Check mode creates no folder.
    home = spec.home if os.path.isdir(spec.home) else scratch
    os.environ.update(
        UV_CACHE_DIR=os.path.join(home, ".cache", "uv"),
        UV_PYTHON_INSTALL_DIR=os.path.join(home, ".python"),
        UV_PYTHON_DOWNLOADS="automatic" if python_downloads else "never",
    )


def _repository(spec: Spec, check: bool, scratch: str) -> tuple[tuple[str, str], str]:
    """Commits before and after, and the folder with the files of the requested commit."""
    if spec.repository is None:
        return ("", ""), ""
    before, after = repository.current_commit(spec.repository.dest), repository.wanted_commit(spec.repository)
    if before == after:
        return (before, after), spec.repository.dest
    folder = os.path.join(scratch, "repository") if check else spec.repository.dest
    repository.check_out(spec.repository, after, folder)
    return (before, after), folder


def _apply(spec: Spec, installer: Installer, requirements: Requirements, plan: Plan) -> Plan:
    if plan.rebuild:
        plan = replace(plan, packages=_rebuild(spec, installer, requirements))
    elif plan.packages:
        plan = replace(plan, packages=installer.install(requirements))
    if plan.kernel[0] != plan.kernel[1]:
        kernel.write(spec, plan.kernel[1])
    return plan


def _rebuild(spec: Spec, installer: Installer, requirements: Requirements) -> tuple[str, ...]:
    """Create a new environment in place of the old one, because it contains its own path."""
    old, trash = beside(spec, "old"), beside(spec, "trash")
    if os.path.lexists(old):
        shutil.rmtree(spec.path, ignore_errors=True)  # left behind by an interrupted run
    elif os.path.lexists(spec.path):
        os.rename(spec.path, old)
    try:
        installer.create()
        packages = installer.install(requirements)
    except VenvError:
        shutil.rmtree(spec.path, ignore_errors=True)  # create() may have failed before it created anything
        if os.path.lexists(old):
            os.rename(old, spec.path)
        raise
    if os.path.lexists(old):
        # renamed first, so that a folder named old is always a complete environment
        shutil.rmtree(trash, ignore_errors=True)
        os.rename(old, trash)
        shutil.rmtree(trash)
    return packages
