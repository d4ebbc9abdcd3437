# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""tests/gpu/run on a machine made of files, with stand-ins for the driver's libraries."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[3]
DRIVER = "535.104.05"
KERNEL = "6.1.0-18-cloud-amd64"
STUBS = {"libnvidia-ml.so": "nvml_stub.c", "libcuda.so": "cuda_stub.c"}
COMPILER = shutil.which("cc") or shutil.which("gcc")
ROUTES = "Iface\tDestination\tGateway\n"

pytestmark = pytest.mark.skipif(COMPILER is None, reason="no C compiler to build the stand-ins with")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("libraries")
    for name, source in STUBS.items():
        path = REPOSITORY / "molecule/cuda/files" / source
        built = folder / f"{name}.1"
        subprocess.run([str(COMPILER), "-shared", "-fPIC", f"-Wl,-soname,{name}.1", "-o", built, path], check=True)
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A machine with one GPU and no network."""
    files = {
        "proc/sys/kernel/osrelease": KERNEL,
        "proc/net/route": ROUTES,
        "proc/net/ipv6_route": f"{'0' * 32} 00 {'0' * 32} 00 {'0' * 32} ffffffff 1 0 200200 lo\n",
        "sys/module/nvidia/version": DRIVER,
        "sys/bus/pci/devices/0000:00:00.0/vendor": "0x10de",
        "sys/bus/pci/devices/0000:00:00.0/class": "0x030200",
    }
    for path, text in files.items():
        (tmp_path / "root" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "root" / path).write_text(text)
    for name in ("dev", "lib", "opt", "run"):
        (tmp_path / "root" / name).mkdir()
    for node in ("nvidiactl", "nvidia-uvm", "nvidia0"):
        (tmp_path / "root/dev" / node).symlink_to("/dev/null")
    return tmp_path / "root"


def run(root: Path, library: Path, *arguments: str, **environment: str) -> tuple[dict[str, Any], int, str]:
    """The result, the exit status, and what was printed meanwhile."""
    ran = subprocess.run(
        [REPOSITORY / "tests/gpu/run", "--root", root, *arguments],
        env={
            **os.environ,
            "PYTHON": sys.executable,
            "LD_LIBRARY_PATH": str(library),
            "NVML_STUB_LOAD": str(root / "load"),
            **environment,
        },
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    return json.loads(ran.stdout) if ran.stdout else {}, ran.returncode, ran.stderr


def failed(result: dict[str, Any]) -> list[str]:
    return [name for name, case in result["cases"].items() if not case["passed"]]


def test_a_healthy_machine_passes_and_its_result_says_what_it_is(root: Path, library: Path) -> None:
    result, status, said = run(root, library)
    assert (status, failed(result)) == (0, [])
    assert result["gpus"] == [{"model": "NVIDIA Stub", "count": 1}]
    assert (result["driver"], result["kernel"], result["network"]) == (DRIVER, KERNEL, False)
    used = next(case for name, case in result["cases"].items() if name.startswith("utilization"))
    assert used["our_process_is_listed_by_its_number"]
    assert (used["most"]["utilization_percent"], used["after"]["processes"]) == (87, 0)
    assert len(result["cases"]["how long the check takes"]["seconds"]) == 5
    assert not re.search(rf"\b{re.escape(socket.gethostname())}\b", json.dumps(result))
    assert said.count("passed  ") == len(result["cases"])


def test_what_is_not_as_expected_fails_with_its_case(root: Path, library: Path, tmp_path: Path) -> None:
    (root / "proc/net/route").write_text(f"{ROUTES}eth0\t00000000\t0100000A\n")
    output = tmp_path / "evidence" / "result.json"
    # Nobody sees the program that computes, and CUDA does not start.
    nothing, status, said = run(root, library, "--output", str(output), CUSTUB_INIT="802", NVML_STUB_LOAD="/nowhere/x")
    result = json.loads(output.read_text())
    assert (nothing, status, result["passed"], result["network"]) == ({}, 1, False, True)
    assert {name.split(",")[0] for name in failed(result)} >= {"the check finds nothing wrong", "utilization"}
    assert result["cases"]["one GPU more than there are is too few"]["passed"]
    assert "FAILED  the check finds nothing wrong" in said


@pytest.mark.long
def test_a_wheel_in_a_folder_is_enough(root: Path, library: Path, tmp_path: Path) -> None:
    distribution = importlib.metadata.distribution("nvidia-ml-py")
    with zipfile.ZipFile(tmp_path / "nvidia_ml_py-1-py3-none-any.whl", "w") as wheel:
        for file in distribution.files or []:
            if file.suffix == ".py" or file.name == "METADATA":
                wheel.write(str(distribution.locate_file(file)), str(file))
    # An interpreter that has the standard library only.
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "alone"], check=True)
    alone = tmp_path / "alone/bin/python"
    assert "binding_missing" in str(run(root, library, PYTHON=str(alone))[0])
    assert run(root, library, "--wheels", str(tmp_path), PYTHON=str(alone))[1] == 0
