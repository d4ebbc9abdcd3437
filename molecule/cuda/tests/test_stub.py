"""On a machine with a GPU (of files and a stub), after a restart."""

from __future__ import annotations

import json
import pathlib
import re

import pytest

testinfra_hosts = ["cuda-stub"]

ROLE = pathlib.Path(__file__).resolve().parents[3] / "roles" / "cuda"
RECORD = "/run/haven/cuda-check.json"
CHECK = "/usr/local/lib/haven/cuda-check --root /srv/machine --json"


def test_the_check_ran_when_the_machine_started(host):
    unit = host.service("haven-cuda-check.service")
    assert unit.is_enabled
    assert unit.is_running
    assert "1 GPU (NVIDIA Stub), driver 535.104.05, CUDA 12.2." in host.check_output(
        "sudo journalctl -b -u haven-cuda-check.service -o cat"
    )


def test_the_unit_is_hardened(host):
    verdict = host.check_output("sudo systemd-analyze security --no-pager haven-cuda-check.service").splitlines()[-1]
    assert float(verdict.split(":")[-1].split()[0]) <= 1.1


def test_unattended_upgrades_leave_the_driver_alone(host):
    held = host.check_output("apt-config dump Unattended-Upgrade::Package-Blacklist")
    for package in ("libnvidia-compute-535", "nvidia-dkms-535", "libcuda1", "nvidia-fabricmanager-535"):
        assert any(re.match(pattern, package) for pattern in re.findall('"(.+)"', held))
    # No package of modules for one kernel is installed, so the kernel may be updated.
    for package in ("linux-image-cloud-amd64", "libc6", "nvtop-tools"):
        assert not any(re.match(pattern, package) for pattern in re.findall('"(.+)"', held))


def test_its_record_is_there_for_everybody(host):
    file = host.file(RECORD)
    assert (file.user, file.mode) == ("root", 0o644)
    record = json.loads(host.check_output(f"sudo -u nobody cat {RECORD}"))
    assert record["ok"] is True
    assert [gpu["name"] for gpu in record["gpus"]] == ["NVIDIA Stub"]


def test_the_binding_is_the_pinned_one(host):
    binding = json.loads(host.file(RECORD).content_string)["binding"]
    assert f"nvidia-ml-py=={binding} " in (ROLE / "files" / "cuda.txt").read_text()


def test_everybody_can_ask_and_nobody_can_change_it(host):
    assert json.loads(host.check_output(f"sudo -u nobody {CHECK}"))["ok"] is True
    changeable = "find /usr/local/lib/haven /opt/haven/cuda ! -type l ( ! -user root -o -perm /go+w )"
    assert host.check_output(changeable.replace("(", r"\(").replace(")", r"\)")) == ""


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ("NVML_STUB_INIT=18", "version_mismatch"),
        ("NVML_STUB_BROKEN=0", "gpu_lost"),
        ("NVML_STUB_COUNT=0", "too_few_gpus"),
        ("CUSTUB_INIT=802", "fabric_manager"),
    ],
)
def test_the_drivers_own_library_is_what_is_asked(host, setting, reason):
    ran = host.run(f"env {setting} {CHECK}")
    assert ran.rc == 1
    assert [problem["reason"] for problem in json.loads(ran.stdout)["problems"]] == [reason]


def test_a_gpu_that_fails_makes_the_unit_fail_and_holds_nothing_else_up(host):
    with host.sudo():
        host.check_output("mv /srv/machine/dev/nvidia-uvm /srv/machine/dev/away")
        try:
            assert host.run("systemctl restart haven-cuda-check.service").rc == 1
            assert "/dev/nvidia-uvm does not exist" in host.run("systemctl status haven-cuda-check.service").stdout
            assert json.loads(host.file(RECORD).content_string)["ok"] is False
            required = "systemctl list-dependencies --reverse --plain haven-cuda-check.service"
            assert host.check_output(required).split()[1:] == ["multi-user.target", "graphical.target"]
        finally:
            host.check_output("mv /srv/machine/dev/away /srv/machine/dev/nvidia-uvm")
            host.check_output("systemctl restart haven-cuda-check.service")
    assert json.loads(host.file(RECORD).content_string)["ok"] is True
