# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The roles behind proxies that are less kind: one sentence, nothing half installed, and the next run finishes."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.sandbox_guests import ROOT, Guest, Sandbox

PLAY = """
- hosts: guest
  become: true
  gather_facts: false
  roles:
    - role: haven.gpu.egress
      vars: {egress_proxy: {url: "{{ proxy }}", ca: "{{ ca }}"}}
    - role: haven.gpu.venv
      vars:
        venv_environments: [{name: science, user: debian, packages: [idna==3.6]}]
"""


@pytest.fixture(scope="module")
def guest(sandbox: Sandbox) -> Iterator[Guest]:
    with sandbox.guest() as made:
        yield made


def run(guest: Guest, folder: Path, way: str) -> str:
    """Run both roles with a proxy; returns the message that ended the run, '' if none did."""
    facts = guest.sandbox.env
    url = facts["HAVEN_SANDBOX_PROXY_LOGIN_URL"].replace("%25w", "%25x") if way == "WRONG" else facts[way]
    config = guest.sandbox.ssh_config("debian", guest.address, guest.host_key())
    host = {"ansible_ssh_common_args": f"-F {config}", "ansible_python_interpreter": "/usr/bin/python3"}
    inventory, play = folder / "inventory.json", folder / "play.yml"
    inventory.write_text(json.dumps({"all": {"hosts": {"guest": host}}}))
    play.write_text(PLAY)
    variables = json.dumps({"proxy": url, "ca": facts["HAVEN_SANDBOX_PROXY_CA"]})
    done = subprocess.run(
        ["ansible-playbook", "-i", str(inventory), "-e", variables, str(play)],
        cwd=ROOT, env={**os.environ, "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json", "ANSIBLE_PIPELINING": "true"},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=400,
    )  # fmt: skip
    report = json.loads(done.stdout)
    results = [task["hosts"]["guest"] for play in report["plays"] for task in play["tasks"] if task["hosts"]]
    failed = [str(result.get("msg")) for result in results if result.get("failed") and not result.get("ignore_errors")]
    assert bool(failed) is bool(done.returncode), done.stdout[-3000:]
    return failed[-1] if failed else ""


@pytest.mark.long
def test_roles_behind_bad_proxies(guest: Guest, tmp_path: Path) -> None:
    for way, said in (
        ("HAVEN_SANDBOX_PROXY_SIGN_IN_URL", "answers with a web page (Sign in)"),
        ("WRONG", "refuses the user and password"),
    ):
        message = run(guest, tmp_path, way)
        assert said in message
        assert "p%40" not in message
        assert guest.root("ls -d /etc/haven /opt/haven /etc/apt/apt.conf.d/80haven-egress").stdout == "", "half done"
    # apt's lists are longer than what passes in one piece; what is tested here is what comes after them.
    guest.output(f"apt-get -q update -o Acquire::http::Proxy={guest.sandbox.env['HAVEN_SANDBOX_PROXY_URL']} >/dev/null")
    message = run(guest, tmp_path, "HAVEN_SANDBOX_PROXY_CUTTING_URL")
    assert "Installing packages for environment uv of root failed: an answer of " in message
    assert "ended in its middle; run this again" in message
    assert "Traceback" not in message
    assert guest.root("ls -d /opt/haven/uv").stdout == "", "half installed"
    for way in ("RESETTING", "SLOW", "LOGIN"):
        guest.output("rm -rf /opt/haven")
        assert run(guest, tmp_path, f"HAVEN_SANDBOX_PROXY_{way}_URL") == ""
        assert (
            guest.output("/opt/haven/venvs/debian/science/bin/python -c 'import idna; print(idna.__version__)'")
            == "3.6"
        )
