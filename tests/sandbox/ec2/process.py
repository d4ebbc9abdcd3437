# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server of one's own, for as long as a test or a bench needs it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
# Three times what it takes on a busy machine.
READY_WITHIN_S = 60.0


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[dict[str, str]]:
    """Run the server without guests, its files in `folder`; yields the variables its clients need.

    Raises RuntimeError when it does not get ready.
    """
    port_file, facts = folder / "port", folder / "facts.json"
    command = [
        sys.executable,
        "-m",
        "tests.sandbox.ec2.server",
        "--no-guests",
        f"--dir={folder}",
        f"--port-file={port_file}",
        f"--facts={facts}",
        f"--log={folder / 'ec2.log'}",
        *options,
    ]
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        end = time.monotonic() + READY_WITHIN_S
        while not port_file.exists():
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"The EC2 server in {folder} did not get ready: see its messages above.")
            time.sleep(0.02)
        yield json.loads(facts.read_text(encoding="utf-8"))
    finally:
        process.terminate()
        process.wait(10)
