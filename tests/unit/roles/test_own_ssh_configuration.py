# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the role ssh_config has ssh look at the user's own configuration before it is written."""

from __future__ import annotations

import pathlib
import shlex
import subprocess

import pytest
import yaml

TASKS = pathlib.Path(__file__).resolve().parents[3] / "roles/ssh_config/tasks/present.yml"


def accepted(file: pathlib.Path) -> bool:
    """As ansible.builtin.blockinfile runs the command: with the path of its own file in it, without a shell."""
    (command,) = [value["validate"] for task in yaml.safe_load(TASKS.read_text()) for value in task.values()
                  if isinstance(value, dict) and "validate" in value]  # fmt: skip
    done = subprocess.run(
        shlex.split(command % file), stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=20
    )
    return done.returncode == 0


@pytest.mark.parametrize(
    ("text", "usable"),
    [
        ("Host *\n  Port 2200\n", True),
        ("Host *\n  ForkAfterAuthentication yes\n", True),
        ("Host *\n  RemoteCommand tmux\n  RequestTTY force\n", True),
        ("Hots *\n", False),
    ],
)
def test_a_home_with_a_space_and_a_host_for_everything_are_no_obstacle(
    tmp_path: pathlib.Path, text: str, usable: bool
) -> None:
    file = tmp_path / "Åsa Öberg" / "config"
    file.parent.mkdir()
    file.write_text(text)
    assert accepted(file) is usable
