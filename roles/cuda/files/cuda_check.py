#!/usr/bin/python3
# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Say whether CUDA programs can work on this machine and, where not, why and what to do.

Looks from the bottom up: kernel module, device nodes, NVML (the driver's management library), CUDA, framework.
Everything that is wrong on the first level with a problem is told; the levels above it cannot be judged.
Exit status: 0 fine or no GPU expected, 1 at least one problem, 2 wrong use. Runs on Python 3.9 and later.
It is one file, longer than others, because it is copied to machines and run there by its path alone.
"""

from __future__ import annotations

import argparse
import ctypes
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
# Values of CUresult (cuda.h)
CUDA_STUB_LIBRARY, CUDA_NO_DEVICE = 34, 100
CUDA_SYSTEM_NOT_READY, CUDA_SYSTEM_DRIVER_MISMATCH, CUDA_COMPAT_NOT_SUPPORTED = 802, 803, 804
CUDA_TIMEOUT_S = 60
FRAMEWORK_TIMEOUT_S = 120
# PCI configuration space (PCI Local Bus Specification 3.0, 6.7 and appendix H), and how NVIDIA marks a vGPU in it
# (k8s-device-plugin, internal/vgpu): the capability of the vendor's own begins with VF, and its record 0 has the
# version and the branch of the host's driver.
PCI_STATUS, PCI_HAS_CAPABILITIES, PCI_CAPABILITIES, PCI_VENDOR_SPECIFIC = 0x06, 0x10, 0x34, 0x09
VGPU_MARK, VGPU_RECORDS, VGPU_TEXT = b"VF", 5, 10
# Only a process with all rights of root may read that: the unit's first step does, and leaves it here.
VGPU_NOTE = "run/haven/cuda-vgpu.json"
NVIDIA_MAJOR = 195  # of the nodes of GPUs and of nvidiactl (the driver's own nvidia-modprobe-utils.h)
CONTROL_MINOR = 255
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
        "Restart haven-cuda-check.service, which creates it (or `nvidia-modprobe -u -c=0` as root)."
    ),
    "binding_missing": "Run the role haven.gpu.cuda again.",
    "library_missing": (
        "Install the userspace part of the same driver version (libnvidia-ml1 and libcuda1, or libnvidia-compute-…)."
    ),
    "vgpu_driver": (
        "Use an image with NVIDIA's vGPU guest driver (also called GRID) of the host's branch, and a licence for it; "
        "the cloud's operator has both. Or choose an instance type with a whole GPU."
    ),
    "fabric_manager": (
        "Install nvidia-fabricmanager in exactly the driver's version and start it (`systemctl enable --now "
        "nvidia-fabricmanager`); `journalctl -u nvidia-fabricmanager` says why it does not run."
    ),
    "compat_library": "Take the folder of cuda-compat out of LD_LIBRARY_PATH and /etc/ld.so.conf.d.",
    "no_usable_gpu": (
        "If the GPU is divided (MIG), create instances on it (`nvidia-smi mig -cgi …`) or turn that off "
        "(`nvidia-smi -mig 0`); if its compute mode is Prohibited, reset that (`nvidia-smi -c 0`)."
    ),
    "cuda_error": "Look at `dmesg` for lines with NVRM or Xid, then restart the machine.",
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
    expected: int = 1  # number of GPUs
    if_present: bool = False  # whether the machine decided itself what is required
    binding: Optional[str] = None  # nvidia-ml-py's version
    driver: Optional[str] = None
    library: Optional[str] = None
    cuda: Optional[str] = None
    gpus: list[Gpu] = dataclasses.field(default_factory=list)
    cuda_devices: Optional[int] = None  # that cuInit makes usable
    vgpu: Optional[dict[str, str]] = None  # the host's driver and branch, if the GPU is a virtual one
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

    def vgpu(self) -> Optional[dict[str, str]]:
        """Return the driver of the host if a GPU on the bus is a virtual one, as it says itself or as it was noted."""
        for config in self.root.glob("sys/bus/pci/devices/*/config"):
            if self.read(f"{config.parent.relative_to(self.root)}/vendor") == NVIDIA_PCI_VENDOR:
                host = vgpu_host(config.read_bytes())
                if host:
                    return host
        try:
            noted: dict[str, str] = json.loads(self.read(VGPU_NOTE))
            return noted
        except ValueError:
            return None

    def missing_nodes(self) -> list[tuple[str, int, int]]:
        """Return the device nodes that are missing for the loaded driver, each with its two numbers."""
        majors = dict(reversed(line.split()) for line in self.read("proc/devices").splitlines() if "nvidia" in line)
        nodes = []
        if self.driver():
            gpus = self.root.glob("proc/driver/nvidia/gpus/*/information")
            found = [re.search(r"Device Minor:\s*(\d+)", gpu.read_text()) for gpu in gpus]
            nodes = [(f"dev/nvidia{gpu.group(1)}", NVIDIA_MAJOR, int(gpu.group(1))) for gpu in found if gpu]
            nodes.append(("dev/nvidiactl", NVIDIA_MAJOR, CONTROL_MINOR))
        if "nvidia-uvm" in majors:
            nodes.append(("dev/nvidia-uvm", int(majors["nvidia-uvm"]), 0))
            nodes.append(("dev/nvidia-uvm-tools", int(majors["nvidia-uvm"]), 1))
        return sorted(node for node in nodes if not self.has_node(node[0]))

    def has_node(self, node: str) -> bool:
        """Tell whether a character device of this name exists."""
        try:
            return stat.S_ISCHR((self.root / node.lstrip("/")).stat().st_mode)
        except OSError:
            return False


def vgpu_host(config: bytes) -> Optional[dict[str, str]]:
    """Return {driver, branch} of the host from a device's configuration space, None if it is no vGPU.

    Both are empty if the host does not tell them.
    """
    if len(config) <= PCI_CAPABILITIES or not config[PCI_STATUS] & PCI_HAS_CAPABILITIES:
        return None
    start, seen = config[PCI_CAPABILITIES], set()
    while start and start not in seen and start + VGPU_RECORDS <= len(config):
        seen.add(start)
        kind, following, length = config[start : start + 3]
        if kind == PCI_VENDOR_SPECIFIC and config[start + 3 : start + VGPU_RECORDS] == VGPU_MARK:
            return vgpu_record(config[start + VGPU_RECORDS : start + length])
        start = following
    return None


def vgpu_record(records: bytes) -> dict[str, str]:
    """Return {driver, branch} from the records of a vGPU's capability: kind, length, content."""
    while len(records) > 2 and records[0] != 0 and records[1] >= 2:
        records = records[records[1] :]
    known = len(records) > 2 and records[0] == 0
    texts = [records[2 + at : 2 + at + VGPU_TEXT] if known else b"" for at in (0, VGPU_TEXT)]
    driver, branch = (re.sub(r"[^\w.-]", "", text.decode("ascii", "replace")) for text in texts)
    return {"driver": driver, "branch": branch}


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


def probe_cuda() -> dict[str, Any]:
    """Start CUDA in this process: {result, name, devices}, or {missing}, the loader's reason."""
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        return {"missing": str(error)}
    devices, name = ctypes.c_int(0), ctypes.c_char_p()
    result = cuda.cuInit(0) or cuda.cuDeviceGetCount(ctypes.byref(devices))
    cuda.cuGetErrorName(result, ctypes.byref(name))
    return {"result": result, "name": (name.value or b"unknown").decode(), "devices": devices.value}


def check_cuda(report: Report) -> list[Problem]:
    """Say whether CUDA starts, in a process of its own: it may crash, or never return."""
    # What somebody hides in a shell is not what is wrong with the machine.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CUDA_")}
    command = [sys.executable, "-I", __file__, "--probe-cuda"]
    try:
        ran = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=CUDA_TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        return [Problem("cuda_error", f"CUDA does not start: cuInit has not returned after {CUDA_TIMEOUT_S} s.")]
    answers = [line[len(ANSWER) :] for line in ran.stdout.splitlines() if line.startswith(ANSWER)]
    if ran.returncode or not answers:
        return [Problem("cuda_error", f"CUDA does not start: its process ends with status {ran.returncode}.")]
    answer = json.loads(answers[-1])
    report.cuda_devices = answer.get("devices")
    return cuda_problems(answer, report)


# By what cuInit answers: the reason, and what is wrong with this driver.
CUDA_ANSWERS = {
    CUDA_SYSTEM_NOT_READY: (
        "fabric_manager",
        "CUDA does not start: with GPUs that NVSwitch joins, that needs a running fabric manager of version {driver}",
    ),
    CUDA_SYSTEM_DRIVER_MISMATCH: ("version_mismatch", "The loaded driver is {driver}, its libcuda.so.1 is another"),
    CUDA_COMPAT_NOT_SUPPORTED: (
        "compat_library",
        "The libcuda.so.1 that is found comes from cuda-compat and does not support this GPU",
    ),
    CUDA_STUB_LIBRARY: ("library_missing", "The libcuda.so.1 that is found is only the toolkit's stub"),
    CUDA_NO_DEVICE: ("no_usable_gpu", "The driver sees {count} GPU, but CUDA can use none"),
}


def cuda_problems(answer: dict[str, Any], report: Report) -> list[Problem]:
    """Put what CUDA answered into words."""
    if "missing" in answer:
        said = f"Driver {report.driver} is loaded, but its library libcuda.so.1 cannot be ({answer['missing']})."
        return [Problem("library_missing", said)]
    if answer["result"] == 0 and answer["devices"]:
        return []
    reason, said = CUDA_ANSWERS.get(answer["result"] or CUDA_NO_DEVICE, ("cuda_error", "CUDA does not start"))
    said = said.format(driver=report.driver, count=len(report.gpus))
    return [Problem(reason, f"{said} (cuInit: {answer['result']}, {answer['name']}).")]


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
    report = Report(required=required, kernel=machine.kernel(), expected=options.gpus, if_present=options.if_present)
    levels: list[Callable[[], list[Problem]]] = [
        lambda: check_driver(machine, report),
        lambda: check_nodes(machine, ["/dev/nvidiactl", "/dev/nvidia-uvm"]),
        lambda: check_gpus(machine, report, options.gpus),
        lambda: check_cuda(report),
        lambda: check_framework(report, options.framework_python, options.framework_user),
    ]
    for level in levels if report.required else []:
        report.problems = level()
        if report.problems:
            break
    report.vgpu = machine.vgpu() if report.required else None
    if report.vgpu and report.problems and not report.gpus:
        report.problems = [vgpu_problem(report.vgpu, report.driver)]
    return report


def vgpu_problem(host: dict[str, str], driver: Optional[str]) -> Problem:
    """Say that a virtual GPU does not work with whatever driver there is."""
    of = f" of driver {host['driver']}, branch {host['branch']}" if host["driver"] else ""
    there = f"driver {driver} does not" if driver else "no driver is loaded that does"
    return Problem(
        "vgpu_driver", f"The GPU of this instance is a virtual one (a vGPU{of} on the host): {there} drive it."
    )


def prepare(machine: Machine) -> None:
    """Do what takes all rights of root, before the unit drops them: load the modules, create nodes, note a vGPU."""
    if machine.root == Path("/") and machine.gpus_on_pci() and os.path.exists("/sbin/modprobe"):
        subprocess.run(["/sbin/modprobe", "--quiet", "--all", "nvidia", "nvidia-uvm"], check=False)
    for node, major, minor in machine.missing_nodes():
        path = machine.root / node
        try:
            os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(major, minor))
            path.chmod(0o666)  # as the driver's own tool makes them; mknod subtracts the umask
        except OSError as error:  # in a container, which is given its nodes; the check names what is missing
            sys.stderr.write(f"/{node} cannot be created: {error.strerror}\n")
    vgpu = machine.vgpu()
    if vgpu:
        write_record(machine.root / VGPU_NOTE, json.dumps(vgpu))


def as_recorded(path: Path, options: argparse.Namespace) -> None:
    """Expect what the check expected that left this record. OSError, ValueError, KeyError: there is none."""
    record = json.loads(path.read_text())
    options.gpus, options.if_present = record["expected"], record["if_present"]
    # Without a GPU on the bus, if_present decides again.
    options.none_expected = not record["required"] and not options.if_present


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
    option("--again", type=Path, metavar="PATH", help="check what the report in this file was about; no framework")
    option("--prepare", action="store_true", help="only load the driver and create its device nodes (used by the unit)")
    option("--probe-cuda", action="store_true", help="only start CUDA in this process (used by itself)")
    option("--probe", action="store_true", help="only let this interpreter's framework compute (used by itself)")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Check, record, print; return the exit status."""
    options = parse_arguments(arguments)
    if options.probe or options.probe_cuda:
        sys.stdout.write(f"\n{ANSWER}{json.dumps(probe_framework() if options.probe else probe_cuda())}\n")
        return 0
    if options.prepare:
        prepare(Machine(options.root))
        return 0
    if options.again:
        try:
            as_recorded(options.again, options)
        except (OSError, ValueError, KeyError):
            sys.stderr.write(f"There is no report of an earlier check in {options.again}.\n")
            return 2
    report = check(Machine(options.root), options)
    if options.output:
        write_record(options.output, report.as_json())
    sys.stdout.write(report.as_json() if options.json else report.summary() + "\n")
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
