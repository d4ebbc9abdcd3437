#!/usr/bin/python3
# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Say whether CUDA programs can work on this machine and, where not, why and what to do.

Looks from the bottom up: kernel module, device nodes, NVML (the driver's management library), framework.
Everything that is wrong on the first level with a problem is told; the levels above it cannot be judged.
Exit status: 0 fine or no GPU expected, 1 at least one problem, 2 wrong use. Runs on Python 3.9 and later.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import importlib.metadata
import importlib.util
import json
import os
import pwd
import re
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, Optional

NVIDIA_PCI_VENDOR = "0x10de"
DISPLAY_PCI_CLASS = "0x03"
# Values of nvmlReturn_t (nvml.h)
NVML_DRIVER_NOT_LOADED = 9
NVML_LIBRARY_NOT_FOUND = 12
NVML_GPU_IS_LOST, NVML_RESET_REQUIRED, NVML_GPU_NOT_FOUND = 15, 16, 28
NVML_VERSION_MISMATCH = 18
FRAMEWORK_TIMEOUT_S = 120
SIDE = 64  # of the square of ones that a framework multiplies with itself: the sum is SIDE ** 3, exactly
ANSWER = "haven-framework: "

# What to do, by reason. Every Problem's reason is a key.
ADVICE = {
    "no_gpu": (
        "Choose an instance type with a GPU, or set cuda_required: false (haven_gpu_required: false in the playbooks) "
        "if none is expected."
    ),
    "driver_missing": (
        "Use an image that includes one: on EC2 a Deep Learning Base GPU AMI (SSM parameter /aws/service/deeplearning/"
        "ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-22.04/latest/ami-id), elsewhere your cloud's CUDA image "
        "(often named like ubuntu-24.04-cuda-*)."
    ),
    "driver_for_other_kernel": (
        "Restart into a kernel that has the driver, or build it for this one "
        "(install the kernel's headers, then run `dkms autoinstall`)."
    ),
    "driver_not_loaded": "Load it (`modprobe nvidia`). If that fails, `dmesg` says why, for instance Secure Boot.",
    "nouveau_in_the_way": "Blacklist nouveau (`modprobe.blacklist=nouveau`) and restart.",
    "device_node_missing": (
        "Create it (`nvidia-modprobe -u -c=0` as root). If nvidia-modprobe is installed, this happens at every start."
    ),
    "binding_missing": "Run the role haven.gpu.cuda again.",
    "library_missing": "Install the userspace part of the same driver version (libnvidia-ml1 or libnvidia-compute-…).",
    "version_mismatch": "Restart the machine: an update has replaced the library under the loaded module.",
    "driver_not_answering": "Look at `dmesg` for lines with NVRM, then stop and start the instance.",
    "gpu_lost": "Stop and start the instance, so that it moves to other hardware; `dmesg` has the Xid number.",
    "nvml_error": "Look at `dmesg` for lines with NVRM.",
    "too_few_gpus": (
        "Choose an instance type with more GPUs, or lower cuda_gpu_count; "
        "if one has failed, stop and start the instance."
    ),
    "framework_cannot_compute": "Install a build of it that fits this driver, and let its user open the device nodes.",
}


@dataclasses.dataclass(frozen=True)
class Problem:
    """One thing that is wrong: a stable name for programs, a sentence for people, and what to do about it."""

    reason: str
    message: str
    advice: str = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "advice", ADVICE[self.reason])


@dataclasses.dataclass(frozen=True)
class Gpu:
    """One GPU as NVML describes it."""

    index: int
    name: str
    uuid: str
    memory_gib: float
    node: str


@dataclasses.dataclass
class Report:
    """What was found. The JSON form is this, with ``ok`` and ``summary`` before it."""

    required: bool
    kernel: str
    if_present: bool = False  # whether the machine decided itself what is required
    binding: Optional[str] = None  # nvidia-ml-py's version
    driver: Optional[str] = None
    library: Optional[str] = None
    cuda: Optional[str] = None
    gpus: list[Gpu] = dataclasses.field(default_factory=list)
    framework: Optional[dict[str, Any]] = None
    problems: list[Problem] = dataclasses.field(default_factory=list)

    def summary(self) -> str:
        """Return one line for a person: every problem with its advice, or what there is."""
        if self.problems:
            return " ".join(f"{problem.message} {problem.advice}" for problem in self.problems)
        if not self.required:
            if self.if_present:
                return "No NVIDIA GPU is on this machine's PCI bus, and nothing says that there should be one."
            return "No GPU expected, so nothing was checked."
        names = ", ".join(gpu.name for gpu in self.gpus)
        computes = f", {self.framework['name']} computes" if self.framework else ""
        return f"{len(self.gpus)} GPU ({names}), driver {self.driver}, CUDA {self.cuda}{computes}."

    def as_json(self) -> str:
        """Return the report as JSON text."""
        return (
            json.dumps({"ok": not self.problems, "summary": self.summary(), **dataclasses.asdict(self)}, indent=2)
            + "\n"
        )


class Machine:
    """The files of the machine under test; ``root`` is / except in tests."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def read(self, path: str) -> str:
        """Return the text of a file without surrounding blanks, nothing where it cannot be read."""
        try:
            return (self.root / path).read_text().strip()
        except OSError:
            return ""

    def kernel(self) -> str:
        """Return the release of the running kernel."""
        return self.read("proc/sys/kernel/osrelease")

    def driver(self) -> Optional[str]:
        """Return the version of the loaded kernel module, None where none is loaded."""
        # A container has no /sys/module of its own, but is given the driver's folder in /proc.
        told = re.search(r"Kernel Module.*?\s(\d+(?:\.\d+)+)\s", self.read("proc/driver/nvidia/version"))
        return self.read("sys/module/nvidia/version") or (told.group(1) if told else None)

    def gpus_on_pci(self) -> int:
        """Count NVIDIA display and compute devices on the PCI bus."""
        names = [device.name for device in self.root.glob("sys/bus/pci/devices/*")]
        return sum(
            self.read(f"sys/bus/pci/devices/{name}/vendor") == NVIDIA_PCI_VENDOR
            and self.read(f"sys/bus/pci/devices/{name}/class").startswith(DISPLAY_PCI_CLASS)
            for name in names
        )

    def kernels_with_driver(self) -> list[str]:
        """Return the kernel releases that have an nvidia module on disk."""
        modules = self.root / "lib/modules"
        return sorted({found.relative_to(modules).parts[0] for found in modules.rglob("nvidia.ko*")})

    def has_node(self, node: str) -> bool:
        """Tell whether a character device of this name exists."""
        try:
            return stat.S_ISCHR((self.root / node.lstrip("/")).stat().st_mode)
        except OSError:
            return False


def check_driver(machine: Machine, report: Report) -> list[Problem]:
    """Say why no driver is loaded: wrong kind of machine, wrong image, wrong kernel, or simply not loaded."""
    report.driver = machine.driver()
    if report.driver:
        return []
    kernels = machine.kernels_with_driver()
    problems = []
    if not machine.gpus_on_pci():
        problems.append(Problem("no_gpu", "There is no NVIDIA GPU on this machine's PCI bus."))
    if not kernels:
        problems.append(Problem("driver_missing", "This image has no NVIDIA driver."))
    elif report.kernel not in kernels:
        built = f"The NVIDIA driver was built for kernel {', '.join(kernels)}, but {report.kernel} is running."
        problems.append(Problem("driver_for_other_kernel", built))
    elif machine.read("sys/module/nouveau/initstate"):
        problems.append(Problem("nouveau_in_the_way", "The NVIDIA driver is not loaded: nouveau holds the GPU."))
    else:
        problems.append(Problem("driver_not_loaded", "The NVIDIA driver is installed, but not loaded."))
    return problems


def check_nodes(machine: Machine, nodes: list[str]) -> list[Problem]:
    """Name the device nodes that CUDA opens and that do not exist: a hardened service cannot make them itself."""
    missing = [node for node in nodes if not machine.has_node(node)]
    return [Problem("device_node_missing", f"The device node {node} does not exist.") for node in missing]


def loaded_library() -> str:
    """Return the version in the file name of the NVML library that this process has loaded."""
    found = re.search(r"/libnvidia-ml\.so\.(\d+\.[\d.]+)$", Path("/proc/self/maps").read_text(), re.MULTILINE)
    return found.group(1) if found else "another"


def nvml_problem(error: Any, what: str, driver: Optional[str]) -> Problem:
    """Put an NVML error (pynvml.NVMLError) into words."""
    said = f"({what}: {error})"
    if error.value == NVML_LIBRARY_NOT_FOUND:
        return Problem("library_missing", f"Driver {driver} is loaded, but its library libnvidia-ml.so.1 cannot be.")
    if error.value == NVML_VERSION_MISMATCH:
        versions = f"The loaded driver is version {driver}, its library is version {loaded_library()}."
        return Problem("version_mismatch", versions)
    if error.value == NVML_DRIVER_NOT_LOADED:
        return Problem("driver_not_answering", f"Driver {driver} is loaded, but does not answer {said}.")
    if error.value in (NVML_GPU_IS_LOST, NVML_RESET_REQUIRED, NVML_GPU_NOT_FOUND):
        return Problem("gpu_lost", f"A GPU has fallen off the bus {said}.")
    return Problem("nvml_error", f"NVML failed {said}.")


def load_nvml(machine: Machine) -> Optional[ModuleType]:
    """Import nvidia-ml-py from the environment that the role made, else from this interpreter's own."""
    # First, so that another copy somewhere on the machine cannot take the pinned one's place.
    sys.path[:0] = [str(path) for path in machine.root.glob("opt/haven/cuda/lib/python3*/site-packages")]
    try:
        return importlib.import_module("pynvml")
    except ImportError:
        return None


def binding_version() -> Optional[str]:
    """Return the version of the installed nvidia-ml-py, None where the module came without its metadata."""
    try:
        return importlib.metadata.version("nvidia-ml-py")
    except importlib.metadata.PackageNotFoundError:
        return None


def look_at_gpu(nvml: Any, index: int) -> Gpu:
    """Describe one GPU; raises pynvml.NVMLError where it does not answer."""
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    return Gpu(
        index=index,
        name=nvml.nvmlDeviceGetName(handle),
        uuid=nvml.nvmlDeviceGetUUID(handle),
        memory_gib=round(nvml.nvmlDeviceGetMemoryInfo(handle).total / 2**30, 1),
        node=f"/dev/nvidia{nvml.nvmlDeviceGetMinorNumber(handle)}",
    )


def look_at_gpus(nvml: Any, report: Report) -> list[Problem]:
    """Fill the report from NVML: versions and GPUs; a problem for each GPU that does not answer."""
    try:
        nvml.nvmlInit()
        report.library = nvml.nvmlSystemGetDriverVersion()
        cuda = nvml.nvmlSystemGetCudaDriverVersion()
        count = nvml.nvmlDeviceGetCount()
    except nvml.NVMLError as error:
        return [nvml_problem(error, "start", report.driver)]
    report.cuda = f"{cuda // 1000}.{cuda % 1000 // 10}"
    problems = []
    for index in range(count):
        try:
            report.gpus.append(look_at_gpu(nvml, index))
        except nvml.NVMLError as error:
            problems.append(nvml_problem(error, f"GPU {index}", report.driver))
    return problems


def check_gpus(machine: Machine, report: Report, expected: int) -> list[Problem]:
    """Say whether NVML and every GPU answer, there are enough of them, and each has its device node."""
    nvml = load_nvml(machine)
    if nvml is None:
        return [Problem("binding_missing", "The Python package nvidia-ml-py is not installed.")]
    report.binding = binding_version()
    problems = look_at_gpus(nvml, report)
    if problems:
        return problems
    if len(report.gpus) < expected:
        on_pci = machine.gpus_on_pci()
        seen = f"The driver sees {len(report.gpus)} GPU ({on_pci} on the PCI bus), but {expected} are expected."
        problems.append(Problem("too_few_gpus", seen))
    return problems + check_nodes(machine, [gpu.node for gpu in report.gpus])


def torch_sums(torch: Any) -> list[float]:
    """Multiply on every GPU that PyTorch sees."""
    squares = [torch.ones(SIDE, SIDE, device=f"cuda:{index}") for index in range(torch.cuda.device_count())]
    return [float((square @ square).sum()) for square in squares]


def jax_sums(jax: Any) -> list[float]:
    """Multiply on every GPU that JAX sees."""
    squares = [jax.device_put(jax.numpy.ones((SIDE, SIDE)), gpu) for gpu in jax.devices("gpu")]
    return [float((square @ square).sum()) for square in squares]


def tensorflow_sums(tensorflow: Any) -> list[float]:
    """Multiply on every GPU that TensorFlow sees."""
    tensorflow.config.set_soft_device_placement(False)  # else it falls back to the CPU without a word
    sums = []
    for index in range(len(tensorflow.config.list_physical_devices("GPU"))):
        with tensorflow.device(f"/GPU:{index}"):
            square = tensorflow.ones((SIDE, SIDE))
            sums.append(float(tensorflow.reduce_sum(square @ square)))
    return sums


FRAMEWORKS: dict[str, Callable[[Any], list[float]]] = {
    "torch": torch_sums,
    "jax": jax_sums,
    "tensorflow": tensorflow_sums,
}


def probe_framework() -> Optional[dict[str, Any]]:
    """Compute with the first framework this interpreter has: {name, version, gpus}; None where it has none.

    Whatever the framework raises ends the process: its last line is what the caller tells.
    """
    for name, sums_of in FRAMEWORKS.items():
        if importlib.util.find_spec(name):
            framework = importlib.import_module(name)
            sums = sums_of(framework)
            if not sums:
                raise RuntimeError("it sees no GPU")
            if any(total != SIDE**3 for total in sums):
                raise RuntimeError(f"it computes {sums} instead of {SIDE**3}")
            return {"name": name, "version": str(framework.__version__), "gpus": len(sums)}
    return None


def ask_framework(python: Path, user: str) -> subprocess.CompletedProcess[str]:
    """Run the probe in an environment's interpreter, as that user: the environment holds what the user put there."""
    become: Any = {}
    if os.geteuid() == 0:
        account = pwd.getpwnam(user)
        groups = os.getgrouplist(user, account.pw_gid)  # Debian gives the device nodes to the group video
        become = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": groups}
    return subprocess.run(
        [python, "-I", __file__, "--probe"],
        **become,
        env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        timeout=FRAMEWORK_TIMEOUT_S,
    )


def check_framework(report: Report, python: Optional[Path], user: str) -> list[Problem]:
    """Say whether the framework of an environment computes; one that is not installed is no problem."""
    if python is None:
        return []
    try:
        ran = ask_framework(python, user)
    except (FileNotFoundError, NotADirectoryError):
        return []  # Seen by the user: this process may be root without a way into that user's folders.
    except (OSError, KeyError, subprocess.TimeoutExpired) as error:
        return [Problem("framework_cannot_compute", f"The interpreter {python} cannot be run as {user} ({error}).")]
    answers = [line[len(ANSWER) :] for line in ran.stdout.splitlines() if line.startswith(ANSWER)]
    if ran.returncode or not answers:
        last = (ran.stderr.strip().splitlines() or [f"exit status {ran.returncode}"])[-1]
        return [Problem("framework_cannot_compute", f"The framework of {python} cannot compute on the GPU ({last}).")]
    report.framework = json.loads(answers[-1])
    return []


def check(machine: Machine, options: argparse.Namespace) -> Report:
    """Go up level by level until one has a problem."""
    required = not options.none_expected and not (options.if_present and machine.gpus_on_pci() == 0)
    report = Report(required=required, kernel=machine.kernel(), if_present=options.if_present)
    levels: list[Callable[[], list[Problem]]] = [
        lambda: check_driver(machine, report),
        lambda: check_nodes(machine, ["/dev/nvidiactl", "/dev/nvidia-uvm"]),
        lambda: check_gpus(machine, report, options.gpus),
        lambda: check_framework(report, options.framework_python, options.framework_user),
    ]
    for level in levels if report.required else []:
        report.problems = level()
        if report.problems:
            break
    return report


def write_record(path: Path, text: str) -> None:
    """Replace the record in one step, readable for everybody: people without root ask it too."""
    path.parent.mkdir(mode=0o755, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    new.write_text(text)
    new.chmod(0o644)
    new.replace(path)


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """Return the options; argparse ends the program with status 2 where they are wrong."""
    parser = argparse.ArgumentParser(description="Check whether CUDA programs can run on this machine, and why not.")
    option = parser.add_argument
    option("--json", action="store_true", help="print the whole report as JSON instead of a sentence")
    option("--gpus", type=int, default=1, metavar="N", help="minimum number of GPUs (1)")
    option("--none-expected", action="store_true", help="record that no GPU is expected, and check nothing")
    option("--if-present", action="store_true", help="expect GPUs only if there is an NVIDIA one on the PCI bus")
    option("--framework-python", type=Path, metavar="PATH", help="interpreter whose framework must compute")
    option("--framework-user", default="nobody", metavar="USER", help="user to run that interpreter as (nobody)")
    option("--output", type=Path, metavar="PATH", help="also write the JSON report to this file")
    option("--root", type=Path, default=Path("/"), metavar="PATH", help="look at the tree under PATH (tests)")
    option("--probe", action="store_true", help="only let this interpreter's framework compute (used by itself)")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Check, record, print; return the exit status."""
    options = parse_arguments(arguments)
    if options.probe:
        sys.stdout.write(f"\n{ANSWER}{json.dumps(probe_framework())}\n")
        return 0
    report = check(Machine(options.root), options)
    if options.output:
        write_record(options.output, report.as_json())
    sys.stdout.write(report.as_json() if options.json else report.summary() + "\n")
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
