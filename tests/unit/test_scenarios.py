# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Molecule's scenarios, read as Molecule reads them."""

from __future__ import annotations

from pathlib import Path

import pytest
from molecule.config import Config

REPOSITORY = Path(__file__).parents[2]
SCENARIOS = sorted(REPOSITORY.glob("molecule/*/molecule.yml"))
SEQUENCES = ("check", "converge", "create", "destroy", "test")


def is_there(config: Config, step: str) -> bool:
    """Whether what the step runs exists; Molecule complains of a step without it, though nothing is wrong."""
    action, *arguments = step.split()
    folder = Path(config.scenario.directory)
    if action == "dependency":
        return (folder / "requirements.yml").exists() or (folder / "collections.yml").exists()
    if action == "verify":
        return (folder / (arguments[0] if arguments else config.verifier.directory)).is_dir()
    if action in ("idempotence", "check", "syntax"):
        return bool(config.provisioner.playbooks.converge)
    playbook = folder / arguments[0] if arguments else getattr(config.provisioner.playbooks, action)
    return bool(playbook) and Path(playbook).exists()


@pytest.mark.parametrize("file", SCENARIOS, ids=lambda file: file.parent.name)
def test_a_scenario_has_no_step_without_its_files(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOLECULE_PROJECT_DIRECTORY", str(REPOSITORY))
    base = [str(REPOSITORY / ".config/molecule/config.yml")]
    config = Config(molecule_file=str(file), args={"base_config": base}, command_args={"subcommand": "test"})
    steps = {
        f"{name}: {step}"
        for name in SEQUENCES
        for step in getattr(config.scenario, f"{name}_sequence")
        if not is_there(config, step)
    }
    assert steps == set()
