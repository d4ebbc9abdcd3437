"""A plugin of pytest: writes what each test's set-up, call and tear-down took, a line of JSON a test.

`-p tests.all.timing`, and HAVEN_TEST_TIMES names the file. Where several processes share the tests, the one that
hands them out writes.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict

import pytest

_seconds: dict[str, dict[str, float]] = defaultdict(dict)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    path = os.environ.get("HAVEN_TEST_TIMES")
    if not path or "PYTEST_XDIST_WORKER" in os.environ:
        return
    _seconds[report.nodeid][report.when] = round(report.duration, 2)
    if report.when == "teardown":
        line = {"test": report.nodeid, **_seconds.pop(report.nodeid)}
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
