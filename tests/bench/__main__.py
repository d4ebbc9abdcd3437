# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""python -m tests.bench [--cloud ec2|openstack|connections|all] [--quick] [--only inventory] [--output build/bench]"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.sandbox.errors import UnsuitableMachineError

from . import cloud, connections, openstack_rows, report, rows

# A table, the cloud it is measured on, and its rows; the last is about ssh, and needs a sandbox with guests.
CLOUDS: dict[str, tuple[report.Table, Any, Any]] = {
    "ec2": (report.EC2, cloud.ec2, rows.Bench),
    "openstack": (report.OPENSTACK, cloud.openstack, openstack_rows.Bench),
    "connections": (report.CONNECTIONS, connections.machines, connections.Bench),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions and fewer machines")
    parser.add_argument("--output", type=Path, default=cloud.ROOT / "build" / "bench", help="where the tables go")
    parser.add_argument("--cloud", choices=(*CLOUDS, "all"), default="all", help="which tables (all)")
    parser.add_argument(
        "--only", help="one part of the rows: floor, one, twenty, inventory, shortcuts, and on ec2 stack, capacity"
    )
    options = parser.parse_args()
    # As an error, which takes the clouds down.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    for name in CLOUDS if options.cloud == "all" else [options.cloud]:
        try:
            _measure(name, options)
        except UnsuitableMachineError as error:
            print(f"{name}: not measured. {error}\n")
    return 0


def _measure(name: str, options: argparse.Namespace) -> None:
    began = time.monotonic()
    table, start, bench = CLOUDS[name]
    found = []
    with tempfile.TemporaryDirectory(prefix="haven-bench-") as folder, start(Path(folder)) as running:
        print(f"{table.legend}\n{table.head}\n{report.RULE}", flush=True)
        for row in bench(running, quick=options.quick, only=options.only).rows():
            print(report.line(row), flush=True)
            found.append(row)
            # At once: whoever ends this early has what was measured by then.
            file = report.write(found, table, options.output)
    print(f"\n{file} and {file.with_suffix('.json').name}, in {time.monotonic() - began:.0f} s\n")


if __name__ == "__main__":
    sys.exit(main())
