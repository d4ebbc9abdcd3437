# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said while packages are installed, from the output of uv 0.9 and pip 25 without a terminal."""

from __future__ import annotations

import sys

from ansible_collections.haven.gpu.plugins.module_utils._venvs.installers import Downloads
from ansible_collections.haven.gpu.plugins.module_utils._venvs.process import run_heard

UV = """\
Using Python 3.11.7 environment at: v
Resolved 45 packages in 218ms
Downloading numpy (16.1MiB)
Downloading torch (731.2MiB)
 Downloaded numpy
 Downloaded torch
Prepared 45 packages in 302ms
Installed 45 packages in 54ms
 + numpy==2.4.6
"""
PIP = """\
Collecting numpy
  Downloading numpy-2.4.6-cp311-cp311-manylinux_2_28_x86_64.whl (16.7 MB)
Collecting idna
  Downloading https://example.org/idna-3.11-py3-none-any.whl
Installing collected packages: numpy, idna
"""


def heard(text: str) -> list[str]:
    downloads = Downloads()
    return [downloads.after(line) for line in text.splitlines()]


def test_of_uv_the_large_files_under_way_are_named() -> None:
    assert heard(UV) == [
        "",
        ", resolved 45",
        ", resolved 45, downloads numpy (16.1MiB)",
        ", resolved 45, downloads numpy (16.1MiB), torch (731.2MiB)",
        ", resolved 45, downloads torch (731.2MiB)",
        ", resolved 45",
        ", prepared 45",
        ", prepared 45",
        ", prepared 45",
    ]


def test_of_pip_the_file_under_way_is_named() -> None:
    assert heard(PIP) == [
        "",
        ", downloads numpy-2.4.6-cp311-cp311-manylinux_2_28_x86_64.whl (16.7 MB)",
        ", downloads numpy-2.4.6-cp311-cp311-manylinux_2_28_x86_64.whl (16.7 MB)",
        ", downloads idna-3.11-py3-none-any.whl",
        "",
    ]


def test_each_line_is_heard_and_kept() -> None:
    lines: list[str] = []
    script = "import sys; print('one', flush=True); print('error: two', file=sys.stderr); sys.exit(3)"
    done = run_heard([sys.executable, "-c", script], lines.append)
    assert lines == ["one", "error: two"]
    assert (done.returncode, done.stderr) == (3, "one\nerror: two\n")
