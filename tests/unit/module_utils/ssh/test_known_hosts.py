# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""known_hosts holds the recorded keys, and who signs those of others, under the names that ssh looks for."""

from __future__ import annotations

import pathlib
import subprocess

from ansible_collections.haven.gpu.plugins.module_utils._ssh.checks import hops_from
from ansible_collections.haven.gpu.plugins.module_utils._ssh.config import Machine, hop_alias, known_hosts
from tests.unit.module_utils.ssh.readings import HOPS, KEY, MACHINE, OTHER_KEY, asked, rendered


def test_ssh_finds_the_recorded_keys(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "known_hosts"
    path.write_text(known_hosts([MACHINE, Machine("i-2", host_key="nonsense")], HOPS))

    def found(name: str) -> str:
        answer = subprocess.run(
            ["ssh-keygen", "-F", name, "-f", str(path)], check=False, capture_output=True, text=True
        )
        return answer.stdout.splitlines()[-1] if answer.stdout else ""

    assert found("i-1") == f"i-1 {OTHER_KEY} i-1"
    assert found(hop_alias(HOPS, 0)) == f"{hop_alias(HOPS, 0)} {KEY} gate.example.org"
    assert found("i-2") == ""


def test_a_hop_may_be_known_by_who_signs_its_key(tmp_path: pathlib.Path) -> None:
    hops = hops_from([{"host": "gate.example.org", "host_key": f"@cert-authority {KEY}"}])
    gate = asked(tmp_path, rendered(MACHINE, hops=hops), hop_alias(hops, 0))
    assert (gate["hostkeyalias"], gate["stricthostkeychecking"]) == ("gate.example.org", "true")
    assert known_hosts([], hops) == f"@cert-authority gate.example.org {KEY} gate.example.org\n"


def test_a_hop_may_be_known_by_another_name_that_its_signer_has_written(tmp_path: pathlib.Path) -> None:
    hops = hops_from([{"host": "10.0.0.9", "host_key": f"@cert-authority gate.demo {KEY} me@here"}])
    gate = asked(tmp_path, rendered(MACHINE, hops=hops), hop_alias(hops, 0))
    assert (gate["hostname"], gate["hostkeyalias"]) == ("10.0.0.9", "gate.demo")
    assert known_hosts([], hops) == f"@cert-authority gate.demo {KEY} 10.0.0.9\n"
