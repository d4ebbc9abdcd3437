# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The APIs behind a proxy that is less kind: one sentence, nothing twice, never "nothing there"."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.bad_proxy import PASSWORD, BadProxy, Manners, bad_proxy

from .conftest import Account, Answer
from .test_errors import assert_plain

# The request that creates a machine.
CREATING = {"ec2": "Action=RunInstances", "openstack": "^POST .*/servers "}


@pytest.fixture
def proxy() -> Iterator[BadProxy]:
    with bad_proxy() as made:
        yield made


def through(account: Account, proxy: BadProxy, module: str, password: str = PASSWORD, **options: Any) -> Answer:
    """Run a module behind the proxy."""
    process = account.start(module, env=proxy.environment(password), **options)
    out, err = process.communicate(timeout=300)
    return Answer(json.loads(out), err, 0.0)


def inventory(account: Account, proxy: BadProxy, folder: Path, password: str = PASSWORD) -> tuple[int, list[str], str]:
    """ansible-inventory behind the proxy: its status, the hosts, and what it says on stderr."""
    file = folder / "haven.yml"
    ask = {"plugin": "haven.gpu.instances", "cloud": account.api.cloud, "projects": [account.project]}
    file.write_text(json.dumps({**ask, "ssh_config_dir": str(folder / "ssh")}))
    strict = {"ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "1", "HOME": str(folder), "ANSIBLE_HOME": str(folder)}
    done = subprocess.run(
        [str(Path(sys.executable).with_name("ansible-inventory")), "-i", str(file), "--list"],
        env={**os.environ, **account.api.environment, **proxy.environment(password), **strict},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    hosts = [] if done.returncode else sorted(json.loads(done.stdout)["_meta"]["hostvars"])
    return done.returncode, hosts, " ".join(done.stderr.split())


def test_a_password_with_odd_characters_is_understood_and_never_shown(
    account: Account, proxy: BadProxy, tmp_path: Path
) -> None:
    assert account.make().ok
    proxy.manners = Manners(login=True)
    found = through(account, proxy, "instance_info")
    assert found.ok, found.message
    assert list(found.instances) == ["one"]
    assert inventory(account, proxy, tmp_path)[:2] == (0, ["one"])
    wrong = "p@55%w:rx"
    refused = through(account, proxy, "instance_info", wrong)
    assert_plain(refused, "proxy_refused", "wants a user and a password")
    status, _hosts, said = inventory(account, proxy, tmp_path, wrong)
    assert status != 0
    assert "wants a user and a password" in said
    for shown in (refused.message + refused.stderr, said):
        assert wrong not in shown
        assert "p%4055" not in shown


# The page itself, as the API's answer: test_unexpected_answers.py.
@pytest.mark.parametrize("redirects", [pytest.param(False, marks=pytest.mark.long), True])
def test_a_sign_in_page_is_never_an_empty_cloud(
    account: Account, proxy: BadProxy, tmp_path: Path, redirects: bool
) -> None:
    proxy.manners = Manners(sign_in=True, redirects=redirects)
    for module, options in (("instance_info", {}), ("project", {"state": "absent"})):
        assert_plain(through(account, proxy, module, **options), "unexpected_answer", "sign-in page")
    status, _hosts, said = inventory(account, proxy, tmp_path)
    assert status != 0
    assert "sign-in page" in said


def test_an_answer_that_is_cut_is_never_taken_for_the_whole(account: Account, proxy: BadProxy, tmp_path: Path) -> None:
    assert account.make().ok
    proxy.manners = Manners(cut="http")
    cut = through(account, proxy, "instance_info", constants={**account.api.constants, "_retry._FIRST_PAUSE": 0.02})
    assert cut.values.get("failed"), cut.values
    assert "Traceback" not in cut.message + cut.stderr
    assert len(cut.message) < 600
    status, _hosts, said = inventory(account, proxy, tmp_path)
    assert status != 0
    assert "Traceback" not in said
    proxy.manners = Manners()
    assert inventory(account, proxy, tmp_path)[:2] == (0, ["one"])


def test_what_is_made_though_the_answer_was_cut_is_not_made_twice(account: Account, proxy: BadProxy) -> None:
    proxy.manners = Manners(cut=CREATING[account.api.cloud])
    made = through(account, proxy, "instance", name=["one"], **account.api.basics)
    proxy.manners = Manners()
    assert account.living() == ["one"], made.values
    again = through(account, proxy, "instance", name=["one"], **account.api.basics)
    assert again.ok, again.message
    assert account.living() == ["one"]


@pytest.mark.long
@pytest.mark.parametrize("manners", [Manners(slow_s=2), Manners(reset_every=10), Manners(reset_every=3)])
def test_a_slow_or_unsteady_one_costs_time_and_nothing_else(
    account: Account, proxy: BadProxy, tmp_path: Path, manners: Manners
) -> None:
    proxy.manners = manners
    made = through(account, proxy, "instance", name=["one"], **account.api.basics)
    assert made.ok, made.message
    assert inventory(account, proxy, tmp_path)[:2] == (0, ["one"])
    again = through(account, proxy, "instance", name=["one"], **account.api.basics)
    assert (again.ok, again.values.get("changed")) == (True, False), again.message
    gone = through(account, proxy, "project", state="absent")
    assert gone.ok, gone.message
    assert account.living() == []
