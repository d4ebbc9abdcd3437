"""A running sandbox: its facts, as `. build/sandbox/env` would give them to a shell, and the control of its EC2 API."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import urllib.request


def source(env: pathlib.Path) -> None:
    """Take a sandbox's `export NAME='value'` lines into our own environment."""
    shell = ["bash", "-c", '. "$1" && env -0', "bash", str(env)]
    for item in subprocess.run(shell, stdout=subprocess.PIPE, check=True).stdout.decode().split("\0"):
        name, dummy, value = item.partition("=")
        if name.startswith(("HAVEN_", "AWS_", "OS_")):
            os.environ[name] = value


def control(verb: str, **asked: object) -> None:
    """Ask for what no cloud offers (tests/sandbox/ec2/control.py); the sandbox's facts are in our environment."""
    url = f"{os.environ['HAVEN_SANDBOX_CONTROL_URL']}/{verb}"
    # On this machine: whatever proxy it has is not asked.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, json.dumps(asked).encode(), timeout=20) as answer:
        answer.read()
