# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the module instance refuses before it asks a cloud for anything."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

RUN = """
import json, runpy, sys
from ansible.module_utils.testing import patch_module_args
with patch_module_args(json.loads(sys.argv[1])):
    runpy.run_module("ansible_collections.haven.gpu.plugins.modules.instance", run_name="__main__")
"""


def refused(**options: Any) -> dict[str, Any]:
    common = {"cloud": "ec2", "project": "p", "name": ["one"], "ec2": {"endpoint_url": "http://127.0.0.1:9"}}
    command = [sys.executable, "-c", RUN, json.dumps({**common, **options})]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert answer["failed"]
    return answer


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"private_key": "/no/such/key"}, "The private_key is '/no/such/key', and there is no such file"),
        ({"hops": [{"host": "gate"}, {"host": "b", "key": "/no/key"}]}, "The key of hop 2 is '/no/key'"),
        ({"hops": [{"instance": "gate", "key": "/no/key"}]}, "The key of hop 1 is '/no/key'"),
    ],
)
def test_a_key_file_that_is_not_there_costs_nothing(options: dict[str, Any], said: str) -> None:
    answer = refused(wait="ssh", **options)
    assert answer["reason"] == "invalid_request"
    assert said in answer["msg"]
