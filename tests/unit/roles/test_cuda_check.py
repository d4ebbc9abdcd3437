# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every reason of cuda-check, produced by a tree of files and a libnvidia-ml.so.1 compiled here.

Longer than 500 lines, because each reason has its machine.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[3]
SCRIPT = REPOSITORY / "roles/cuda/files/cuda_check.py"
STUBS = {
    "libnvidia-ml.so": REPOSITORY / "molecule/cuda/files/nvml_stub.c",
    "libcuda.so": REPOSITORY / "molecule/cuda/files/cuda_stub.c",
}
KERNEL = "6.1.0-18-cloud-amd64"
DRIVER = "535.104.05"
COMPILER = shutil.which("cc") or shutil.which("gcc")

needs_nvml = pytest.mark.skipif(COMPILER is None, reason="no C compiler to build the stub of libnvidia-ml with")


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the stubs, named as the real libraries are: version in the file name, soname as a link."""
    folder = tmp_path_factory.mktemp("nvml")
    assert COMPILER
    for name, source in STUBS.items():
        built = folder / f"{name}.{DRIVER}"
        subprocess.run([COMPILER, "-shared", "-fPIC", f"-Wl,-soname,{name}.1", "-o", built, source], check=True)
        (folder / f"{name}.1").symlink_to(built.name)
    return folder


@dataclass
class Box:
    """A machine made of files, healthy until a test breaks it."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")

    def remove(self, path: str) -> None:
        target = self.root / path
        if target.is_dir():
            shutil.rmtree(target)
        else:
            target.unlink()

    def pci(self, count: int) -> None:
        for slot in range(count):
            self.write(f"sys/bus/pci/devices/0000:00:{slot:02x}.0/vendor", "0x10de")
            self.write(f"sys/bus/pci/devices/0000:00:{slot:02x}.0/class", "0x030200")

    def node(self, path: str) -> None:
        # What makes a device node is its type; making a real one takes root.
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).symlink_to("/dev/null")

    def run(self, *arguments: str, python: tuple[str, ...] = (sys.executable,)) -> subprocess.CompletedProcess[str]:
        command = [*python, str(SCRIPT), "--root", str(self.root), *arguments]
        environment = {**os.environ, **self.environment}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)

    def report(self, *arguments: str, status: int) -> dict[str, Any]:
        ran = self.run("--json", *arguments)
        assert ran.returncode == status, ran
        report: dict[str, Any] = json.loads(ran.stdout)
        assert report["ok"] is (status == 0)
        return report

    def reasons(self, *arguments: str) -> list[str]:
        report = self.report(*arguments, status=1)
        for problem in report["problems"]:
            assert problem["message"] in report["summary"]
            assert problem["advice"] in report["summary"]
        return [problem["reason"] for problem in report["problems"]]


@pytest.fixture
def box() -> Iterator[Box]:
    """A machine with one GPU whose driver is loaded. It lies where another user can read: the framework runs as one."""
    with tempfile.TemporaryDirectory(prefix="haven-cuda-") as folder:
        machine = Box(Path(folder))
        machine.root.chmod(0o755)
        machine.write("proc/sys/kernel/osrelease", KERNEL)
        machine.write(f"lib/modules/{KERNEL}/updates/dkms/nvidia.ko.xz", "")
        machine.write("sys/module/nvidia/version", DRIVER)
        machine.pci(1)
        (machine.root / "run").mkdir()
        for node in ("nvidiactl", "nvidia-uvm", "nvidia0"):
            machine.node(f"dev/{node}")
        yield machine


@pytest.fixture
def gpu_box(box: Box, library: Path) -> Box:
    """The same with the driver's library."""
    box.environment["LD_LIBRARY_PATH"] = str(library)
    return box


def test_a_machine_where_no_gpu_is_expected_is_fine_and_says_so(box: Box) -> None:
    box.remove("sys")
    report = box.report("--none-expected", status=0)
    assert report["required"] is False
    assert report["summary"] == "No GPU expected, so nothing was checked."


def test_where_the_cloud_does_not_know_the_machine_decides_what_is_expected(box: Box) -> None:
    box.remove("sys/module")
    box.remove("lib")
    assert box.reasons("--if-present") == ["driver_missing"]
    box.remove("sys")
    report = box.report("--if-present", status=0)
    assert report["required"] is False
    assert "PCI bus" in report["summary"]


def test_a_machine_without_gpu_and_driver_hears_of_both(box: Box) -> None:
    box.remove("sys")
    box.remove("lib")
    assert box.reasons() == ["no_gpu", "driver_missing"]


def test_an_image_without_driver_is_told_what_to_use_instead(box: Box) -> None:
    box.remove("sys/module")
    box.remove("lib")
    assert box.reasons() == ["driver_missing"]
    assert "Deep Learning Base GPU AMI" in box.run().stdout
    assert "ubuntu-24.04-cuda-*" in box.run().stdout


def test_other_pci_devices_are_no_gpus(box: Box) -> None:
    box.remove("sys/module")
    box.write("sys/bus/pci/devices/0000:00:00.0/class", "0x040300")  # the sound function of a graphics card
    box.write("sys/bus/pci/devices/0000:00:1f.0/vendor", "0x1d0f")
    box.write("sys/bus/pci/devices/0000:00:1f.0/class", "0x030000")
    assert box.reasons() == ["no_gpu", "driver_not_loaded"]


def test_a_driver_built_for_another_kernel_names_both_kernels(box: Box) -> None:
    box.remove("sys/module")
    box.write("proc/sys/kernel/osrelease", "6.1.0-20-cloud-amd64")
    assert box.reasons() == ["driver_for_other_kernel"]
    assert f"built for kernel {KERNEL}, but 6.1.0-20-cloud-amd64 is running" in box.run().stdout


def test_a_driver_that_is_installed_may_not_be_loaded(box: Box) -> None:
    box.remove("sys/module")
    assert box.reasons() == ["driver_not_loaded"]


def test_nouveau_is_named_when_it_holds_the_gpu(box: Box) -> None:
    box.remove("sys/module")
    box.write("sys/module/nouveau/initstate", "live")
    assert box.reasons() == ["nouveau_in_the_way"]


def test_each_missing_device_node_is_named(box: Box) -> None:
    box.remove("dev/nvidia-uvm")
    box.remove("dev/nvidiactl")
    box.write("dev/nvidiactl", "a file is no device")
    assert box.reasons() == ["device_node_missing", "device_node_missing"]
    said = box.run().stdout
    assert "/dev/nvidia-uvm" in said
    assert "/dev/nvidiactl" in said


def test_a_missing_binding_says_to_run_the_role_again(box: Box) -> None:
    ran = box.run("--json", python=(sys.executable, "-I", "-S"))  # the standard library only
    assert [problem["reason"] for problem in json.loads(ran.stdout)["problems"]] == ["binding_missing"]


def test_the_binding_is_found_in_the_environment_that_the_role_makes(box: Box) -> None:
    source = "class NVMLError(Exception):\n    value = 15\ndef nvmlInit():\n    raise NVMLError('from there')\n"
    box.write("opt/haven/cuda/lib/python3.9/site-packages/pynvml.py", source)
    ran = box.run(python=(sys.executable, "-I", "-S"))
    assert "from there" in ran.stdout


def test_a_driver_without_its_library_says_which_version_is_wanted(box: Box) -> None:
    # A file that is no library, so that a controller with a GPU of its own answers the same.
    box.write("lib/libnvidia-ml.so.1", "")
    box.environment["LD_LIBRARY_PATH"] = str(box.root / "lib")
    assert box.reasons() == ["library_missing"]
    assert DRIVER in box.run().stdout


@needs_nvml
def test_a_healthy_machine_describes_its_gpu(gpu_box: Box) -> None:
    report = gpu_box.report(status=0)
    assert report["problems"] == []
    assert report["binding"] == importlib.metadata.version("nvidia-ml-py")
    assert (report["driver"], report["library"], report["cuda"]) == (DRIVER, DRIVER, "12.2")
    uuid = "GPU-00000000-0000-0000-0000-000000000000"
    assert report["gpus"] == [
        {"index": 0, "name": "NVIDIA Stub", "uuid": uuid, "memory_gib": 40.0, "node": "/dev/nvidia0"}
    ]
    assert gpu_box.run().stdout == f"1 GPU (NVIDIA Stub), driver {DRIVER}, CUDA 12.2.\n"


@needs_nvml
@pytest.mark.parametrize(
    "line",
    [
        f"NVRM version: NVIDIA UNIX x86_64 Kernel Module  {DRIVER}  Sat Aug 19 01:15:15 UTC 2023",
        f"NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {DRIVER}  Release Build  (dvs-builder@U22)",
    ],
    ids=["proprietary", "open"],
)
def test_a_container_knows_the_driver_from_proc(gpu_box: Box, line: str) -> None:
    gpu_box.remove("sys/module")
    gpu_box.write("proc/driver/nvidia/version", f"{line}\nGCC version:  gcc version 12.2.0 (Debian 12.2.0-14)")
    assert gpu_box.report(status=0)["driver"] == DRIVER


@needs_nvml
def test_a_library_of_another_version_than_the_loaded_driver_names_both(gpu_box: Box) -> None:
    gpu_box.write("sys/module/nvidia/version", "525.60.13")
    gpu_box.environment["NVML_STUB_INIT"] = "18"
    assert gpu_box.reasons() == ["version_mismatch"]
    assert f"version 525.60.13, its library is version {DRIVER}" in gpu_box.run().stdout


@needs_nvml
@pytest.mark.parametrize(
    ("error", "reason"),
    [("9", "driver_not_answering"), ("15", "gpu_lost"), ("999", "nvml_error"), ("4", "nvml_error")],
)
def test_a_failing_start_of_nvml_has_its_reason(gpu_box: Box, error: str, reason: str) -> None:
    gpu_box.environment["NVML_STUB_INIT"] = error
    assert gpu_box.reasons() == [reason]


@needs_nvml
@pytest.mark.parametrize("error", ["15", "16", "28"])
def test_a_gpu_that_fell_off_the_bus_is_named_beside_those_that_work(gpu_box: Box, error: str) -> None:
    gpu_box.environment |= {"NVML_STUB_COUNT": "3", "NVML_STUB_BROKEN": "1", "NVML_STUB_ERROR": error}
    report = gpu_box.report(status=1)
    assert [problem["reason"] for problem in report["problems"]] == ["gpu_lost"]
    assert "GPU 1" in report["summary"]
    assert [gpu["index"] for gpu in report["gpus"]] == [0, 2]


@needs_nvml
def test_fewer_gpus_than_expected_are_too_few_and_more_are_fine(gpu_box: Box) -> None:
    gpu_box.environment["NVML_STUB_COUNT"] = "2"
    gpu_box.node("dev/nvidia1")
    gpu_box.pci(4)
    assert gpu_box.reasons("--gpus", "3") == ["too_few_gpus"]
    assert "2 GPU (4 on the PCI bus), but 3 are expected" in gpu_box.run("--gpus", "3").stdout
    assert len(gpu_box.report("--gpus", "1", status=0)["gpus"]) == 2


@needs_nvml
def test_no_gpu_at_all_is_too_few(gpu_box: Box) -> None:
    gpu_box.environment["NVML_STUB_COUNT"] = "0"
    assert gpu_box.reasons() == ["too_few_gpus"]


@needs_nvml
def test_a_gpu_without_its_device_node_is_named(gpu_box: Box) -> None:
    gpu_box.environment["NVML_STUB_COUNT"] = "2"
    assert gpu_box.reasons() == ["device_node_missing"]
    assert "/dev/nvidia1" in gpu_box.run().stdout


@needs_nvml
@pytest.mark.parametrize(
    ("result", "reason", "said"),
    [
        ("802", "fabric_manager", f"a running fabric manager of version {DRIVER}"),
        ("803", "version_mismatch", "libcuda.so.1 is another"),
        ("804", "compat_library", "cuda-compat"),
        ("34", "library_missing", "the toolkit's stub"),
        ("100", "no_usable_gpu", "The driver sees 1 GPU, but CUDA can use none"),
        ("999", "cuda_error", "cuInit: 999"),
        ("-1", "cuda_error", "ends with status -6"),
    ],
)
def test_where_nvml_is_content_cuda_may_still_not_start(gpu_box: Box, result: str, reason: str, said: str) -> None:
    gpu_box.environment["CUSTUB_INIT"] = result
    assert gpu_box.reasons() == [reason]
    assert said in gpu_box.run().stdout


@needs_nvml
def test_cuda_that_never_starts_is_not_waited_for_for_ever(gpu_box: Box) -> None:
    gpu_box.environment["CUSTUB_INIT"] = "-2"
    hasty = "import runpy, sys; sys.argv[:] = sys.argv[1:]; m = runpy.run_path(sys.argv[0]); "
    hasty += "m['check_cuda'].__globals__['CUDA_TIMEOUT_S'] = 0.5; sys.exit(m['main'](sys.argv[1:]))"
    assert "has not returned after 0.5 s" in gpu_box.run(python=(sys.executable, "-c", hasty)).stdout


@needs_nvml
def test_cuda_without_a_device_is_of_no_use(gpu_box: Box) -> None:
    gpu_box.environment["CUSTUB_COUNT"] = "0"
    assert gpu_box.reasons() == ["no_usable_gpu"]


@needs_nvml
def test_what_a_shell_hides_from_cuda_is_not_hidden_from_the_check(gpu_box: Box) -> None:
    gpu_box.environment["CUDA_VISIBLE_DEVICES"] = ""
    assert gpu_box.report(status=0)["cuda_devices"] == 1


@needs_nvml
def test_a_driver_without_cudas_library_says_so(gpu_box: Box, library: Path, tmp_path: Path) -> None:
    shutil.copytree(library, tmp_path / "nvml", symlinks=True)
    # A file that is no library, so that a controller with a GPU of its own answers the same.
    (tmp_path / "nvml/libcuda.so.1").unlink()
    (tmp_path / "nvml/libcuda.so.1").write_text("")
    gpu_box.environment["LD_LIBRARY_PATH"] = str(tmp_path / "nvml")
    assert gpu_box.reasons() == ["library_missing"]
    assert "libcuda.so.1" in gpu_box.run().stdout


def vgpu_config(*records: bytes, mark: bytes = b"VF") -> bytes:
    """The configuration space of a device whose second capability is the vendor's own."""
    config = bytearray(256)
    config[0x06], config[0x34] = 0x10, 0x60
    config[0x60:0x62] = bytes([0x05, 0x80])
    capability = mark + b"".join(records)
    config[0x80 : 0x83 + len(capability)] = bytes([0x09, 0, 3 + len(capability)]) + capability
    return bytes(config)


HOST = bytes([0, 22]) + b"550.90.05\0r550_00\0\0\0"
OTHER_RECORD = bytes([7, 4, 1, 2])
VGPU = vgpu_config(OTHER_RECORD, HOST)


def make_virtual(box: Box, config: bytes) -> None:
    (box.root / "sys/bus/pci/devices/0000:00:00.0/config").write_bytes(config)


def test_a_vgpu_without_any_driver_is_told_which_driver_it_needs(box: Box) -> None:
    make_virtual(box, VGPU)
    box.remove("sys/module")
    assert box.reasons() == ["vgpu_driver"]
    said = box.run().stdout
    assert "driver 550.90.05, branch r550_00 on the host" in said
    assert "licence" in said
    box.remove("lib")
    assert box.reasons() == ["vgpu_driver"]


@needs_nvml
@pytest.mark.parametrize("setting", [("NVML_STUB_INIT", "9"), ("NVML_STUB_COUNT", "0"), ("NVML_STUB_INIT", "999")])
def test_a_vgpu_with_the_driver_of_whole_gpus_is_told_so(gpu_box: Box, setting: tuple[str, str]) -> None:
    make_virtual(gpu_box, VGPU)
    gpu_box.environment[setting[0]] = setting[1]
    assert gpu_box.reasons() == ["vgpu_driver"]
    assert f"driver {DRIVER} does not drive it" in gpu_box.run().stdout


@needs_nvml
def test_a_vgpu_that_works_is_fine_and_one_that_fails_later_has_that_reason(gpu_box: Box) -> None:
    make_virtual(gpu_box, VGPU)
    assert gpu_box.report(status=0)["vgpu"] == {"driver": "550.90.05", "branch": "r550_00"}
    gpu_box.environment["CUSTUB_INIT"] = "999"
    assert gpu_box.reasons() == ["cuda_error"]


@pytest.mark.parametrize(
    ("config", "found"),
    [
        (vgpu_config(), {"driver": "", "branch": ""}),
        (vgpu_config(bytes([7, 0, 1, 2])), {"driver": "", "branch": ""}),  # a length that leads nowhere
        (vgpu_config(bytes([0, 22]) + b"\x1b[2J{{ x }}" + b"\xff" * 10), {"driver": "2Jx", "branch": ""}),
        (vgpu_config(HOST, mark=b"XX"), None),
        (VGPU[:64], None),  # all that a process without the rights of root gets
        (VGPU[:0x82], None),
        (bytes(256), None),
        (b"", None),
    ],
    ids=range(8),
)
def test_a_vgpu_is_known_by_its_capability(box: Box, config: bytes, found: dict[str, str] | None) -> None:
    make_virtual(box, config)
    box.remove("sys/module")
    assert box.report(status=1)["vgpu"] == found


def test_what_only_root_can_read_is_noted_for_the_check(box: Box) -> None:
    make_virtual(box, VGPU)
    box.pci(1)
    assert box.run("--prepare").returncode == 0
    make_virtual(box, VGPU[:64])
    box.remove("sys/module")
    assert box.reasons() == ["vgpu_driver"]


@pytest.fixture
def cuda_check() -> Any:
    spec = importlib.util.spec_from_file_location("cuda_check", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["cuda_check"] = module  # dataclasses look for it there
    spec.loader.exec_module(module)
    return module


def test_the_nodes_are_those_that_the_driver_says(box: Box, cuda_check: Any) -> None:
    box.write(
        "proc/devices", "Character devices:\n  1 mem\n195 nvidia\n195 nvidiactl\n508 nvidia-uvm\n\nBlock devices:\n"
    )
    box.write("proc/driver/nvidia/gpus/0000:00:1e.0/information", "Model: \t\t Stub\nDevice Minor: \t 3")
    machine = cuda_check.Machine(box.root)
    assert machine.missing_nodes() == [("dev/nvidia-uvm-tools", 508, 1), ("dev/nvidia3", 195, 3)]
    for node in ("nvidiactl", "nvidia-uvm"):
        box.remove(f"dev/{node}")
    assert {("dev/nvidiactl", 195, 255), ("dev/nvidia-uvm", 508, 0)} < set(machine.missing_nodes())
    # Without a driver there is nothing to make.
    box.remove("proc/devices")
    box.remove("sys/module")
    assert machine.missing_nodes() == []


@needs_nvml
def test_a_check_can_be_asked_for_again(gpu_box: Box) -> None:
    record = gpu_box.root / "run/haven/cuda-check.json"
    again = ("--again", str(record))
    assert gpu_box.run(*again).returncode == 2
    gpu_box.report("--gpus", "2", "--output", str(record), status=1)
    assert gpu_box.reasons(*again) == ["too_few_gpus"]
    gpu_box.report("--output", str(record), status=0)
    gpu_box.environment["NVML_STUB_INIT"] = "18"  # an update under the loaded module
    assert gpu_box.reasons(*again) == ["version_mismatch"]
    assert json.loads(record.read_text())["ok"]
    gpu_box.report("--none-expected", "--output", str(record), status=0)
    assert gpu_box.report(*again, status=0)["required"] is False


TORCH = """
__version__ = "2.4.0+cu121"
class Square:
    def __matmul__(self, other): return self
    def sum(self): return {total}
def ones(rows, columns, device):
    assert (rows, columns) == (64, 64) and device.startswith("cuda:")
    return Square()
class cuda:
    @staticmethod
    def device_count(): return {count}
"""
JAX = """
__version__ = "0.4.30"
class numpy:
    @staticmethod
    def ones(shape): return Square()
class Square:
    def __matmul__(self, other): return self
    def sum(self): return 262144
def devices(kind):
    assert kind == "gpu"
    return ["gpu 0"]
def device_put(value, gpu): return value
"""
TENSORFLOW = """
import contextlib
__version__ = "2.17.0"
soft = True
class config:
    @staticmethod
    def set_soft_device_placement(value):
        global soft
        soft = value
    @staticmethod
    def list_physical_devices(kind): return ["gpu 0"]
class Square:
    def __matmul__(self, other): return self
def ones(shape): return Square()
def reduce_sum(square):
    assert not soft
    return 262144
device = contextlib.nullcontext
"""


@pytest.fixture
def environment(gpu_box: Box) -> Path:
    """The interpreter of an empty virtual environment on that machine, which any user can run."""
    folder = gpu_box.root / "env"
    subprocess.run(["/usr/bin/python3", "-m", "venv", "--without-pip", folder], check=True)
    return folder / "bin/python"


def install(python: Path, name: str, source: str) -> None:
    (next(python.parents[1].glob("lib/python3*/site-packages")) / f"{name}.py").write_text(source)


@needs_nvml
@pytest.mark.parametrize(
    ("name", "source", "version"),
    [
        ("torch", TORCH.format(count=1, total=262144), "2.4.0+cu121"),
        ("jax", JAX, "0.4.30"),
        ("tensorflow", TENSORFLOW, "2.17.0"),
    ],
)
def test_a_framework_that_computes_is_recorded(
    gpu_box: Box, environment: Path, name: str, source: str, version: str
) -> None:
    install(environment, name, source)
    report = gpu_box.report("--framework-python", str(environment), status=0)
    assert report["framework"] == {"name": name, "version": version, "gpus": 1}
    assert f"{name} computes" in report["summary"]


@needs_nvml
@pytest.mark.parametrize(
    ("source", "said"),
    [
        (TORCH.format(count=0, total=262144), "it sees no GPU"),
        (TORCH.format(count=1, total=0), "it computes [0.0] instead of 262144"),
        ("raise OSError('libcudart.so.12: cannot open shared object file')", "libcudart.so.12"),
        ("import os; os._exit(3)", "exit status 3"),
        ("import os; os._exit(0)", "exit status 0"),
    ],
    ids=["no-gpu", "wrong-sum", "broken-import", "crash", "silent-end"],
)
def test_a_framework_that_cannot_compute_says_why(gpu_box: Box, environment: Path, source: str, said: str) -> None:
    install(environment, "torch", source)
    assert gpu_box.reasons("--framework-python", str(environment)) == ["framework_cannot_compute"]
    assert said in gpu_box.run("--framework-python", str(environment)).stdout


@needs_nvml
def test_an_environment_without_framework_or_none_at_all_is_no_problem(gpu_box: Box, environment: Path) -> None:
    assert gpu_box.report("--framework-python", str(environment), status=0)["framework"] is None
    assert gpu_box.report("--framework-python", "/nowhere/bin/python", status=0)["framework"] is None


@needs_nvml
def test_an_interpreter_that_does_not_run_is_a_problem(gpu_box: Box) -> None:
    gpu_box.write("broken-python", "no program")
    broken = str(gpu_box.root / "broken-python")
    assert gpu_box.reasons("--framework-python", broken) == ["framework_cannot_compute"]


@needs_nvml
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run it as somebody else")
def test_a_framework_never_runs_as_root(gpu_box: Box, environment: Path) -> None:
    install(environment, "torch", "import os; raise RuntimeError(f'user {os.getuid()} {os.getgroups()}')")
    said = gpu_box.run("--framework-python", str(environment)).stdout
    assert "user 65534 [65534]" in said
    said = gpu_box.run("--framework-python", str(environment), "--framework-user", "nosuchuser").stdout
    assert "cannot be run as nosuchuser" in said


def test_the_record_is_replaced_whole_and_readable_for_everybody(box: Box) -> None:
    record = box.root / "run/haven/cuda-check.json"
    box.write("run/haven/cuda-check.json", "older, and longer than nothing\n" * 100)
    old_umask = os.umask(0o077)
    try:
        printed = box.report("--none-expected", "--output", str(record), status=0)
    finally:
        os.umask(old_umask)
    assert json.loads(record.read_text()) == printed
    assert record.stat().st_mode & 0o777 == 0o644
    assert sorted(file.name for file in record.parent.iterdir()) == ["cuda-check.json"]


def test_wrong_use_ends_with_status_two(box: Box) -> None:
    assert box.run("--gpus", "many").returncode == 2
