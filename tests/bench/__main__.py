# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""python -m tests.bench [--quick] [--output build/bench]"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from . import report
from .cloud import ROOT, started
from .rows import Bench


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions and fewer machines")
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "bench", help="where the tables go")
    options = parser.parse_args()
    began = time.monotonic()
    rows = []
    with tempfile.TemporaryDirectory(prefix="haven-bench-") as folder, started(Path(folder)) as cloud:
        print(f"{report.LEGEND}\n{report.HEAD}\n{report.RULE}", flush=True)
        for row in Bench(cloud, quick=options.quick).rows():
            print(report.line(row), flush=True)
            rows.append(row)
    table = report.write(rows, options.output)
    print(f"\n{table} and {table.with_suffix('.json').name}, in {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
