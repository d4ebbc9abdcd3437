"""On a machine where no GPU is expected, after a restart."""

from __future__ import annotations

import json

testinfra_hosts = ["cuda-bare"]


def test_the_record_says_that_none_is_expected(host):
    record = json.loads(host.file("/run/haven/cuda-check.json").content_string)
    assert record["ok"] is True
    assert record["required"] is False
    assert record["summary"] == "No GPU expected, so nothing was checked."


def test_the_unit_is_hardened(host):
    verdict = host.check_output("sudo systemd-analyze security --no-pager haven-cuda-check.service").splitlines()[-1]
    assert float(verdict.split(":")[-1].split()[0]) <= 0.6


def test_nothing_was_downloaded(host):
    assert not host.file("/opt/haven/cuda").exists
    assert host.service("haven-cuda-check.service").is_running
