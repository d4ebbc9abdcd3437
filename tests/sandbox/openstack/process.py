# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Services of one's own without guests, for as long as a test or a bench needs them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..paths import openstack_cache, repository
from . import environment, template

READY_WITHIN_S = 240.0


@contextmanager
def serving(folder: Path) -> Iterator[dict[str, str]]:
    """Run the services, their files in `folder`; yields the variables their clients need.

    What they are made from is kept in the cache. Raises RuntimeError, with what was said, when they do not get ready.
    """
    cache, facts, clouds, output = openstack_cache(), folder / "facts", folder / "clouds.yaml", folder / "output"
    environment.install_missing(cache, print)
    template.prepare_missing(cache, print)
    clouds.touch(mode=0o600)
    # The services end with the server, and the server with us.
    command = ["setpriv", "--pdeathsig", "TERM", sys.executable, "-m", "tests.sandbox.openstack.server", "--no-guests"]
    command += ["--dir", str(folder), "--clouds-file", str(clouds), "--facts", str(facts)]
    command += ["--template", str(template.folder(cache)), "--environment", str(environment.folder(cache))]
    with output.open("w") as said:
        server = subprocess.Popen(command, cwd=repository(), stdout=said, stderr=said)
    try:
        deadline = time.monotonic() + READY_WITHIN_S
        while not facts.exists():
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"OpenStack's services do not start: {output.read_text()}")
            time.sleep(0.1)
        yield json.loads(facts.read_text(encoding="utf-8"))
    finally:
        server.terminate()
        server.wait(timeout=20)
