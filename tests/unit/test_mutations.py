# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of mutations fits the files it breaks, and leaves out no role, module or plugin."""

from __future__ import annotations

import re

import pytest

from tests.mutation.__main__ import ROOT, Mutation, load

MUTATIONS = load()
CONTRACT = ROOT / "tests" / "clouds" / "contract.py"
PLUGINS = [
    str(path.relative_to(ROOT))
    for kind in ("modules", "inventory", "filter", "lookup")
    for path in sorted(ROOT.glob(f"plugins/{kind}/*.py"))
]
ROLES = [f"roles/{path.name}/" for path in sorted(ROOT.glob("roles/*")) if path.is_dir()]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
def test_a_mutation_breaks_one_place_of_its_file(mutation: Mutation) -> None:
    assert (ROOT / mutation.file).read_text().count(mutation.find) == 1
    assert mutation.replace != mutation.find


@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
def test_a_mutation_names_tests_that_exist(mutation: Mutation) -> None:
    assert bool(mutation.pytest) != bool(mutation.molecule)
    if mutation.molecule:
        files = list(ROOT.glob(f"molecule/{mutation.molecule}/tests/*.py"))
        wanted = mutation.tests
    else:
        path, dummy, wanted = mutation.pytest.partition(" -k ")
        files = [ROOT / path] if path.endswith(".py") else list((ROOT / path).glob("**/test_*.py"))
    assert files
    # What every cloud must pass is a class that theirs inherit.
    files += [CONTRACT] if any("tests.clouds.contract" in file.read_text() for file in files) else []
    names = [name for file in files for name in re.findall(r"^ *def (test_\w+)", file.read_text(), re.MULTILINE)]
    assert [name for name in names if wanted in name]


@pytest.mark.parametrize("part", [*PLUGINS, *ROLES])
def test_every_role_module_and_plugin_has_a_mutation(part: str) -> None:
    assert [mutation for mutation in MUTATIONS if mutation.file.startswith(part)]
