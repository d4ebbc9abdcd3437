# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""amazon.aws's own cases, asked of its inventory and of ours: the same answer, or the reason for another one.

The table is aws_ec2_cases.yml.
"""

from __future__ import annotations

import fnmatch
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.haven.gpu.plugins.doc_fragments.sources import ModuleDocFragment
from ansible_collections.haven.gpu.plugins.inventory import instances
from tests.integration.clouds import Api

from .conftest import ROOT, Ec2Machines

HERE = Path(__file__).parent
CASES: list[dict[str, Any]] = yaml.safe_load((HERE / "aws_ec2_cases.yml").read_text())
ASKED = [case for case in CASES if "theirs" in case]
FAILING = [case for case in ASKED if case.get("fails")]
ANSWERED = [case for case in ASKED if not case.get("fails")]
# Nothing but our cloud's listing is asked for; a tag tells the cases apart.
PROJECT = "tag:haven:project"

pytestmark = [pytest.mark.only("ec2"), pytest.mark.long]


def name_of(case: dict[str, Any]) -> str:
    return str(case["case"]).replace(" ", "-")


def theirs(case: dict[str, Any]) -> dict[str, Any]:
    """Their options, which list no machine of another case."""
    options = {"plugin": "amazon.aws.aws_ec2", "regions": ["us-east-1"], **case["theirs"]}
    mine = {PROJECT: name_of(case)}
    included = [{**each, **mine} for each in options.get("include_filters", [])]
    if included:
        options["include_filters"] = included
    if "filters" in options or not included:
        options["filters"] = {**options.get("filters", {}), **mine}
    return options


class Answers:
    """All questions, asked once, of machines that exist in the API's memory only."""

    def __init__(self, machines: Ec2Machines, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        # By case and Name, the ids of the machines.
        self.ids: dict[str, dict[str, list[str]]] = {}
        files = []
        for case in ASKED:
            self._make(case, machines)
            where = folder / name_of(case).replace("/", "-")
            where.mkdir()
            ours = {"plugin": "haven.gpu.instances", "cloud": "ec2", "projects": [name_of(case)], **case["ours"]}
            for file, options in (("x.aws_ec2.yml", theirs(case)), ("haven.yml", ours)):
                (where / file).write_text(json.dumps(options))
                files.append(str(where / file))
        done = subprocess.run(
            [sys.executable, "-m", "tests.integration.inventory.ask", *files],
            cwd=ROOT,
            env={
                **os.environ,
                **environment,
                "ANSIBLE_HOME": str(folder / "home"),
                "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "1",
                # This checkout's settings know our plugin only.
                "ANSIBLE_INVENTORY_ENABLED": "amazon.aws.aws_ec2,haven.gpu.instances",
            },
            check=False,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        self._answers = json.loads(done.stdout)

    def _make(self, case: dict[str, Any], machines: Ec2Machines) -> None:
        known = self.ids.setdefault(name_of(case), {})
        for tags in case["machines"]:
            id = machines.make(tags.get("Name"), {**tags, "haven:project": name_of(case)})
            known.setdefault(tags.get("Name", ""), []).append(id)
            if tags.get("Name") in case.get("stopped", []):
                machines.stop(id)

    def of(self, case: dict[str, Any], file: str) -> dict[str, Any]:
        answer: dict[str, Any] = self._answers[str(self.folder / name_of(case).replace("/", "-") / file)]
        return answer

    def both(self, case: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        return self.of(case, "x.aws_ec2.yml"), self.of(case, "haven.yml")

    def listed(self, case: dict[str, Any], names: list[str]) -> list[str]:
        """The names of a row, ids filled in."""
        ids = {f"{{{name}}}": list(found) for name, found in self.ids[name_of(case)].items()}
        return sorted(ids[name].pop(0) if name in ids else name for name in names)


@pytest.fixture(scope="module")
def answers(ec2_machines: Ec2Machines, ec2_api: Api, tmp_path_factory: pytest.TempPathFactory) -> Answers:
    return Answers(ec2_machines, tmp_path_factory.mktemp("cases"), ec2_api.environment)


def at(variables: Any, path: str) -> Any:
    """What stands at a path such as ``placement.region`` or ``interfaces.0.address``."""
    for step in path.split("."):
        variables = variables[int(step)] if isinstance(variables, list) else variables[step]
    return variables


@pytest.mark.parametrize("case", ANSWERED, ids=name_of)
def test_the_same_question_has_the_same_answer_or_a_reason(case: dict[str, Any], answers: Answers) -> None:
    his, ours = answers.both(case)
    assert "error" not in his
    assert "error" not in ours
    if "reason" in case:
        assert sorted(his["hosts"]) == answers.listed(case, case["theirs_lists"])
        assert sorted(ours["hosts"]) == answers.listed(case, case["ours_lists"])
        assert his["hosts"].keys() != ours["hosts"].keys()
        return
    assert his["hosts"].keys() == ours["hosts"].keys()
    for pattern in case.get("groups", []):
        found = {name: hosts for name, hosts in his["groups"].items() if fnmatch.fnmatchcase(name, pattern)}
        assert found
        assert found == {name: hosts for name, hosts in ours["groups"].items() if fnmatch.fnmatchcase(name, pattern)}
    for host in ours["hosts"]:
        for first, second in case.get("vars", {}).items():
            assert at(his["hosts"][host], first) == at(ours["hosts"][host], second)


@pytest.mark.parametrize("case", FAILING, ids=name_of)
def test_what_cannot_be_answered_is_an_error_of_both(case: dict[str, Any], answers: Answers) -> None:
    assert [sorted(answer) for answer in answers.both(case)] == [["error"], ["error"]]


@pytest.mark.parametrize("case", [case for case in CASES if case.get("only_theirs")], ids=name_of)
def test_an_option_that_only_they_have_has_a_reason(case: dict[str, Any]) -> None:
    texts = (instances.DOCUMENTATION, ModuleDocFragment.DOCUMENTATION)
    known = {option for text in texts for option in yaml.safe_load(text)["options"]}
    assert not known & set(case["only_theirs"])
    assert case["reason"]


def test_the_table_is_whole() -> None:
    names = [name_of(case) for case in CASES]
    assert len(set(names)) == len(names)
    tests = "\n".join(file.read_text() for file in ROOT.glob("tests/**/test_*.py"))
    for case in CASES:
        assert case["from"]
        assert "theirs" in case or "reason" in case or "shown_by" in case
        assert f"def {case.get('shown_by', 'test_the_table_is_whole')}(" in tests
