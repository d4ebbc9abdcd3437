# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The check of jump hosts against a real one: it answers as its user, or what is wrong is said."""

from __future__ import annotations

import dataclasses

import pytest

from ansible_collections.haven.gpu.plugins.module_utils._check import route
from ansible_collections.haven.gpu.plugins.module_utils._models import Finding, Hop
from tests.integration.sandbox_guests import Sandbox, gate_hop

OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ/+K5c7Wxxm5lYcOSr4fe1rH2bRVh0PEdtpSx4s1Lqz"


@pytest.fixture
def gate(sandbox: Sandbox) -> Hop:
    return Hop(**gate_hop(sandbox.env))


def check(hop: Hop, proxy: str | None = None) -> dict[str, Finding]:
    return {each.about: each for each in route.check((hop,), [], [], proxy)}


def test_a_jump_host_answers_as_its_user_and_the_proxy_is_asked_through_it(sandbox: Sandbox, gate: Hop) -> None:
    found = check(gate, sandbox.env["HAVEN_SANDBOX_PROXY_URL"])
    assert found[f"jump host {gate.host}"].said == f"answers as {gate.user}"
    assert found["egress proxy"].verdict in ("ok", "unknown"), found


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"user": "nobody-here"}, "refuses the login"),
        ({"port": 1}, "cannot be reached"),
        ({"host_key": OTHER_KEY}, "host key"),
    ],
    ids=["user", "port", "host key"],
)
def test_a_mistake_is_named(gate: Hop, wrong: dict[str, str], said: str) -> None:
    finding = check(dataclasses.replace(gate, **wrong))[f"jump host {gate.host}"]
    assert finding.verdict == "wrong"
    assert said in finding.said
