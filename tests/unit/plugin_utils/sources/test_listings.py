# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sources are listed side by side, and one that never answers delays nobody."""

from __future__ import annotations

import socket
import subprocess
import sys
from threading import Event
from typing import Any

import pytest

from ansible_collections.haven.gpu.plugins.module_utils._errors import TimedOut
from ansible_collections.haven.gpu.plugins.module_utils._models import Instance
from ansible_collections.haven.gpu.plugins.plugin_utils import _settings
from ansible_collections.haven.gpu.plugins.plugin_utils._sources import listings

# In a process of its own, because a thread that is left over would only show when the process ends.
ASK = """
import sys
from ansible_collections.haven.gpu.plugins.plugin_utils import _settings
from ansible_collections.haven.gpu.plugins.plugin_utils._sources import listings
auth = {"auth_url": f"http://127.0.0.1:{sys.argv[1]}/v3", "username": "u", "password": "p", "project_name": "p"}
auth.update(user_domain_name="Default", project_domain_name="Default")
options = {"cloud": "openstack", "projects": ["p"], "openstack": {"auth": auth}, "timeout": 4}
print(repr(listings.listings([_settings.settings_from(options)])[0]))
"""


class Cloud:
    """One with two regions, which answers once it may."""

    def __init__(self, region: str, may: Event) -> None:
        self.region, self._may = region, may

    def in_region(self, region: str) -> Cloud:
        return Cloud(region, self._may)

    def instances(self, project: str, **_more: Any) -> list[Instance]:
        assert self._may.wait(30)
        return [Instance(f"{self.region}-{project}", "one", project, "ec2", self.region, "running")]


def source(name: str, **options: Any) -> _settings.Settings:
    return _settings.settings_from({"cloud": "ec2", "projects": [name], "regions": ["a", "b"], **options})


def test_a_source_that_does_not_answer_in_its_time_delays_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    never, ever = Event(), Event()
    ever.set()
    monkeypatch.setattr(
        listings, "connect", lambda _cloud, options, _proxy: Cloud(options["region"], never if options["x"] else ever)
    )
    silent, good = source("silent", ec2={"x": 1}, timeout=0.2), source("good", ec2={"x": 0})
    first, second = listings.listings([silent, good])
    never.set()
    assert isinstance(first, TimedOut)
    assert "0.2 s" in str(first)
    assert isinstance(second, list)
    assert [each.id for each in second] == ["a-good", "b-good"]


def test_nothing_waits_for_a_cloud_that_takes_connections_and_is_silent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        command = [sys.executable, "-c", ASK, str(silent.getsockname()[1])]
        # A minute would be the time of one request.
        done = subprocess.run(command, capture_output=True, text=True, timeout=40, check=False)
    assert "TimedOut" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("timeout", [0, -1, "soon", "inf", []])
def test_a_timeout_is_a_number_of_seconds(timeout: Any) -> None:
    with pytest.raises(_settings.InvalidRequest, match="timeout"):
        source("x", timeout=timeout)
