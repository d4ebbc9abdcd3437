# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where everything but a proxy is refused, a clock without a time source is told."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

TASKS = Path(__file__).parents[3] / "roles/egress/tasks"
VARIABLES = Path(__file__).parents[3] / "roles/egress/vars/main.yml"


def said(folder: Path, allow: list[dict[str, Any]]) -> str:
    """What the role says about a machine whose time sources are in this folder."""
    known = yaml.safe_load(VARIABLES.read_text())
    variables = {
        "egress_enforce": True,
        "egress_allow": allow,
        "__egress_time_servers": known["__egress_time_servers"],
        "__egress_clock_files": [str(folder / "chrony"), str(folder / "nowhere")],
    }
    (task,) = [each for each in yaml.safe_load((TASKS / "rules.yml").read_text()) if "clock" in each["name"]]
    task["ansible.builtin.include_tasks"] = str(TASKS / "clock.yml")
    play = [{"hosts": "localhost", "connection": "local", "gather_facts": False, "vars": variables, "tasks": [task]}]
    playbook = folder / "play.yml"
    playbook.write_text(json.dumps(play))
    done = subprocess.run(
        ["ansible-playbook", "-i", "localhost,", str(playbook)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("configured", "allow", "told"),
    [
        ("pool ntp.ubuntu.com iburst", [], True),
        ("# refclock PHC /dev/ptp0", [{"to": "10.0.0.2", "port": 123}, {"to": "10.0.0.2", "port": 53}], True),
        ("refclock PHC /dev/ptp0 poll 2", [], False),
        ("server 169.254.169.123 prefer iburst", [], False),
        ("", [{"to": "10.0.0.2", "port": 123, "protocol": "udp"}], False),
    ],
)
def test_a_clock_without_a_time_source_is_told(
    tmp_path: Path, configured: str, allow: list[dict[str, Any]], *, told: bool
) -> None:
    (tmp_path / "chrony/sources.d").mkdir(parents=True)
    (tmp_path / "chrony/sources.d/some.sources").write_text(configured + "\n")
    assert ("has no time source" in said(tmp_path, allow)) is told
