# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m tests.sandbox.openstack.serve SERVICE --dir STATE --port N`: one service, in the services' environment."""

from __future__ import annotations

import argparse
import gc
import os
import signal
import sys
import traceback
from pathlib import Path

from ..control import Verbs
from ..http_server import Server
from . import applications, sqlite
from .front import AccessLog, Front
from .layout import SERVICES, Layout


def serve(service: str, layout: Layout, port: int) -> None:
    """Answer until the process ends; the port is opened when the service is ready."""
    sqlite.tune()
    # A service loads thousands of modules that all stay: looking for garbage among them takes a quarter of its start.
    gc.disable()
    application = applications.load(service, layout)
    applications.load_policy(service)
    gc.freeze()
    gc.enable()
    Server(port).serve(Front(service, application, AccessLog(layout.access_log), _verbs(service, layout)))


def _verbs(service: str, layout: Layout) -> Verbs:
    if service != "keystone":
        return {}
    from .tokens import Tokens

    return Tokens(layout.fernet_keys).verbs


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("service", choices=SERVICES)
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    # The services' threads outlive an end in order; nothing here needs one.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    try:
        serve(options.service, Layout(options.dir), options.port)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)


if __name__ == "__main__":
    main()
