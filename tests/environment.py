"""The facts of a running sandbox, as `. build/sandbox/env` would give them to a shell."""

from __future__ import annotations

import os
import pathlib
import subprocess


def source(env: pathlib.Path) -> None:
    """Take a sandbox's `export NAME='value'` lines into our own environment."""
    shell = ["bash", "-c", '. "$1" && env -0', "bash", str(env)]
    for item in subprocess.run(shell, stdout=subprocess.PIPE, check=True).stdout.decode().split("\0"):
        name, dummy, value = item.partition("=")
        if name.startswith(("HAVEN_", "AWS_", "OS_")):
            os.environ[name] = value
