# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sandbox's guests: real machines that boot, keep what they should over stop and start, and go without a trace."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import pytest

from tests.integration.sandbox_guests import Guest, Sandbox, command, wait_until
from tests.sandbox.errors import NoSuchMachineError, SandboxError

USER_DATA = (
    b"#cloud-config\nruncmd: [[touch, /srv/first-boot]]\nbootcmd: [[sh, -c, 'echo booted-once-more >/dev/console']]\n"
)


@pytest.mark.parametrize(("image", "version"), [("bookworm", "12"), ("trixie", "13"), ("bookworm-cuda", "12")])
def test_an_image_boots_without_a_failed_unit_and_cloud_init_does_its_work(
    sandbox: Sandbox, image: str, version: str
) -> None:
    with sandbox.guest(image, user_data=USER_DATA) as guest:
        assert guest.output(". /etc/os-release; echo $VERSION_ID") == version
        assert guest.output("cloud-init status --wait").endswith("status: done")
        assert guest.output("systemctl --failed --no-legend") == ""
        assert guest.output("ls /srv/first-boot /var/lib/cloud/instances").split()[-1] == guest.id
        assert guest.ssh("sudo hostname").stdout.strip() == guest.id


LOCKED = (
    "import fcntl\nfor name in ('lists/lock', '../dpkg/lock-frontend', '../dpkg/lock'):\n"
    "    fcntl.lockf(open('/var/lib/apt/' + name, 'w'), fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
)


@pytest.mark.parametrize(
    ("image", "sudo"), [pytest.param("ubuntu-like", "Sudo version", marks=pytest.mark.long), ("ubuntu-next", "sudo-rs")]
)
def test_a_profile_has_the_manners_of_ubuntus_images(sandbox: Sandbox, image: str, sudo: str) -> None:
    assert command("up", "--image", image, folder=sandbox.paths.dir, timeout=600).returncode == 0
    with sandbox.guest(image) as guest:
        assert "BlockingIOError" in guest.root(f'python3 -c "{LOCKED}"').stderr
        assert '"running"' in guest.output("cloud-init status --format json || true")
        assert guest.output("cloud-init status --wait").endswith("status: done")
        guest.output(f'python3 -c "{LOCKED}"')
        assert guest.output("systemctl --failed --no-legend") == ""
        listening = guest.output("ss -Hltn")
        assert {"127.0.0.53%lo:53", "127.0.0.54:53", "127.0.0.1:46123"} <= set(listening.split())
        assert guest.output("systemctl is-active chrony ssh.socket apt-daily.timer").split() == ["active"] * 3
        assert sudo in guest.output("sudo -u ubuntu sudo --version 2>&1")
        assert guest.output("cat /proc/sys/net/ipv6/conf/eth0/disable_ipv6") == "1"
        assert guest.output("sudo -u ubuntu sudo id -u") == "0"


NVML = "import ctypes; print(ctypes.CDLL('libnvidia-ml.so.1').nvmlInitWithFlags(0))"


@pytest.mark.long
@pytest.mark.parametrize(("image", "held"), [("deep-learning-image", 3), ("deep-learning-image-free", 0)])
def test_an_image_for_machine_learning_brings_its_own_software(sandbox: Sandbox, image: str, held: int) -> None:
    assert command("up", "--image", image, folder=sandbox.paths.dir, timeout=600).returncode == 0
    with sandbox.guest(image) as guest:
        assert guest.output("cloud-init status --wait").endswith("status: done")
        assert guest.output("systemctl --failed --no-legend") == ""
        assert guest.output(f'python3 -c "{NVML}"') == "0"
        drivers = guest.output(
            "dpkg-query --show --showformat '${binary:Package} ' 'nvidia-driver*' 'libnvidia-compute*'"
        )
        assert drivers.split() == ["libnvidia-compute-535-server", "nvidia-driver-535-server"]
        assert len(guest.output("apt-mark showhold").split()) == held
        assert guest.output("wc -l </etc/motd") == "40"
        assert "172.17.0.1/16" in guest.output("ip -4 addr show dev docker0")
        assert 'oifname != "docker0" masquerade' in guest.output("nft list ruleset")
        for python in ("/opt/jax/bin/python", "/opt/conda/bin/python"):
            assert guest.output(f"{python} -c 'import jax; print(jax.numpy.arange(4).sum())'") == "6", python
        keras = "import keras; print(keras.__version__, keras.backend.backend())"
        assert guest.output(f"env KERAS_BACKEND=jax /opt/jax/bin/python -c '{keras}'") == "3.3.3 jax"
        assert guest.output("sudo -iu ubuntu sh -c 'command -v jupyter'") == "/usr/local/bin/jupyter"


def test_a_nitro_machine_has_a_volume_under_another_name_and_a_disk_that_a_stop_empties(sandbox: Sandbox) -> None:
    assert command("up", "--image", "ubuntu-nitro", folder=sandbox.paths.dir, timeout=600).returncode == 0
    volume = {"name": "vol-0123456789abcdef0", "size_gib": 1, "device": "/dev/sdf"}
    with sandbox.guest("ubuntu-nitro", volumes=[volume]) as guest:
        ebs = "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol0123456789abcdef0"
        store = "/dev/disk/by-id/nvme-Amazon_EC2_NVMe_Instance_Storage_AWS*"
        assert guest.output(f"realpath {ebs} {store}").split() == ["/dev/nvme2n1", "/dev/nvme1n1"]
        assert guest.root("ls /dev/sdf").returncode != 0
        guest.output("mkfs.ext4 -q /dev/nvme1n1 && mkfs.ext4 -q /dev/nvme2n1")
        sandbox.machines.stop(guest.id)
        guest.start()
        assert guest.root("blkid --probe /dev/nvme1n1").returncode == 2
        assert "TYPE=ext4" in guest.output("blkid --probe --output export /dev/nvme2n1")


def test_stop_keeps_the_disk_and_the_host_keys_and_start_boots_again(sandbox: Sandbox) -> None:
    with sandbox.guest(user_data=USER_DATA) as guest:
        key = guest.host_key()
        first_boot = guest.ssh("echo kept > note; cat /proc/sys/kernel/random/boot_id /etc/machine-id").stdout.split()
        sandbox.machines.stop(guest.id)
        assert guest.state() == "stopped"
        assert guest.ssh("true").returncode != 0
        guest.start()
        second_boot = guest.ssh("cat note /etc/machine-id").stdout.split()
        assert second_boot == ["kept", first_boot[1]]
        assert guest.host_key() == key
        console = sandbox.machines.console(guest.id)
        assert console.count("Reached target multi-user.target") >= 1
        assert wait_until(lambda: sandbox.machines.console(guest.id).count("booted-once-more") == 2)
        # As everywhere, cloud-init prints them at the first boot only.
        assert sandbox.machines.console(guest.id).count("BEGIN SSH HOST KEY KEYS") == 1


def test_two_guests_share_neither_host_keys_nor_machine_id_nor_files(sandbox: Sandbox) -> None:
    with sandbox.guest() as one, sandbox.guest() as other:
        one.output("touch /etc/mine")
        assert other.root("test -e /etc/mine").returncode != 0
        assert one.host_key() != other.host_key()
        assert one.output("cat /etc/machine-id") != other.output("cat /etc/machine-id")
        one.output("systemctl restart ssh")
        assert other.output("systemctl is-active ssh") == "active"


def test_a_guest_that_powers_itself_off_is_stopped_and_can_be_started(sandbox: Sandbox) -> None:
    with sandbox.guest() as guest:
        guest.root("systemctl poweroff")
        assert wait_until(lambda: guest.state() == "stopped")
        guest.start()


def test_a_guest_that_reboots_itself_comes_back(sandbox: Sandbox) -> None:
    with sandbox.guest(user_data=USER_DATA) as guest:
        # The last that cloud-init's first boot does; a reboot before it would leave that undone.
        guest.host_key()
        assert "booted-once-more" in sandbox.machines.console(guest.id)
        guest.root("systemctl reboot")
        assert wait_until(lambda: sandbox.machines.console(guest.id).count("booted-once-more") == 2)
        assert wait_until(lambda: guest.ssh("true").returncode == 0)


def test_destroy_leaves_nothing_of_a_guest_and_may_be_repeated(sandbox: Sandbox) -> None:
    disk = new_disk()
    with sandbox.guest(volumes=[disk]) as guest:
        folder = sandbox.paths.guests / guest.id
        assert folder.exists() or not any(sandbox.paths.guests.iterdir())
        sandbox.machines.destroy(guest.id)
        assert guest.state() == "absent"
        assert not folder.exists()
        assert not (sandbox.paths.volumes / disk["name"]).exists()
        assert guest.id not in Path("/proc/mounts").read_text()
        sandbox.machines.destroy(guest.id)
        with pytest.raises(NoSuchMachineError, match=guest.id):
            sandbox.machines.start(guest.id, "")


def test_start_and_stop_may_be_repeated(sandbox: Sandbox) -> None:
    with sandbox.guest() as guest:
        boot = guest.output("cat /proc/sys/kernel/random/boot_id; cat /proc/1/stat | cut -d' ' -f22")
        sandbox.machines.start(guest.id, "")
        assert guest.output("cat /proc/sys/kernel/random/boot_id; cat /proc/1/stat | cut -d' ' -f22") == boot
        sandbox.machines.stop(guest.id)
        sandbox.machines.stop(guest.id)
        assert guest.state() == "stopped"


def test_what_cannot_be_is_refused_in_a_sentence(sandbox: Sandbox) -> None:
    with sandbox.guest() as guest:
        with pytest.raises(SandboxError, match="address"):
            sandbox.machines.create("t-other", "bookworm", guest.address, b"", [], "other", [])
        assert sandbox.machines.state("t-other") == "absent"
        with pytest.raises(SandboxError, match="no image solaris"):
            sandbox.machines.create("t-other", "solaris", str(sandbox.subnet[4091]), b"", [], "other", [])
        assert sandbox.machines.state("t-other") == "absent"
        with pytest.raises(SandboxError, match="not in the sandbox's subnet"):
            sandbox.machines.create("t-other", "bookworm", "203.0.113.9", b"", [], "other", [])
        with pytest.raises(SandboxError, match="cannot be named"):
            sandbox.machines.attach(guest.id, {"name": "vol/x", "size_gib": 1})


def new_disk() -> dict[str, Any]:
    return {"name": f"vol-{secrets.token_hex(4)}", "size_gib": 1, "device": "/dev/sdf"}


def format_and_mount(guest: Guest) -> str:
    """Put a file system on /dev/sdf, mount it by its UUID at every boot, leave a note; returns the UUID."""
    return guest.output(
        "set -e; mkfs.ext4 -q /dev/sdf; uuid=$(blkid -o value -s UUID /dev/sdf)\n"
        "for _ in $(seq 50); do test -e /dev/disk/by-uuid/$uuid && break; sleep 0.1; done\n"
        'echo "UUID=$uuid /data ext4 defaults,nofail 0 2" >>/etc/fstab; mkdir /data; mount /data\n'
        "echo kept >/data/note; echo $uuid"
    )


def test_a_data_disk_is_mounted_by_uuid_at_every_boot_and_grows(sandbox: Sandbox) -> None:
    disk = new_disk()
    with sandbox.guest(volumes=[disk]) as guest:
        format_and_mount(guest)
        sandbox.machines.stop(guest.id)
        sandbox.machines.attach(guest.id, {**disk, "size_gib": 2})
        guest.start()
        assert guest.output("findmnt -n -o SOURCE,FSTYPE /data").split() == ["/dev/sdf", "ext4"]
        assert guest.output("cat /data/note; blockdev --getsize64 /dev/sdf").split() == ["kept", str(2 << 30)]


def test_a_detached_data_disk_keeps_its_data_for_the_next_machine(sandbox: Sandbox) -> None:
    disk = new_disk()
    with sandbox.guest(volumes=[disk]) as first:
        uuid = format_and_mount(first)
        sandbox.machines.stop(first.id)
        sandbox.machines.detach(first.id, disk["name"])
    with sandbox.guest(volumes=[{**disk, "device": "/dev/sdg"}]) as second:
        assert second.output(f"mount UUID={uuid} /mnt && cat /mnt/note") == "kept"
        second.output("umount /mnt")


def test_a_data_disk_comes_grows_and_goes_while_its_guest_runs(sandbox: Sandbox) -> None:
    disk = new_disk()
    with sandbox.guest() as guest:
        sandbox.machines.attach(guest.id, disk)
        uuid = format_and_mount(guest)
        sandbox.machines.attach(guest.id, {**disk, "size_gib": 2})
        assert guest.output("blockdev --getsize64 /dev/sdf") == str(2 << 30)
        with pytest.raises(SandboxError, match="unmount it first"):
            sandbox.machines.detach(guest.id, disk["name"])
        guest.output("umount /data")
        sandbox.machines.detach(guest.id, disk["name"])
        assert guest.root("test -e /dev/sdf || ls /dev/disk/*/* ").returncode != 0
        sandbox.machines.attach(guest.id, {**disk, "size_gib": 2})
        assert wait_until(lambda: guest.root(f"mount UUID={uuid} /data").returncode == 0)
        assert guest.output("cat /data/note; umount /data") == "kept"
        sandbox.machines.stop(guest.id)
        guest.start()
        assert guest.output("cat /data/note") == "kept"
        guest.output("umount /data")
        sandbox.machines.detach(guest.id, disk["name"])
        assert guest.root("test -e /dev/sdf").returncode != 0
        sandbox.machines.delete_volume(disk["name"])


def test_console_and_status_of_the_command_line_know_a_guest(sandbox: Sandbox) -> None:
    with sandbox.guest() as guest:
        assert guest.id in command("status", folder=sandbox.paths.dir).stdout
        assert guest.host_key() in command("console", guest.address, folder=sandbox.paths.dir).stdout
        nobody = command("console", "nobody", folder=sandbox.paths.dir)
        assert nobody.returncode == 1
        assert "no guest nobody" in nobody.stderr
