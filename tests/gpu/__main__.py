# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shows on a machine with NVIDIA GPUs what stand-ins for the driver's libraries cannot: `tests/gpu/run`.

The check of the role cuda is run with the real NVML and CUDA, as it is and with everything that can be taken from it
without harm; a program then uses the GPU, and what an idle watcher will read of that is read. Nothing on the machine
is changed, no network is used, and root is not needed. Beside the repository it needs the package nvidia-ml-py: install
it, or put its wheel into a folder (`pip download --no-deps --dest FOLDER -r roles/cuda/files/cuda.txt`) and give that
with --wheels. The result is JSON: what was found, the machine's model of GPU, driver and kernel, but not its name.
Exit status: 0 if everything was as expected, 1 if not.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Optional

REPOSITORY = Path(__file__).resolve().parents[2]
CHECK = REPOSITORY / "roles/cuda/files/cuda_check.py"
TIMES = 5
LOAD_S = 6.0
SAMPLE_EVERY_S = 0.25
# Less than what load.py takes, more than what else may come and go meanwhile.
LOAD_MIB = 256
Case = dict[str, Any]


class Machine:
    """The machine under test. ``root`` is / except in tests of this program."""

    def __init__(self, root: Path, wheels: Optional[Path]) -> None:
        self.root = root
        packages = [str(wheel) for wheel in sorted(wheels.glob("*.whl"))] if wheels else []
        # Wheels of Python alone can be imported as they are.
        sys.path[:0] = packages
        self.path = os.pathsep.join([*packages, os.environ.get("PYTHONPATH", "")]).strip(os.pathsep)

    def check(self, *arguments: str, root: Optional[Path] = None, **environment: str) -> tuple[dict[str, Any], float]:
        """Return the report of the check, and how many seconds it took. RuntimeError: it made none."""
        command = [sys.executable, str(CHECK), "--json", "--root", str(root or self.root), *arguments]
        begin = time.monotonic()
        ran = subprocess.run(
            command, env={**os.environ, "PYTHONPATH": self.path, **environment},
            capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        took = time.monotonic() - begin
        try:
            report: dict[str, Any] = json.loads(ran.stdout)
        except ValueError:
            raise RuntimeError(f"the check made no report: {(ran.stderr.splitlines() or ['silence'])[-1]}") from None
        return report, took


def reasons(report: dict[str, Any]) -> list[str]:
    return [problem["reason"] for problem in report["problems"]]


def expect(report: dict[str, Any], *wanted: str, says: str = "") -> Case:
    """A case: the report has exactly these reasons, and its summary contains the text."""
    found = reasons(report)
    return {
        "passed": found == list(wanted) and says in report["summary"],
        "reasons": found,
        "summary": report["summary"],
    }


# The check ------------------------------------------------------------------------------------------------------------


def healthy(machine: Machine) -> Case:
    report, dummy = machine.check()
    agree = report["driver"] == report["library"] and bool(report["gpus"]) and bool(report["cuda_devices"])
    case = expect(report)
    return {**case, "passed": case["passed"] and agree, "cuda_devices": report["cuda_devices"]}


def too_few(machine: Machine) -> Case:
    count = len(machine.check()[0]["gpus"])
    return expect(machine.check("--gpus", str(count + 1))[0], "too_few_gpus", says=f"but {count + 1} are expected")


def without_node(name: str) -> Callable[[Machine], Case]:
    """A case in which the check does not see that device node. The driver's library still does."""

    def case(machine: Machine) -> Case:
        with tree(machine.root, hidden=name) as root:
            return expect(machine.check(root=root)[0], "device_node_missing", says=f"/dev/{name} does not exist")

    return case


@contextlib.contextmanager
def tree(machine: Path, hidden: str) -> Iterator[Path]:
    """A folder that shows the machine's files by links, but for one device node."""
    with tempfile.TemporaryDirectory(prefix="haven-gpu-") as folder:
        root = Path(folder)
        for name in ("proc", "sys", "lib", "opt", "run"):
            (root / name).symlink_to(machine / name)
        (root / "dev").mkdir()
        for node in (machine / "dev").glob("nvidia*"):
            if node.name != hidden:
                (root / "dev" / node.name).symlink_to(node)
        yield root


def without_library(name: str) -> Callable[[Machine], Case]:
    """A case in which the loader finds a file that is no library before the driver's."""

    def case(machine: Machine) -> Case:
        with tempfile.TemporaryDirectory(prefix="haven-gpu-") as folder:
            (Path(folder) / name).touch()
            path = f"{folder}:{os.environ.get('LD_LIBRARY_PATH', '')}"
            return expect(machine.check(LD_LIBRARY_PATH=path)[0], "library_missing", says=name)

    return case


def hidden_from_cuda(machine: Machine) -> Case:
    """What a shell hides from CUDA does not change the verdict."""
    return expect(machine.check(CUDA_VISIBLE_DEVICES="")[0])


def none_expected(machine: Machine) -> Case:
    return expect(machine.check("--none-expected")[0], says="No GPU expected")


def duration(machine: Machine) -> Case:
    """How long the check takes; the first time, the driver may have to wake up."""
    return {"passed": True, "seconds": [round(machine.check()[1], 3) for dummy in range(TIMES)]}


# What an idle watcher reads ------------------------------------------------------------------------------------------


def sample(nvml: Any, handle: Any) -> dict[str, Any]:
    """What NVML tells about one GPU at this moment."""
    processes = nvml.nvmlDeviceGetComputeRunningProcesses(handle)
    return {
        "utilization_percent": nvml.nvmlDeviceGetUtilizationRates(handle).gpu,
        "used_mib": nvml.nvmlDeviceGetMemoryInfo(handle).used >> 20,
        "processes": sorted(process.pid for process in processes),
    }


def watched(machine: Machine) -> Case:
    """Utilisation, memory and processes of the first GPU before, while and after a program uses it."""
    import pynvml as nvml

    del machine
    nvml.nvmlInit()
    # CUDA may count the GPUs in another order than NVML, unless it is told to use that of the bus.
    handle = nvml.nvmlDeviceGetHandleByIndex(0)
    before = sample(nvml, handle)
    command = [sys.executable, "-m", "tests.gpu.load", str(LOAD_S)]
    environment = {**os.environ, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    with subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, text=True) as load:
        assert load.stdout
        begun = load.stdout.readline().strip() == "busy"
        during = []
        while begun and load.poll() is None:
            during.append(sample(nvml, handle))
            time.sleep(SAMPLE_EVERY_S)
    after = sample(nvml, handle)
    if not during:
        return {"passed": False, "summary": f"the program that uses the GPU ended with status {load.returncode}"}
    most = max(during, key=lambda each: (each["utilization_percent"], each["used_mib"]))
    new = max(len(each["processes"]) for each in during) - len(before["processes"])
    ours = any(load.pid in each["processes"] for each in during)
    return {
        "passed": (
            load.returncode == 0
            and most["utilization_percent"] > 0
            and most["used_mib"] - before["used_mib"] >= LOAD_MIB
            and (ours or new > 0)
        ),
        # In a container, processes have other numbers, and may not be listed at all.
        "our_process_is_listed_by_its_number": ours,
        "before": counted(before),
        "most": counted(most),
        "after": counted(after),
        "samples": len(during),
    }


def counted(sampled: dict[str, Any]) -> dict[str, Any]:
    """The sample with the number of processes in place of their numbers, which say nothing elsewhere."""
    return {**sampled, "processes": len(sampled["processes"])}


def cases(gpu: str) -> dict[str, Callable[[Machine], Case]]:
    """All cases by name; ``gpu`` is the name of a GPU's device node."""
    return {
        "the check finds nothing wrong, and NVML and CUDA agree": healthy,
        "one GPU more than there are is too few": too_few,
        "a hidden nvidiactl is named": without_node("nvidiactl"),
        "a hidden nvidia-uvm is named": without_node("nvidia-uvm"),
        f"a hidden {gpu} is named": without_node(gpu),
        "a file in place of NVML's library is named": without_library("libnvidia-ml.so.1"),
        "a file in place of CUDA's library is named": without_library("libcuda.so.1"),
        "CUDA_VISIBLE_DEVICES does not change the verdict": hidden_from_cuda,
        "nothing is checked where no GPU is expected": none_expected,
        "utilization, memory, and processes show a program that computes": watched,
        "how long the check takes": duration,
    }


def tried(case: Callable[[Machine], Case], machine: Machine) -> Case:
    """The case's result. Whatever goes wrong is a failed case: the others are still worth their result."""
    begin = time.monotonic()
    try:
        result = case(machine)
    except Exception as error:
        result = {"passed": False, "summary": f"{type(error).__name__}: {error}"}
    return {**result, "took_s": round(time.monotonic() - begin, 2)}


def has_network(root: Path) -> bool:
    """Whether there is a route to anywhere, by IPv4 or IPv6 (proc(5)), except through the loopback interface."""
    ipv4 = (root / "proc/net/route").read_text().splitlines()[1:]
    ipv6 = root / "proc/net/ipv6_route"
    defaults = [line for line in ipv6.read_text().splitlines() if line.startswith("0" * 32)] if ipv6.exists() else []
    return any(line.split()[1] == "00000000" for line in ipv4) or any(line.split()[-1] != "lo" for line in defaults)


def commit() -> Optional[str]:
    """The commit of the checkout, if it is one and git is there."""
    try:
        ran = subprocess.run(
            ["git", "-C", str(REPOSITORY), "rev-parse", "HEAD"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True, check=False,
        )  # fmt: skip
    except FileNotFoundError:
        return None
    return ran.stdout.strip() or None


def main(arguments: list[str]) -> int:
    """Run all cases, write the result, and return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the result there instead of printing it")
    parser.add_argument("--wheels", type=Path, metavar="FOLDER", help="folder with the wheel of nvidia-ml-py")
    parser.add_argument(
        "--root", type=Path, default=Path("/"), metavar="PATH", help="look at the tree under PATH (tests)"
    )
    options = parser.parse_args(arguments)
    machine = Machine(options.root, options.wheels)
    report, dummy = machine.check()
    gpu = Path(report["gpus"][0]["node"]).name if report["gpus"] else "nvidia0"
    results = {}
    for name, case in cases(gpu).items():
        results[name] = tried(case, machine)
        sys.stderr.write(f"{'passed' if results[name]['passed'] else 'FAILED'}  {name}\n")
    passed = all(result["passed"] for result in results.values())
    models = Counter(each["name"] for each in report["gpus"])
    result = {
        "passed": passed,
        "date": f"{datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d}",
        "commit": commit(),
        "gpus": [{"model": model, "count": count} for model, count in sorted(models.items())],
        "driver": report["driver"],
        "cuda": report["cuda"],
        "kernel": report["kernel"],
        "nvidia_ml_py": report["binding"],
        "python": ".".join(map(str, sys.version_info[:3])),
        "network": has_network(options.root),
        "cases": results,
    }
    text = json.dumps(result, indent=2) + "\n"
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(text)
    else:
        sys.stdout.write(text)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
